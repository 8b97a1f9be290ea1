package project

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"x509ctl/pkg/fault"
)

// Names of the members of a [Credentials] archive, in their order.
const (
	rcName         = "novarc"
	keyName        = "pk.pem"
	certName       = "cert.pem"
	vpnName        = "nova-vpn.conf"
	caName         = "cacert.pem"
	encryptionName = "decrypt-cert.pem"
)

// Credentials are what a member of a project is given, as Nova did it until its Essex
// release.
type Credentials struct {
	Environment Environment
	PrivateKey  []byte // PEM
	Certificate []byte // PEM
	CAs         []byte // PEM
	// Encryption is the certificate, in PEM, that secrets for the project are encrypted
	// to. Nova had none: empty for an archive like Nova's.
	Encryption []byte
	// VPN is the configuration of an OpenVPN client; empty for none.
	VPN []byte
}

// Write writes a zip archive with the members novarc, pk.pem, cert.pem, nova-vpn.conf,
// cacert.pem and decrypt-cert.pem, in this order, nothing compressed, and at as their time.
// Those that are empty are left out. The private key has mode 0400 and novarc, which may
// hold a secret key, 0600.
//
// Errors: those of [Environment.Script]; of w.
func (c Credentials) Write(w io.Writer, at time.Time) error {
	c.Environment.Encryption = len(c.Encryption) > 0
	script, err := c.Environment.Script()
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, member := range []struct {
		name string
		mode fs.FileMode
		data []byte
	}{
		{rcName, 0o600, script},
		{keyName, 0o400, c.PrivateKey},
		{certName, 0o644, c.Certificate},
		{vpnName, 0o644, c.VPN},
		{caName, 0o644, c.CAs},
		{encryptionName, 0o644, c.Encryption},
	} {
		if len(member.data) == 0 {
			continue
		}
		h := &zip.FileHeader{Name: member.name, Method: zip.Store, Modified: at.UTC()}
		h.SetMode(member.mode)
		f, err := z.CreateHeader(h)
		if err == nil {
			_, err = f.Write(member.data)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", member.name, err)
		}
	}
	return z.Close()
}

// An Environment is what novarc tells other programs. What is empty is not known.
type Environment struct {
	User, Project        string
	AccessKey, SecretKey string // of EC2
	EC2URL, S3URL        string
	NovaURL              string
	Encryption           bool // decrypt-cert.pem is beside it
}

// Script returns a script for sh, bash, zsh and ksh, to be read with ".", that sets the
// variables of Nova's novarc, with absolute paths of the files beside it. A variable whose
// value is not known is left out, with a comment that says so.
//
// Error: [fault.Malformed] for a value with a character that can't be printed.
func (e Environment) Script() ([]byte, error) {
	for _, v := range []struct{ what, value string }{
		{"user", e.User}, {"project", e.Project}, {"access key", e.AccessKey}, {"secret key", e.SecretKey},
		{"EC2 URL", e.EC2URL}, {"S3 URL", e.S3URL}, {"Nova URL", e.NovaURL},
	} {
		if !utf8.ValidString(v.value) || strings.ContainsFunc(v.value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, fault.Errorf(fault.Malformed, "the %s has a character that can't be printed", v.what)
		}
	}
	var s script
	s.line("# Credentials of %s for project %s. They are used by: . ./%s", e.User, e.Project, rcName)
	s.line(`NOVA_KEY_DIR=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE:-$0}")" && pwd -P)`)
	access := ""
	if e.AccessKey != "" {
		access = e.AccessKey + ":" + e.Project
	}
	s.export("EC2_ACCESS_KEY", access)
	s.export("EC2_SECRET_KEY", e.SecretKey)
	s.export("EC2_URL", e.EC2URL)
	s.export("S3_URL", e.S3URL)
	s.line("export EC2_USER_ID=42")
	s.file("EC2_PRIVATE_KEY", keyName)
	s.file("EC2_CERT", certName)
	s.file("NOVA_CERT", caName)
	s.bundling(e)
	s.export("NOVA_API_KEY", e.AccessKey)
	s.export("NOVA_USERNAME", e.User)
	s.export("NOVA_PROJECT_ID", e.Project)
	s.export("NOVA_URL", e.NovaURL)
	s.line("export NOVA_VERSION=1.1")
	return []byte(s.text.String()), nil
}

// A script is a shell script being written.
type script struct{ text strings.Builder }

func (s *script) line(format string, args ...any) { fmt.Fprintf(&s.text, format+"\n", args...) }

// export sets a variable to a value that the shell takes as it is.
func (s *script) export(name, value string) {
	if value == "" {
		s.line("# %s is not known", name)
		return
	}
	s.line("export %s='%s'", name, strings.ReplaceAll(value, "'", `'\''`))
}

// file sets a variable to the path of a file beside the script.
func (s *script) file(name, file string) { s.line(`export %s="$NOVA_KEY_DIR/%s"`, name, file) }

// bundling sets what the programs that bundle images take. They encrypt to a certificate,
// which a CA's can't be.
func (s *script) bundling(e Environment) {
	if !e.Encryption {
		s.line("# EUCALYPTUS_CERT is not known: images are encrypted to the project's decrypt certificate")
		return
	}
	s.file("EUCALYPTUS_CERT", encryptionName)
	s.line(`alias ec2-bundle-image='ec2-bundle-image --cert "$EC2_CERT" --privatekey "$EC2_PRIVATE_KEY" --user 42 --ec2cert "$EUCALYPTUS_CERT"'`)
	if e.AccessKey != "" && e.SecretKey != "" && e.S3URL != "" {
		s.line(`alias ec2-upload-bundle='ec2-upload-bundle -a "$EC2_ACCESS_KEY" -s "$EC2_SECRET_KEY" --url "$S3_URL" --ec2cert "$EUCALYPTUS_CERT"'`)
	}
}
