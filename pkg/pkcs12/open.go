package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// Contents are what a password opened.
type Contents struct {
	Parts        []Part // as in the file, with the bags of all
	Keys         []Key
	Certificates []Cert

	// Needless says that the password was asked for nowhere: there is neither a MAC
	// nor anything encrypted, so that each one "opens" the file.
	Needless bool
	// Nothing says that the empty password is encoded as no octets at all, as some
	// programs do, rather than as two zero octets (RFC 7292, appendix B.1).
	Nothing bool
}

// A Key is a private key in a file.
type Key struct {
	Bag    Bag
	Signer crypto.Signer // nil: of a kind that is not known here
}

// A Cert is a certificate in a file.
type Cert struct {
	Bag Bag
	*x509.Certificate
}

// ErrDamaged is a file to which the password is right, and that was changed since it
// was written, by accident or by somebody.
var ErrDamaged = fault.New(fault.Invalid, "the password is right, but the PKCS#12 file was changed or damaged")

// ErrOtherPassword is a file whose MAC is by the password and whose encryption is by
// another one, as openssl's -twopass makes them, or that was damaged before the MAC.
var ErrOtherPassword = fault.New(fault.Invalid, "the password is that of the MAC, but what is encrypted has another one, or is damaged")

// A PasswordError is a password that does not open a file, of kind [fault.Denied].
// Without a MAC, and with one when nothing can be decrypted either, a damaged file
// looks the same.
type PasswordError struct {
	Why string // what is wrong with it, in words; "" when that is not known
}

func (e *PasswordError) Error() string {
	if e.Why == "" {
		return "the password is wrong, or the PKCS#12 file is damaged"
	}
	return "the password is wrong: " + e.Why
}

// FaultKind is [fault.Denied].
func (*PasswordError) FaultKind() fault.Kind { return fault.Denied }

// maxGiven bounds a password that is tried, in octets.
const maxGiven = 4096

// Open opens f with a password, which may be empty, and is in Latin-1 when it is not
// in UTF-8. At most [MaxWork] is done for it,
// the search for what is wrong with the password included.
//
// Errors: [PasswordError]; [ErrDamaged] and [ErrOtherPassword], as far as the format
// lets them be told from a wrong password; Check's, for what is inside too; and
// [fault.Malformed].
func (f *File) Open(password string) (*Contents, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if len(password) > maxGiven {
		return nil, &PasswordError{fmt.Sprintf("it has more than %d octets", maxGiven)}
	}
	if !utf8.ValidString(password) {
		password = string(latin1(password))
	}
	o := &opening{file: f, budget: newBudget()}
	secrets := []secret{secretOf(password)}
	if password == "" {
		secrets = append(secrets, secret{})
	}
	for i, s := range secrets {
		c, err := o.try(s)
		if err == nil {
			c.Nothing = i > 0
			return c, nil
		}
		if i > 0 && errors.Is(err, ErrTooMuchWork) {
			break // it was the first that counts
		}
		if !errors.Is(err, errWrong) {
			return nil, err
		}
	}
	return nil, o.why(password, secrets[0])
}

// secretOf is password as the algorithms want it.
func secretOf(password string) secret {
	s := secret{octets: []byte(password)}
	for _, u := range utf16.Encode([]rune(password)) {
		s.bmp = append(s.bmp, byte(u>>8), byte(u))
	}
	s.bmp = append(s.bmp, 0, 0)
	return s
}

// latin1 takes each octet of s for a character.
func latin1(s string) []rune {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return runes
}

// errWrong is a password that does not fit. It never leaves this package.
var errWrong = errors.New("wrong password")

// An opening is one call of Open.
type opening struct {
	file   *File
	budget *budget
}

// try opens the file with s. errWrong says that s does not fit.
func (o *opening) try(s secret) (*Contents, error) {
	if o.file.MAC != nil {
		ok, err := o.fits(s)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errWrong
		}
	}
	c, err := o.decipher(s)
	if errors.Is(err, errPadding) && o.file.MAC != nil {
		return nil, ErrOtherPassword
	}
	if errors.Is(err, errPadding) {
		return nil, errWrong
	}
	return c, err
}

// fits says whether the MAC is by s.
func (o *opening) fits(s secret) (bool, error) {
	if err := o.budget.spend(o.file.MAC); err != nil {
		return false, err
	}
	return o.file.verifyMAC(s)
}

