package project

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"x509ctl/pkg/fault"
)

// An Encoding is how octets are written in a file. It is always said, never guessed: the
// text "deadbeef" is good hex, good base64, and good octets. The zero Encoding is none.
type Encoding string

// The encodings.
const (
	Raw    Encoding = "raw"    // the octets themselves
	Base64 Encoding = "base64" // RFC 4648, section 4, padded
	Hex    Encoding = "hex"    // RFC 4648, section 8, in either case
)

// Encodings returns every Encoding.
func Encodings() []Encoding { return []Encoding{Raw, Base64, Hex} }

// Decode returns the octets that text stands for. ASCII white space in base64 and hex
// counts for nothing.
//
// Errors, all [fault.Malformed]: another text, of which nothing is shown, for it may be a
// secret; an unknown encoding.
func (e Encoding) Decode(text []byte) ([]byte, error) {
	switch e {
	case Raw:
		return bytes.Clone(text), nil
	case Base64:
		text = withoutSpace(text)
		out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Strict().Decode(out, text)
		if err != nil {
			return nil, fault.New(fault.Malformed, "it is not base64")
		}
		return out[:n], nil
	case Hex:
		text = withoutSpace(text)
		out := make([]byte, hex.DecodedLen(len(text)))
		_, err := hex.Decode(out, text)
		if errors.Is(err, hex.ErrLength) {
			return nil, fault.New(fault.Malformed, "it is not hex: there is an odd number of digits")
		}
		if err != nil {
			return nil, fault.New(fault.Malformed, "it is not hex")
		}
		return out, nil
	}
	return nil, unknown(e)
}

// Encode returns octets as a text: with a newline at its end, but for [Raw]. The error is
// [fault.Malformed], for an unknown encoding.
func (e Encoding) Encode(octets []byte) ([]byte, error) {
	switch e {
	case Raw:
		return bytes.Clone(octets), nil
	case Base64:
		return append(base64.StdEncoding.AppendEncode(nil, octets), '\n'), nil
	case Hex:
		return append(hex.AppendEncode(nil, octets), '\n'), nil
	}
	return nil, unknown(e)
}

func unknown(e Encoding) error {
	return fault.Errorf(fault.Malformed, "%.20q is no encoding: there are raw, base64 and hex", string(e))
}

// withoutSpace returns text without the white space of ASCII.
func withoutSpace(text []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '\v', '\f':
			return -1
		}
		return r
	}, text)
}
