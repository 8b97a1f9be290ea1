package cli

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"x509ctl/pkg/keypair"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/pkcs12"
	"x509ctl/pkg/profile"
)

// A keypairMaker makes keypairs of one kind for one user.
type keypairMaker struct {
	typ       keypair.Type
	algorithm profile.KeyAlgorithm
	owner     string
	now       func() time.Time
	p12       *p12Maker // nil: no PKCS#12 is wanted
}

// maker returns what makes the keypairs that the flags ask for.
func (o keypairAddOptions) maker(typ keypair.Type, owner string) (*keypairMaker, error) {
	if typ == keypair.SSH && o.p12 != (p12Options{}) {
		return nil, usagef("PKCS#12 is for --keypair-type x509")
	}
	check := keypair.CheckUser
	if typ == keypair.X509 {
		check = keypair.CheckCommonName
	}
	if err := check(owner); err != nil {
		return nil, err
	}
	known := algorithms(typ)
	m := &keypairMaker{typ: typ, algorithm: known[0], owner: owner}
	if o.keyAlgorithm != "" {
		m.algorithm = o.keyAlgorithm
	}
	if !slices.Contains(known, m.algorithm) {
		return nil, usagef("keypairs of type %s are made with %s, not %s", typ, strings.Join(algorithmWords(typ), ", "), m.algorithm)
	}
	return m, nil
}

// prepare finds out the password before anything is made. p12 is the file, nil for
// none.
func (m *keypairMaker) prepare(a *app, o p12Options, p12 *outfile) (err error) {
	m.now = a.now
	if p12 != nil {
		m.p12, err = a.prepareP12(o, p12.isStdout())
	}
	return err
}

// A madeKeypair is a keypair of which nobody else has the private half.
type madeKeypair struct {
	public   string
	private  []byte
	key      crypto.Signer
	cert     []byte // DER
	p12Maker *p12Maker
}

// make makes one keypair. Many goroutines may call it.
func (m *keypairMaker) make() (*madeKeypair, error) {
	key, err := profile.GenerateKey(m.algorithm)
	if err != nil {
		return nil, err
	}
	k := &madeKeypair{key: key}
	if m.typ == keypair.SSH {
		k.public, k.private, err = keypair.EncodeSSH(key)
		return k, err
	}
	if k.cert, err = keypair.NewWinRM(key.(*rsa.PrivateKey), m.owner, m.now()); err != nil {
		return nil, err
	}
	k.public = keypair.EncodeCertificate(k.cert)
	if k.private, err = encodeKey(key); err != nil {
		return nil, err
	}
	if m.p12 != nil {
		own := *m.p12
		if own.generated {
			own.password = pkcs12.GeneratePassword()
		}
		k.p12Maker = &own
	}
	return k, nil
}

// encodeP12 packs key and certificate as PKCS#12.
func (k *madeKeypair) encodeP12() ([]byte, error) {
	leaf, err := x509.ParseCertificate(k.cert)
	if err != nil {
		return nil, err
	}
	return k.p12Maker.encode(k.key, leaf, nil)
}

// request asks for the record of k.
func (m *keypairMaker) request(name string, k *madeKeypair) manager.AddKeypairRequest {
	return manager.AddKeypairRequest{User: m.owner, Name: name, Type: m.typ, PublicKey: k.public}
}
