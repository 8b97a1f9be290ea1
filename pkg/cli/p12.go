package cli

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"x509ctl/pkg/pkcs12"
)

// p12Options are the flags of a command that writes PKCS#12.
type p12Options struct {
	file         string // empty: none is wanted
	profile      p12ProfileValue
	passwordFile string
	noPassword   bool
}

// addP12Flags adds --p12 and the flags that belong to it.
func addP12Flags(cmd *cobra.Command, o *p12Options) {
	f := cmd.Flags()
	f.StringVar(&o.file, "p12", "", "write key, certificate and CA chain to `FILE` as PKCS#12")
	f.Var(&o.profile, "p12-profile", "who can open the PKCS#12 file: modern2023 (the default), windows2016, legacy-rc2, modern2026")
	f.StringVar(&o.passwordFile, "password-file", "", "`FILE` whose first line is the password of the PKCS#12 file")
	f.BoolVar(&o.noPassword, "no-password", false, "an empty password for the PKCS#12 file")
	completeWords(cmd, "p12-profile", p12ProfileWords()...)
}

// p12PasswordHelp says where the password of a PKCS#12 file comes from.
const p12PasswordHelp = `The password of a PKCS#12 file is the first line of --password-file, else the
variable X509CTL_P12_PASSWORD, else asked for on a terminal, else made up and told
once: it is part of what is printed. --p12-profile says which programs can open
the file: modern2023 is for those of the last years, legacy-des, also called
windows2016, for old ones.`

// p12ProfileValue is the value of --p12-profile. Empty means that it was not given.
type p12ProfileValue string

func (p *p12ProfileValue) String() string { return string(*p) }

// Set is the flag's.
func (p *p12ProfileValue) Set(s string) error {
	if s == "" { // the library's word for its default
		return errors.New("it is empty")
	}
	v, err := pkcs12.ParseProfile(s)
	*p = p12ProfileValue(v)
	return err
}

// Type is the placeholder in help and man pages.
func (*p12ProfileValue) Type() string { return "PROFILE" }

func p12ProfileWords() []string {
	var words []string
	for _, p := range pkcs12.Profiles() {
		words = append(words, string(p))
	}
	return words
}

// check refuses flags that only a PKCS#12 file gives a meaning.
func (o p12Options) check() error {
	switch {
	case o.file == "" && (o.profile != "" || o.passwordFile != "" || o.noPassword):
		return usagef("--p12-profile, --password-file and --no-password are for --p12, which is missing")
	case o.noPassword && o.passwordFile != "":
		return usagef("--no-password and --password-file exclude each other")
	}
	return nil
}

// A p12Maker writes one PKCS#12 file. Its password is known before anything is
// spent on the certificate.
type p12Maker struct {
	profile   pkcs12.Profile
	password  string
	empty     bool // the password was asked to be empty
	generated bool // nobody knows the password yet
}

// prepareP12 finds the password. streamed says that the file takes the place of
// what is printed, so that a password made up could not be told.
func (a *app) prepareP12(o p12Options, streamed bool) (*p12Maker, error) {
	m := &p12Maker{profile: pkcs12.Modern2023, empty: o.noPassword}
	if o.profile != "" {
		m.profile = pkcs12.Profile(o.profile)
	}
	if o.noPassword {
		return m, nil
	}
	variable := "X509CTL_P12_PASSWORD"
	if v, _ := a.lookupEnv(variable); v == "" { // an empty variable is an unset one
		variable = ""
	}
	if o.passwordFile == "" && variable == "" && !a.canAsk() {
		if streamed {
			return nil, missingFlag("password-file")
		}
		m.password, m.generated = pkcs12.GeneratePassword(), true
		return m, nil
	}
	var err error
	m.password, err = a.secret(secretSource{
		file: o.passwordFile,
		flag: "password-file",
		env:  variable,
		what: "the password of the PKCS#12 file",
		new:  true,
	})
	if err != nil {
		return nil, err
	}
	return m, pkcs12.CheckPassword(m.password)
}

// encode packs key, leaf and the certificates above, which are in DER.
func (m *p12Maker) encode(key crypto.Signer, leaf *x509.Certificate, chain [][]byte) ([]byte, error) {
	var above []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading the CA's chain: %w", err)
		}
		above = append(above, c)
	}
	if m.empty {
		return pkcs12.EncodeEmptyPassword(m.profile, key, leaf, above)
	}
	return pkcs12.Encode(m.profile, key, leaf, above, m.password)
}

// encodeTrust packs CA certificates as a trust store.
func (m *p12Maker) encodeTrust(cas []*x509.Certificate) ([]byte, error) {
	return pkcs12.EncodeTrustStore(m.profile, cas, m.password)
}

// noteP12Password tells a password that was made up, on stderr, where what would be
// printed with it has given its place to a result.
func (a *app) noteP12Password(file, password string) {
	if password != "" {
		a.note("the password of %s is %s", file, password)
	}
}

// told is the password if this is the only time that anybody sees it.
func (m *p12Maker) told() string {
	if !m.generated {
		return ""
	}
	return m.password
}
