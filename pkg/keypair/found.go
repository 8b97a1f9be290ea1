package keypair

import (
	"fmt"

	"x509ctl/pkg/fault"
)

// A Found says in words what is there in the place of a public half.
type Found string

// What may be found. An edge knows a command for most of them that makes it right.
const (
	Unknown            Found = "nothing that is known here"
	Nothing            Found = "nothing"
	TooLong            Found = "too much"
	PrivateKey         Found = "a private key"
	PrivateHalf        Found = "a private key beside the public half"
	PuTTY              Found = "a PuTTY private key file"
	SSHKey             Found = "an SSH public key"    // where a certificate was wanted
	Certificate        Found = "an X.509 certificate" // where an SSH public key was wanted
	RFC4716            Found = "an SSH public key in the form of RFC 4716"
	PEMKey             Found = "a public key in PEM"
	PKCS1Key           Found = "an RSA public key in PEM"
	Options            Found = "something before the key, as the options of an authorized_keys file"
	CommentLine        Found = "a comment line"
	LeadingBlank       Found = "a blank or an empty line before the key"
	TabSeparator       Found = "a tab after the kind of key, where a blank is wanted"
	UnknownKey         Found = "an SSH key of a kind that is not supported"
	DamagedKey         Found = "an SSH public key that can't be read"
	ControlCharacter   Found = "a control character, at which some programs begin a new line"
	Request            Found = "a certificate request"
	TrustedCertificate Found = "a certificate with OpenSSL's own additions (TRUSTED CERTIFICATE)" // PEM of openssl x509 -trustout
	DamagedCertificate Found = "PEM that can't be read"
	DER                Found = "an X.509 certificate in DER"
	BareBase64         Found = "a certificate in base64 without its BEGIN and END lines"
	PKCS12             Found = "a PKCS#12 file"
	PKCS7              Found = "a PKCS#7 file"
	PKCS7DER           Found = "a PKCS#7 file in DER"
	UTF16              Found = "text in UTF-16"
	ByteOrderMark      Found = "a byte order mark before the text"
)

// An ImportError is a text that is no public half. It says nothing of what is in it,
// which may be a private key.
type ImportError struct {
	Want   Type // what was asked for, or looked like; zero: neither
	Found  Found
	Line   int    // where, from 2; 0: on the first line, or the whole
	Detail string // more about it, or empty
}

func (e *ImportError) Error() string {
	want := SSH.what() + " or " + X509.what()
	if e.Want != "" {
		want = e.Want.what()
	}
	text := fmt.Sprintf("found %s, where %s is wanted", e.Found, want)
	switch {
	case e.Found == SSHKey || e.Found == Certificate:
		text = fmt.Sprintf("it is %s, but the type %s was asked for", e.Found, e.Want)
	case e.Found == PrivateHalf:
		text = "there is a private key beside the public half"
	case e.Line > 0:
		text = fmt.Sprintf("line %d is not a public key: found %s", e.Line, e.Found)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// FaultKind makes the error [fault.Malformed].
func (*ImportError) FaultKind() fault.Kind { return fault.Malformed }

func found(f Found) *ImportError { return &ImportError{Found: f} }

func foundf(f Found, format string, args ...any) *ImportError {
	return &ImportError{Found: f, Detail: fmt.Sprintf(format, args...)}
}
