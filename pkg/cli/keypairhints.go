package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/keypair"
)

// keypairHints are the hints of the commands for keypairs.
func keypairHints(cmd *cobra.Command, err error) []string {
	var file *importError
	var wrong *keypair.ImportError
	switch {
	case errors.As(err, &wrong) && errors.As(err, &file):
		return importHints(file.path, wrong)
	case errors.Is(err, errNoOwner):
		return []string{"name the owner of such keypairs with --user"}
	case !strings.HasPrefix(cmd.CommandPath(), "x509ctl keypair") || fault.KindOf(err) != fault.Exists:
		return nil
	case cmd.Flags().Changed("if-missing"):
		return []string{`it is not the same: see "x509ctl keypair-show"`}
	}
	return []string{`choose another name, or forget the one that is there with "x509ctl keypair-delete"`}
}

// importHints are the commands that make of the file at path what can be imported.
// Each is run by a test.
func importHints(path string, err *keypair.ImportError) []string {
	file := shellQuote(path)
	if path == "-" {
		file = "FILE"
	}
	if err.Line > 0 {
		return []string{"each line is to be a public key and nothing else: find out where that one comes from, and take it out"}
	}
	if command := importCommand(err); command != "" {
		return []string{"try: " + strings.ReplaceAll(command, "FILE", file)}
	}
	switch err.Found {
	case keypair.SSHKey:
		return []string{"leave --keypair-type away, or say ssh"}
	case keypair.Certificate:
		return []string{"leave --keypair-type away, or say x509"}
	case keypair.Request:
		return []string{
			"a request is not signed yet; with its key: openssl x509 -req -in " + file + " -signkey KEY -out cert.pem",
			`or let "x509ctl keypair-add NAME --keypair-type x509" make key and certificate`,
		}
	}
	return nil
}

func importCommand(err *keypair.ImportError) string {
	const pickKeys = `grep -oE '(ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA.*' FILE > key.pub`
	switch err.Found {
	case keypair.PrivateKey:
		return "ssh-keygen -y -f FILE > key.pub"
	case keypair.PuTTY:
		return "puttygen FILE -O public-openssh -o key.pub"
	case keypair.RFC4716:
		return "ssh-keygen -i -f FILE > key.pub"
	case keypair.PEMKey:
		return "ssh-keygen -i -m PKCS8 -f FILE > key.pub"
	case keypair.PKCS1Key:
		return "ssh-keygen -i -m PEM -f FILE > key.pub"
	case keypair.Options, keypair.CommentLine, keypair.LeadingBlank, keypair.ByteOrderMark:
		return pickKeys
	case keypair.TabSeparator:
		return `tr '\t' ' ' < FILE > key.pub`
	case keypair.UTF16:
		return "iconv -f UTF-16 -t UTF-8 FILE > key.pub"
	case keypair.PrivateHalf:
		if err.Want == keypair.SSH {
			return pickKeys
		}
		return "openssl x509 -in FILE -out cert.pem"
	case keypair.TrustedCertificate:
		return "openssl x509 -in FILE -out cert.pem"
	case keypair.DER:
		return "openssl x509 -inform DER -in FILE -out cert.pem"
	case keypair.BareBase64:
		return "base64 -d FILE | openssl x509 -inform DER -out cert.pem"
	case keypair.PKCS12:
		return "openssl pkcs12 -in FILE -nokeys -clcerts | openssl x509 -out cert.pem"
	case keypair.PKCS7DER:
		return "openssl pkcs7 -inform DER -in FILE -print_certs | openssl x509 -out cert.pem"
	case keypair.PKCS7:
		return "openssl pkcs7 -in FILE -print_certs | openssl x509 -out cert.pem"
	}
	return ""
}
