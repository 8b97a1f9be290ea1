package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"x509ctl/pkg/project"
)

// encodingFlag is --input-format or --output-format of what is not a table: octets.
type encodingFlag struct{ project.Encoding }

var errEncoding = errors.New("one of raw, base64 and hex is wanted")

func (f *encodingFlag) String() string { return string(f.Encoding) }

// Set is the flag's.
func (f *encodingFlag) Set(s string) error {
	for _, e := range project.Encodings() {
		if string(e) == s {
			f.Encoding = e
			return nil
		}
	}
	return errEncoding
}

// Type is the placeholder in help and man pages.
func (*encodingFlag) Type() string { return "FORMAT" }

// addEncodingFlags adds the flags for a command that reads octets and writes octets.
func addEncodingFlags(cmd *cobra.Command, in, out *encodingFlag) {
	cmd.Flags().Var(in, "input-format", "how the input is written: raw, base64 or hex; it is not guessed")
	cmd.Flags().Var(out, "output-format", "how the output is written: raw, base64 or hex")
	for _, flag := range []string{"input-format", "output-format"} {
		completeWords(cmd, flag, string(project.Raw), string(project.Base64), string(project.Hex))
	}
}

// maxSecretInput bounds what is read as a secret or a ciphertext, in bytes: a ciphertext
// for RSA-8192 in hex, with much space between, is smaller.
const maxSecretInput = 64 << 10
