package authority

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// A BlockedKey is a key that was revoked for compromise.
type BlockedKey struct {
	SPKIHash [32]byte      // SHA-256 of its SubjectPublicKeyInfo
	Serial   serial.Number // of the certificate that it was revoked with
}

// blockedLimit bounds the file of blocked keys, in bytes: four million of them.
const blockedLimit = 256 << 20

// ErrBlockedFull means that no more keys can be blocked.
var ErrBlockedFull = fault.New(fault.Unavailable, "the file of blocked keys has no room for more")

// line is how a key stands in the file.
func (k BlockedKey) line(to []byte) []byte { return fmt.Appendf(to, "%x %d\n", k.SPKIHash, k.Serial) }

func parseBlocked(line []byte) (k BlockedKey, ok bool) {
	sum, number, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(sum) != 2*len(k.SPKIHash) {
		return k, false
	}
	if _, err := hex.Decode(k.SPKIHash[:], sum); err != nil {
		return k, false
	}
	n, err := serial.Parse(string(number))
	k.Serial = n
	return k, err == nil
}

// StatBlocked describes the file of blocked keys. Error: fault.NotFound for none.
func (d *Directory) StatBlocked() (durable.Stat, error) { return d.dir.Stat(blockFile) }

// ReadBlocked calls yield for each key in the file of blocked keys; no file has none. A
// line that a killed process did not write to its end, the last one, is none: nobody
// relied on it. Other lines that are none are counted.
func (d *Directory) ReadBlocked(yield func(BlockedKey) error) (damaged int, err error) {
	_, err = d.dir.ReadWith(blockFile, blockedLimit, durable.Guarded, func(f io.Reader) error {
		r := bufio.NewReaderSize(f, 1<<16)
		for {
			line, err := r.ReadSlice('\n')
			if err == io.EOF {
				return nil
			}
			if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // bufio returns it as it is
				return err
			}
			k, ok := parseBlocked(bytes.TrimSuffix(line, []byte("\n")))
			if !ok {
				damaged++
				continue
			}
			if err := yield(k); err != nil {
				return err
			}
		}
	})
	if fault.KindOf(err) == fault.NotFound {
		err = nil
	}
	return damaged, err
}

// WriteBlocked puts all keys that each yields into the file of blocked keys, durably.
func (l *Locked) WriteBlocked(each func(yield func(BlockedKey) error) error) (durable.Stat, error) {
	return l.dir.ReplaceWith(blockFile, 0o644, func(w io.Writer) error {
		out, size := bufio.NewWriterSize(w, 1<<16), 0
		var line []byte
		err := each(func(k BlockedKey) error {
			line = k.line(line[:0])
			if size += len(line); size > blockedLimit {
				return ErrBlockedFull
			}
			_, err := out.Write(line)
			return err
		})
		if err != nil {
			return err
		}
		return out.Flush()
	})
}

// AppendBlocked adds keys to the file of blocked keys, which is there, durably.
func (l *Locked) AppendBlocked(keys []BlockedKey) (durable.Stat, error) {
	var text []byte
	for _, k := range keys {
		text = k.line(text)
	}
	st, err := l.StatBlocked()
	if err == nil && st.Size+int64(len(text)) > blockedLimit {
		err = ErrBlockedFull
	}
	if err != nil {
		return st, err
	}
	return l.dir.Append(blockFile, text)
}