// decipher reads all parts with s, of which errPadding says that it is wrong.
func (o *opening) decipher(s secret) (*Contents, error) {
	c := &Contents{Needless: o.file.MAC == nil}
	for i, p := range o.file.Parts {
		if p.Encryption != nil {
			if err := o.open(&p, s); err != nil {
				return nil, within(i, err)
			}
			c.Needless = false
		}
		c.Parts = append(c.Parts, p)
		for _, b := range p.Bags {
			if err := o.add(c, b, s); err != nil {
				return nil, within(i, err)
			}
		}
	}
	return c, nil
}

func within(part int, err error) error { return fmt.Errorf("part %d: %w", part+1, err) }

// open decrypts p and reads its bags. What decrypts to no bags was decrypted with a
// wrong password, by the chance of 1 in 256.
func (o *opening) open(p *Part, s secret) error {
	if err := o.budget.spend(p.Encryption); err != nil {
		return err
	}
	plain, err := p.Encryption.decrypt(s, p.data)
	if err != nil {
		return err
	}
	p.Bags, err = parseBags(plain, 0)
	if err != nil && !isSequence(plain) {
		return errPadding
	}
	return err
}

// isSequence says whether b looks like what was encrypted, rather than like noise: a
// SEQUENCE that fills it.
func isSequence(b []byte) bool {
	if len(b) < 2 || b[0] != 0x30 {
		return false
	}
	n, size := int(b[1]), 2
	if n == 0x80 {
		return true // BER
	}
	if n > 0x80 {
		size += n & 0x7f
		if n&0x7f > 3 || len(b) < size {
			return false
		}
		n = 0
		for _, c := range b[2:size] {
			n = n<<8 | int(c)
		}
	}
	return size+n == len(b)
}

// add puts what is in b into c.
func (o *opening) add(c *Contents, b Bag, s secret) error {
	switch b.Kind {
	case PlainKey, EncryptedKey:
		der := b.data
		if b.Encryption != nil {
			c.Needless = false
			if err := o.budget.spend(b.Encryption); err != nil {
				return err
			}
			var err error
			if der, err = b.Encryption.decrypt(s, b.data); err != nil {
				return err
			}
			if !isSequence(der) {
				return errPadding
			}
		}
		if len(c.Keys) == maxKeys {
			return fault.Errorf(fault.Malformed, "the PKCS#12 file has more than %d private keys", maxKeys)
		}
		key, err := parseKey(der)
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, Key{b, key})
	case Certificate:
		cert, err := x509.ParseCertificate(b.data)
		if err != nil {
			return fault.Errorf(fault.Malformed, "a certificate can't be understood: %w", err)
		}
		c.Certificates = append(c.Certificates, Cert{b, cert})
	}
	return nil
}

// parseKey reads PKCS#8; the result is nil for a kind of key that is not known. The
// errors of the decoder are dropped: they may quote.
func parseKey(der []byte) (crypto.Signer, error) {
	var info struct {
		Version   int
		Algorithm algorithmIdentifier
		Key       []byte
	}
	if len(der) > maxKey || unmarshal(der, &info) != nil {
		return nil, fault.New(fault.Malformed, "a private key is damaged")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		key = nil
	}
	signer, _ := key.(crypto.Signer)
	return signer, nil
}

// ErrNotTheKeys is a file with a key and another one's certificate.
var ErrNotTheKeys = fault.New(fault.Invalid, "a certificate in the PKCS#12 file is not its key's")

// CheckKeys returns [ErrNotTheKeys], wrapped, when the certificate that goes with a
// key is another key's. Programs find it by the local key ID, and where there is
// none they take the first certificate. It returns nil for a key that has none.
func (c *Contents) CheckKeys() error {
	for i, k := range c.Keys {
		if k.Signer == nil {
			continue
		}
		if cert, ok := c.certificateOf(k); ok && !samePublicKey(cert.PublicKey, k.Signer.Public()) {
			return fmt.Errorf("%w: key %d of %d goes with the certificate of %q", ErrNotTheKeys, i+1, len(c.Keys), cert.Subject.String())
		}
	}
	return nil
}

// certificateOf finds the certificate that programs take for k's.
func (c *Contents) certificateOf(k Key) (Cert, bool) {
	for _, cert := range c.Certificates {
		if k.Bag.LocalKeyID != nil && bytes.Equal(cert.Bag.LocalKeyID, k.Bag.LocalKeyID) {
			return cert, true
		}
	}
	for _, cert := range c.Certificates {
		if samePublicKey(cert.PublicKey, k.Signer.Public()) {
			return cert, true
		}
	}
	if len(c.Certificates) == 0 {
		return Cert{}, false
	}
	return c.Certificates[0], true
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// bmpText is a friendly name, a BMPString.
func bmpText(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(u))
}
