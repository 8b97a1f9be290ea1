package cli

import (
	"errors"
	"fmt"

	"x509ctl/pkg/pkcs12"
)

// inspectP12View is a PKCS#12 file as "inspect" prints it.
type inspectP12View struct {
	Profile      string           `json:"profile"` // of which it is, exactly; empty: of none
	Readers      string           `json:"readers"` // who can open it
	MAC          *encryptionView  `json:"mac"`     // null: none
	Parts        []inspectP12Part `json:"parts"`
	Password     string           `json:"password"`     // "fits", "empty", "wrong", "not given", "not needed" or "not tried"
	Keys         []inspectP12Key  `json:"keys"`         // of what is open
	Certificates []inspectP12Cert `json:"certificates"` // of what is open
}

// inspectP12Part is a part of the file.
type inspectP12Part struct {
	Encrypted  bool            `json:"encrypted"`
	Encryption *encryptionView `json:"encryption"` // null: in the clear
	Contents   []string        `json:"contents"`   // empty for an encrypted part that is not open
}

// inspectP12Key is a private key, without its private half.
type inspectP12Key struct {
	Name       string          `json:"name"`
	LocalKeyID string          `json:"local_key_id"`
	Encryption *encryptionView `json:"encryption"` // null: as its part
	Type       string          `json:"key_type"`
	SPKISHA256 string          `json:"spki_sha256"`
}

// inspectP12Cert is a certificate in the file.
type inspectP12Cert struct {
	Name       string `json:"name"`
	LocalKeyID string `json:"local_key_id"`
	Trusted    bool   `json:"trusted"` // as Java marks it
	inspectCertView
}

func (in *inspector) pkcs12(v *inspectView, der []byte) error {
	f, err := pkcs12.Parse(der)
	if err != nil {
		return err
	}
	view := &inspectP12View{
		Readers: f.Readers(), MAC: newEncryptionView(f.MAC), Password: "not tried",
		Parts: p12Parts(f.Parts), Keys: []inspectP12Key{}, Certificates: []inspectP12Cert{},
	}
	if like := f.Like(); like.Exact {
		view.Profile = string(like.Profile)
	}
	v.PKCS12 = view
	v.Summary = fmt.Sprintf("PKCS#12, %d parts", len(f.Parts))
	if f.MAC == nil {
		v.warn("it has no MAC: whoever had it may have changed what is not encrypted")
	}
	if err := f.Check(); err != nil {
		return err
	}
	c, err := in.openP12(view, v.File, f)
	if err != nil {
		return err
	}
	if c == nil {
		v.warn("what is encrypted was not read: its password is not known")
		return nil
	}
	return in.p12Contents(v, c)
}

// openP12 opens f with the password that is given, or without one with the empty
// one, or one asked for. It returns nil when none was given.
func (in *inspector) openP12(view *inspectP12View, path string, f *pkcs12.File) (*pkcs12.Contents, error) {
	password, given, err := in.password()
	if err != nil {
		return nil, err
	}
	c, err := f.Open(password)
	var wrong *pkcs12.PasswordError
	if errors.As(err, &wrong) && !given {
		view.Password = "not given"
		if !in.app.canAsk() {
			return nil, nil
		}
		if password, err = in.app.askSecret("password-file", "Type the password of "+escape(inputName(path))+":", false); err != nil {
			return nil, err
		}
		c, err = f.Open(password)
	}
	switch {
	case errors.As(err, &wrong):
		view.Password = "wrong"
	case err == nil && c.Needless:
		view.Password = "not needed"
	case err == nil && password == "":
		view.Password = "empty"
	case err == nil:
		view.Password = "fits"
	}
	return c, err
}

// password returns the password from a flag or the variable, and whether there is
// any.
func (in *inspector) password() (password string, given bool, err error) {
	switch {
	case in.noPassword:
		return "", true, nil
	case in.passwordFile != "":
		password, err = readSecretFile(in.passwordFile)
		if err != nil {
			err = fmt.Errorf("reading the password: %w", err)
		}
		return password, true, err
	}
	password, _ = in.app.lookupEnv("X509CTL_P12_PASSWORD")
	return password, password != "", nil
}

func p12Parts(parts []pkcs12.Part) []inspectP12Part {
	views := []inspectP12Part{}
	for _, p := range parts {
		view := inspectP12Part{p.Encryption != nil, newEncryptionView(p.Encryption), []string{}}
		for _, b := range p.Bags {
			text := string(b.Kind)
			if b.Encryption != nil {
				text += ": " + newEncryptionView(b.Encryption).String()
			}
			view.Contents = append(view.Contents, text)
		}
		views = append(views, view)
	}
	return views
}

// p12Contents describes what the password opened.
func (in *inspector) p12Contents(v *inspectView, c *pkcs12.Contents) error {
	view := v.PKCS12
	view.Parts = p12Parts(c.Parts)
	for _, k := range c.Keys {
		key := inspectP12Key{Name: k.Bag.Name, LocalKeyID: fmt.Sprintf("%x", k.Bag.LocalKeyID), Encryption: newEncryptionView(k.Bag.Encryption), Type: "unknown"}
		if k.Signer != nil {
			key.Type = keyTypeOf(k.Signer.Public())
			key.SPKISHA256, _ = spkiSHA256(k.Signer.Public())
			v.warnKey(k.Signer.Public())
		}
		view.Keys = append(view.Keys, key)
	}
	for i, cert := range c.Certificates {
		var own inspectView
		in.warnCertificate(&own, cert.Certificate)
		for _, w := range own.Warnings {
			v.warn("certificate %d: %s", i+1, w)
		}
		view.Certificates = append(view.Certificates, inspectP12Cert{
			cert.Bag.Name, fmt.Sprintf("%x", cert.Bag.LocalKeyID), cert.Bag.Trusted, *in.certificateView(cert.Certificate),
		})
	}
	v.Summary = fmt.Sprintf("PKCS#12, %d keys, %d certificates", len(c.Keys), len(c.Certificates))
	switch {
	case c.Needless:
		v.warn("it is not encrypted: whoever has it has what is in it")
	case view.Password == "empty":
		v.warn("its password is empty: whoever has it has what is in it. macOS 15 refuses such a file")
	}
	return c.CheckKeys()
}
