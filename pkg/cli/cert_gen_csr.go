package cli

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

type certGenCSROptions struct {
	name           string
	project        string
	server         bool
	aliases        []string
	addresses      []string
	keyType        profile.KeyAlgorithm // empty: not given
	keyFile        string               // empty: NAME.key, which has to be new
	passphraseFile string
	out            string // empty: NAME.csr
	output         output
}

func newCertGenCSRCmd(a *app) *cobra.Command {
	var o certGenCSROptions
	cmd := &cobra.Command{
		Use:   "gen-csr NAME",
		Short: "Make a key and a request for a certificate",
		Long: `Make a key and a certificate signing request (PKCS#10, PEM) for a name.

The key stays where it is made: only the request goes to the CA, which signs it
with "x509ctl cert sign-csr". No CA and no directory is needed, and none is looked
at: the type of a new key is that of --key-type, else of X509CTL_KEY_TYPE, else
ecdsa-p256.

With --project the request is for a member of the project, whose id NAME is, and who has
no other names; or with --server for a name that is registered with the project.

The key is written to NAME.key, readable by its owner only, and the request to
NAME.csr, unless --key and --out say otherwise. A file that exists is never
overwritten: a key that is named by --key and exists is used.`,
		Example: `  # node1.key and node1.csr in this directory
  x509ctl cert gen-csr node1.example.com --key node1.key --out node1.csr

  # for a member of a project
  x509ctl cert gen-csr alice --project tenant1

  # with further names, and an RSA key
  x509ctl cert gen-csr node1.example.com --alias node1 --ip 192.0.2.1 --key-type rsa-2048`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runCertGenCSR(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.project, "project", "", "for the project `ID` instead of the cluster")
	addServerFlag(cmd, &o.server)
	f.StringSliceVar(&o.aliases, "alias", nil, "a further `NAME` (may be given again)")
	f.StringSliceVar(&o.addresses, "ip", nil, "an IP `ADDRESS` (may be given again)")
	addKeyTypeFlag(cmd, &o.keyType, "type of a new key")
	f.StringVar(&o.keyFile, "key", "", "use the key in `FILE`, or write a new one there (default NAME.key)")
	f.StringVar(&o.passphraseFile, "key-passphrase-file", "", "`FILE` whose first line is the passphrase of the key that exists")
	f.StringVar(&o.out, "out", "", "write the request to `FILE`, - for stdout (default NAME.csr)")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCertGenCSR(_ context.Context, a *app, o certGenCSROptions) error {
	template, err := requestTemplate(o)
	if err != nil {
		return err
	}
	var files outfiles
	defer func() { files.discard() }()
	out, err := files.claim(a, "out", cmp.Or(o.out, o.name+".csr"), 0o644)
	if err := errors.Join(err, files.checkOutput(o.output, "--out")); err != nil {
		return err
	}
	v := requestView{CommonName: o.name, Key: cmp.Or(o.keyFile, o.name+".key"), Out: out.path}
	v.Names = append(v.Names, template.DNSNames...)
	for _, ip := range template.IPAddresses {
		v.Names = append(v.Names, ip.String())
	}
	var key crypto.Signer
	var keyOut *outfile
	if v.NewKey = !keyExists(o.keyFile); v.NewKey {
		if keyOut, err = files.claim(a, "key", v.Key, 0o600); err == nil {
			key, err = a.newRequestKey(o)
		}
	} else {
		key, err = a.oldRequestKey(o)
	}
	if err != nil {
		return err
	}
	request, err := makeRequest(template, key)
	if err != nil {
		return err
	}
	if keyOut != nil {
		text, err := encodeKey(key)
		if err != nil {
			return err
		}
		if err := keyOut.commit(text); err != nil {
			return fmt.Errorf("saving the key: %w", err)
		}
	}
	if err := out.commit(request); err != nil {
		return fmt.Errorf("saving the request: %w", err)
	}
	if files.stdout() {
		return nil
	}
	v.KeyType = keyTypeOf(key.Public())
	v.SPKISHA256, err = spkiSHA256(key.Public())
	return errors.Join(err, show(a, o.output, v))
}

// maxCommonName is ub-common-name of RFC 5280, appendix A.1, in characters.
const maxCommonName = 64

// requestTemplate holds the names of a request, each of them once.
func requestTemplate(o certGenCSROptions) (*x509.CertificateRequest, error) {
	_, kind, err := leafOf(o.project, o.server)
	if err == nil {
		err = parseLeafName(kind, o.name)
	}
	if err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{Subject: pkix.Name{CommonName: o.name}}
	if kind.OfProject() {
		t.Subject.Organization = []string{o.project}
	}
	if kind == profile.Member {
		if len(o.aliases)+len(o.addresses) > 0 {
			return nil, usagef("--alias and --ip are for machines: a member's certificate has no other names")
		}
		return t, nil
	}
	if len(o.name) > maxCommonName {
		return nil, fault.Errorf(fault.Denied, "%q is longer than the %d characters of a common name", o.name, maxCommonName)
	}
	var seen []string
	for _, name := range append([]string{o.name}, o.aliases...) {
		if _, err := profile.ParseName(name); err != nil {
			return nil, err
		}
		if folded := profile.FoldName(name); !slices.Contains(seen, folded) {
			seen = append(seen, folded)
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	for _, text := range o.addresses {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return nil, usagef("%q is not an IP address", text)
		}
		ip := net.IP(addr.Unmap().AsSlice())
		if !slices.ContainsFunc(t.IPAddresses, ip.Equal) {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	return t, nil
}

// keyExists says whether --key names a key to be used rather than one to be made.
func keyExists(path string) bool {
	if path == "" || path == "-" {
		return path == "-"
	}
	_, err := os.Stat(path)
	return err == nil
}

func (a *app) newRequestKey(o certGenCSROptions) (crypto.Signer, error) {
	if o.passphraseFile != "" {
		return nil, usagef("--key-passphrase-file is for a key that exists, and %s is new", cmp.Or(o.keyFile, o.name+".key"))
	}
	keyType := o.keyType
	if env, ok := a.lookupEnv("X509CTL_KEY_TYPE"); ok && env != "" && keyType == "" {
		var err error
		if keyType, err = profile.ParseKeyAlgorithm(env); err != nil {
			return nil, fmt.Errorf("reading X509CTL_KEY_TYPE: %w", err)
		}
	}
	return profile.GenerateKey(cmp.Or(keyType, profile.ECDSAP256))
}

func (a *app) oldRequestKey(o certGenCSROptions) (crypto.Signer, error) {
	key, err := a.readKey(o.keyFile, o.passphraseFile)
	if err != nil {
		return nil, err
	}
	if has := keyTypeOf(key.Public()); o.keyType != "" && has != string(o.keyType) {
		return nil, usagef("the key in %s is %s, not %s", inputName(o.keyFile), has, o.keyType)
	}
	return key, nil
}

// makeRequest returns the request in PEM. It is read as the CA will read it, so a
// key that no CA of ours accepts is refused here.
func makeRequest(t *x509.CertificateRequest, key crypto.Signer) ([]byte, error) {
	if err := profile.CheckKey(key.Public()); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, fmt.Errorf("signing the request: %w", err)
	}
	if _, err := profile.ParseRequest(der); err != nil {
		return nil, fmt.Errorf("reading the request back: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// requestView is a request as "cert gen-csr" prints it.
type requestView struct {
	CommonName string   `json:"common_name"`
	Names      []string `json:"names"`
	KeyType    string   `json:"key_type"`
	SPKISHA256 string   `json:"spki_sha256"`
	Key        string   `json:"key"`
	NewKey     bool     `json:"new_key"`
	Out        string   `json:"out"`
}
