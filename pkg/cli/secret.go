package cli

import (
	"fmt"
	"os"
	"strings"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
)

// maxSecretFile bounds a file that a passphrase is read from, in bytes.
const maxSecretFile = 4096

// A secretSource is where a passphrase or password may come from, in this order:
// the file, the variable, a question.
type secretSource struct {
	file string // its first line, or empty
	flag string // the flag that names the file
	env  string // a variable with the secret itself, or empty
	what string // "the passphrase of the CA's key"
	new  bool   // asked for twice
}

// secret reads a secret. It is never empty.
func (a *app) secret(src secretSource) (string, error) {
	secret, err := a.findSecret(src)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", src.what, err)
	}
	if secret == "" {
		return "", fault.Errorf(fault.Malformed, "%s is empty", src.what)
	}
	return secret, nil
}

func (a *app) findSecret(src secretSource) (string, error) {
	if src.file != "" {
		return readSecretFile(src.file)
	}
	if src.env != "" {
		if s, ok := a.lookupEnv(src.env); ok {
			return s, nil
		}
	}
	return a.askSecret(src.flag, "Type "+src.what+":", src.new)
}

// readSecretFile returns the first line of the file at path. A regular file that
// others than its owner can read holds no secret and is refused.
func readSecretFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", &durable.SecrecyError{Path: path, Mode: info.Mode(), Mend: 0o400}
	}
	b, err := durable.ReadInput(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
