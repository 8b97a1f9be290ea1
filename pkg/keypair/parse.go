package keypair

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Parse judges the public half of a keypair, as the package comment says. With the
// zero Type, the content decides which it is.
// Error: an [*ImportError].
func Parse(t Type, text string) (*Public, error) {
	if err := refuseAlways(text); err != nil {
		err.Want = t
		return nil, err
	}
	if t == "" {
		t = Detect(text)
	}
	var p *Public
	var err *ImportError
	switch t {
	case SSH:
		p, err = parseSSH(text)
	case X509:
		p, err = parseCertificate(text)
	default:
		err = recognise(text)
	}
	if err != nil {
		err.Want = t
		return nil, err
	}
	p.Type, p.Text = t, text
	return p, nil
}

// Detect says which type text looks like: by its first line, or by a certificate
// anywhere. It returns the zero Type for what is neither. Parse may refuse it still.
func Detect(text string) Type {
	first, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n"), "\n")
	if word, _, _ := strings.Cut(strings.ReplaceAll(first, "\t", " "), " "); isSSHName(word) {
		return SSH
	}
	for _, label := range certificateLabels {
		if strings.Contains(text, "-----BEGIN "+label+"-----") {
			return X509
		}
	}
	if whatElse(first).Found == Options {
		return SSH
	}
	return ""
}

// refuseAlways finds what is no public half of any type.
func refuseAlways(text string) *ImportError {
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return found(UTF16)
	case strings.HasPrefix(text, "\ufeff"):
		return found(ByteOrderMark)
	case len(text) > 1 && text[0] == 0x30 && !utf8.ValidString(text):
		return recogniseDER([]byte(text))
	case len(text) > MaxPublic:
		return foundf(TooLong, "it has %d octets, at most %d are taken", len(text), MaxPublic)
	case !utf8.ValidString(text):
		return foundf(Unknown, "it is not UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return found(ControlCharacter)
	case strings.TrimSpace(text) == "":
		return found(Nothing)
	case strings.HasPrefix(text, "PuTTY-User-Key-File-"):
		return found(PuTTY)
	}
	return nil
}

// hasPrivateKey says whether there is a private key in PEM in text.
func hasPrivateKey(text string) bool {
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "-----BEGIN ")
		if !ok {
			return false
		}
		label, _, _ := strings.Cut(after, "-----")
		if strings.HasSuffix(label, "PRIVATE KEY") {
			return true
		}
		rest = after
	}
}

// endsLine are the signs besides a newline at which some program ends a line:
// Python's splitlines, by which cloud-init reads authorized_keys before it writes
// it anew, takes all of them.
const endsLine = "\v\f\x1c\x1d\x1e\u0085\u2028\u2029"

// parseSSH reads one public key on each line. Blank lines after the first are
// nothing.
func parseSSH(text string) (*Public, *ImportError) {
	if strings.ContainsAny(text, endsLine) {
		return nil, found(ControlCharacter)
	}
	var p Public
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	for i, line := range lines {
		if i > 0 && strings.TrimSpace(line) == "" {
			continue
		}
		key, err := parseSSHLine(line)
		switch {
		case err != nil && i == 0:
			return nil, recogniseUnless(err, text)
		case err != nil:
			err.Line = i + 1
			if hasPrivateKey(text) {
				err = found(PrivateHalf)
			}
			return nil, err
		case i == 0:
			p = Public{Algorithm: key.name, Bits: key.bits, Comment: key.comment, blob: key.blob}
		}
		p.Keys++
	}
	return &p, nil
}

// recogniseUnless names the file as a whole, if it is something that is known, and
// else what is wrong with its first line.
func recogniseUnless(err *ImportError, text string) *ImportError {
	if err.Found != Unknown && err.Found != LeadingBlank {
		return err
	}
	if whole := recognise(text); whole.Found != Unknown && whole.Found != SSHKey {
		return whole
	}
	return err
}

// recognise says what text is instead of a public half.
func recognise(text string) *ImportError {
	switch trimmed := strings.TrimSpace(text); {
	case Detect(text) == X509:
		return found(Certificate)
	case Detect(text) == SSH:
		return found(SSHKey)
	case hasPrivateKey(text):
		return found(PrivateKey)
	case strings.Contains(text, "---- BEGIN SSH2 PUBLIC KEY ----"):
		return found(RFC4716)
	case strings.Contains(text, "-----BEGIN PUBLIC KEY-----"):
		return found(PEMKey)
	case strings.Contains(text, "-----BEGIN RSA PUBLIC KEY-----"):
		return found(PKCS1Key)
	case strings.Contains(text, "-----BEGIN CERTIFICATE REQUEST-----"), strings.Contains(text, "-----BEGIN NEW CERTIFICATE REQUEST-----"):
		return found(Request)
	case strings.Contains(text, "-----BEGIN TRUSTED CERTIFICATE-----"):
		return found(TrustedCertificate)
	case strings.Contains(text, "-----BEGIN PKCS7-----"):
		return found(PKCS7)
	case strings.HasPrefix(trimmed, "AAAA"):
		return foundf(DamagedKey, "the kind of key, such as ssh-ed25519, is missing in front of it")
	case strings.HasPrefix(trimmed, "MII"):
		return recogniseBase64(trimmed)
	case strings.HasPrefix(trimmed, "#"):
		return found(CommentLine)
	}
	return found(Unknown)
}

// recogniseBase64 looks at text in base64 that may be a certificate without the
// lines around it.
func recogniseBase64(text string) *ImportError {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return found(Unknown)
	}
	if e := recogniseDER(der); e.Found != DER {
		return e
	}
	return found(BareBase64)
}

// recogniseDER says what DER is.
func recogniseDER(der []byte) *ImportError {
	switch {
	case checkCertificate(der) == nil:
		return found(DER)
	case bytes.Contains(der[:min(len(der), 64)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")):
		if len(der) > 8 && bytes.Contains(der[:8], []byte{2, 1, 3, 0x30}) {
			return found(PKCS12)
		}
		return found(PKCS7DER)
	}
	return found(Unknown)
}
