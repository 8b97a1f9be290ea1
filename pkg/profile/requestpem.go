package profile

import (
	"bytes"
	"encoding/pem"
	"strings"

	"x509ctl/pkg/fault"
)

var (
	pemBegin = []byte("-----BEGIN ")
	utf8Mark = []byte("\xef\xbb\xbf")
)

// malformed is a request that can't be understood.
func malformed(format string, args ...any) error {
	return fault.Errorf(fault.Malformed, format, args...)
}

// requestDER returns the one request in data, PEM or DER, in memory of its own.
// What can be read as DER as a whole is DER, whatever texts stand in it.
func requestDER(data []byte) ([]byte, error) {
	if len(data) > MaxRequestSize {
		return nil, malformed("larger than %d KiB: this is no certificate request", MaxRequestSize>>10)
	}
	s, value := der(data), der(nil)
	isDER := s.ReadASN1Element(&value, tagSequence)
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return nil, malformed("there is no certificate request: the input is empty")
	case isDER && s.Empty():
		return bytes.Clone(data), nil
	case bytes.Contains(data, pemBegin):
		return requestPEM(data)
	case isDER:
		return nil, malformed("%d octets stand after the certificate request", len(s))
	case bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, malformed("the input is UTF-16 text; a certificate request in PEM is ASCII")
	}
	return nil, malformed("there is no certificate request: the input is neither PEM nor DER")
}

// requestPEM returns the one request among the lines of data. Text around the block
// is passed over; a second block of any kind is not, because nobody could say
// what it is for.
func requestPEM(data []byte) ([]byte, error) {
	blocks := pemBlocks(bytes.TrimPrefix(data, utf8Mark))
	switch {
	case len(blocks) == 0:
		return nil, malformed("there is no certificate request: no line begins with %q", pemBegin)
	case len(blocks) > 1 && holdsPrivateKey(blocks):
		return nil, malformed("a private key stands beside the certificate request; it belongs in a file of its own")
	case len(blocks) > 1:
		return nil, malformed("there are %d PEM blocks instead of one certificate request", len(blocks))
	}
	label := pemLabel(blocks[0])
	if label != "CERTIFICATE REQUEST" && label != "NEW CERTIFICATE REQUEST" {
		return nil, malformed("the PEM block is %s, not a certificate request", quote(label))
	}
	block, _ := pem.Decode(blocks[0])
	if block == nil || len(block.Headers) > 0 {
		return nil, malformed("the PEM block of the certificate request is damaged")
	}
	return block.Bytes, nil
}

// pemBlocks returns data cut at each line that opens a block, without what stands
// before the first.
func pemBlocks(data []byte) [][]byte {
	var blocks [][]byte
	for start, at := -1, 0; ; {
		i := bytes.Index(data[at:], pemBegin)
		if i < 0 {
			if start >= 0 {
				blocks = append(blocks, data[start:])
			}
			return blocks
		}
		i += at
		at = i + len(pemBegin)
		if i > 0 && data[i-1] != '\n' {
			continue
		}
		if start >= 0 {
			blocks = append(blocks, data[start:i])
		}
		start = i
	}
}

// pemLabel returns what stands between "BEGIN" and the hyphens.
func pemLabel(block []byte) string {
	line, _, _ := bytes.Cut(block[len(pemBegin):], []byte("\n"))
	label, _, _ := bytes.Cut(line, []byte("-----"))
	return string(label)
}

func holdsPrivateKey(blocks [][]byte) bool {
	for _, b := range blocks {
		if strings.HasSuffix(pemLabel(b), "PRIVATE KEY") {
			return true
		}
	}
	return false
}
