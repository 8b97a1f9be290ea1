package keypair

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
)

// certSuffix ends the names of OpenSSH's certificates.
const certSuffix = "-cert-v01@openssh.com"

// An sshFormat reads the fields of a key that follow its name in the blob, and
// returns the size of the key in bits; the reader is bad after what is no such key.
type sshFormat func(r *reader) (bits int)

// sshFormats are the keys that Nova takes. Those of security keys it takes with
// cryptography 43 and later.
func sshFormats(name string) sshFormat {
	switch name {
	case "ssh-ed25519":
		return readEd25519
	case "ssh-rsa":
		return readRSA
	case "ssh-dss":
		return readDSA
	case "ecdsa-sha2-nistp256":
		return readECDSA("nistp256", ecdh.P256(), 256)
	case "ecdsa-sha2-nistp384":
		return readECDSA("nistp384", ecdh.P384(), 384)
	case "ecdsa-sha2-nistp521":
		return readECDSA("nistp521", ecdh.P521(), 521)
	case "sk-ssh-ed25519@openssh.com":
		return withApplication(readEd25519)
	case "sk-ecdsa-sha2-nistp256@openssh.com":
		return withApplication(readECDSA("nistp256", ecdh.P256(), 256))
	}
	return nil
}

func readEd25519(r *reader) int {
	if len(r.string()) != 32 {
		r.bad = true
	}
	return 256
}

func readRSA(r *reader) int {
	e, n := r.integer(), r.integer()
	if e.Cmp(big.NewInt(3)) < 0 || e.Cmp(n) >= 0 || e.Bit(0) == 0 {
		r.bad = true
	}
	return n.BitLen()
}

// readDSA takes 1024 bits only: sshd knows no other.
func readDSA(r *reader) int {
	p, q, g, _ := r.integer(), r.integer(), r.integer(), r.integer()
	if p.BitLen() != 1024 || !slices.Contains([]int{160, 224, 256}, q.BitLen()) || g.Cmp(big.NewInt(1)) <= 0 || g.Cmp(p) >= 0 {
		r.bad = true
	}
	return p.BitLen()
}

func readECDSA(name string, curve ecdh.Curve, bits int) sshFormat {
	return func(r *reader) int {
		named := string(r.string()) == name
		if _, err := curve.NewPublicKey(r.string()); err != nil || !named {
			r.bad = true
		}
		return bits
	}
}

// withApplication reads the key of a security key (PROTOCOL.u2f of OpenSSH).
func withApplication(of sshFormat) sshFormat {
	return func(r *reader) int {
		bits := of(r)
		if !bytes.HasPrefix(r.string(), []byte("ssh:")) {
			r.bad = true
		}
		return bits
	}
}

// readSSHBlob reads a key, or a certificate (PROTOCOL.certkeys of OpenSSH) whose
// signature is the guest's concern. ok is false for any other.
func readSSHBlob(name string, blob []byte) (bits int, ok bool) {
	plain, certificate := strings.CutSuffix(name, certSuffix)
	format := sshFormats(plain)
	r := &reader{rest: blob}
	if format == nil || string(r.string()) != name {
		return 0, false
	}
	if certificate {
		r.string() // nonce
	}
	bits = format(r)
	if certificate {
		r.skipUint64() // serial
		r.uint32()     // user or host
		r.string()     // key id
		r.string()     // principals
		r.skipUint64() // valid after
		r.skipUint64() // valid before
		for range 5 {  // critical options, extensions, reserved, CA's key, signature
			r.string()
		}
	}
	return bits, r.done()
}

// An sshLine is one line with a public key in it.
type sshLine struct {
	name    string
	blob    []byte
	bits    int
	comment string
}

// isSSHName says whether word is the name of a kind of key, known here or not.
func isSSHName(word string) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// parseSSHLine reads NAME, blanks, base64, and an optional comment. What it finds
// instead is an error without a line number.
func parseSSHLine(line string) (sshLine, *ImportError) {
	name, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "" || line[0] == ' ' || line[0] == '\t':
		return sshLine{}, found(LeadingBlank)
	case strings.Contains(name, "\t") && isSSHName(name):
		return sshLine{}, found(TabSeparator)
	case line[0] == '#':
		return sshLine{}, found(CommentLine)
	case !isSSHName(name):
		return sshLine{}, whatElse(line)
	case sshFormats(strings.TrimSuffix(name, certSuffix)) == nil:
		return sshLine{}, foundf(UnknownKey, "%.60q", name)
	}
	rest = strings.TrimLeft(rest, " \t")
	end := strings.IndexAny(rest, " \t")
	if end < 0 {
		end = len(rest)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(rest[:end])
	if err != nil {
		return sshLine{}, foundf(DamagedKey, "its base64 is cut short, or has other signs in it")
	}
	bits, ok := readSSHBlob(name, blob)
	if !ok {
		return sshLine{}, foundf(DamagedKey, "what is in its base64 is no %s key", name)
	}
	return sshLine{name, blob, bits, strings.TrimSpace(rest[end:])}, nil
}

// whatElse names what a line is that begins with no name of a key.
func whatElse(line string) *ImportError {
	for word := range strings.FieldsSeq(line) {
		if isSSHName(word) && strings.Contains(line, word+" ") {
			return found(Options)
		}
	}
	return found(Unknown)
}
