package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"x509ctl/pkg/profile"
)

// keyTypeValue is the value of --key-type. Empty means that the flag was not given.
type keyTypeValue profile.KeyAlgorithm

func (k *keyTypeValue) String() string { return string(*k) }

// Set is the flag's.
func (k *keyTypeValue) Set(s string) error {
	v, err := profile.ParseKeyAlgorithm(s)
	*k = keyTypeValue(v)
	return err
}

// Type is the placeholder in help and man pages.
func (*keyTypeValue) Type() string { return "TYPE" }

// addKeyTypeFlag adds --key-type. When it is not given, k stays what it is: empty for the
// settings' type.
func addKeyTypeFlag(cmd *cobra.Command, k *profile.KeyAlgorithm, usage string) {
	words := keyTypeWords()
	usage += ": " + strings.Join(words, ", ")
	if *k == "" {
		usage += " (default: key_type of the settings, " + string(defaultKeyType) + ")"
	}
	cmd.Flags().Var((*keyTypeValue)(k), "key-type", usage)
	completeWords(cmd, "key-type", words...)
}

func keyTypeWords() []string {
	var words []string
	for _, k := range profile.KeyAlgorithms() {
		words = append(words, string(k))
	}
	return words
}

// keyTypeOf names the type of a public key as --key-type would, those included
// that no key is made of.
func keyTypeOf(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ecdsa-" + strings.ToLower(strings.ReplaceAll(k.Params().Name, "-", ""))
	case ed25519.PublicKey:
		return "ed25519"
	}
	return fmt.Sprintf("%T", key)
}

// spkiSHA256 is the SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal.
func spkiSHA256(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
