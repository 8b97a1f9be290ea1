package authority

import (
	"bufio"
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/trust"
)

// Entries are those of a revocation list on their way into it: in memory while they
// are few, in a file without a name when they are more.
type Entries struct {
	*profile.CRLEntries
	dir   *durable.Dir
	few   bytes.Buffer
	file  *os.File // nil while they are few
	queue *bufio.Writer
	size  int64
}

// fewEntries is how many octets of entries are kept in memory.
const fewEntries = 1 << 20

// NewEntries returns no entries. The caller closes them.
func (l *Locked) NewEntries() *Entries {
	e := &Entries{dir: l.dir}
	e.CRLEntries = profile.NewCRLEntries(e)
	return e
}

// Write implements [io.Writer], for the CRLEntries.
func (e *Entries) Write(b []byte) (int, error) {
	if e.file == nil && e.few.Len()+len(b) > fewEntries {
		f, err := e.dir.Scratch()
		if err != nil {
			return 0, err
		}
		e.file, e.queue = f, bufio.NewWriterSize(f, 1<<16)
		if _, err := e.few.WriteTo(e.queue); err != nil {
			return 0, fmt.Errorf("writing the entries of a revocation list: %w", err)
		}
		e.few = bytes.Buffer{}
	}
	e.size += int64(len(b))
	if e.file == nil {
		return e.few.Write(b)
	}
	n, err := e.queue.Write(b)
	if err != nil {
		err = fmt.Errorf("writing the entries of a revocation list: %w", err)
	}
	return n, err
}

// Close forgets the entries.
func (e *Entries) Close() error {
	if e.file == nil {
		return nil
	}
	return e.file.Close()
}

// whole returns all that was added.
func (e *Entries) whole() (io.ReaderAt, error) {
	if e.file == nil {
		return bytes.NewReader(e.few.Bytes()), nil
	}
	if err := e.queue.Flush(); err != nil {
		return nil, fmt.Errorf("writing the entries of a revocation list: %w", err)
	}
	return e.file, nil
}

// A NewCRL is what is the same in the revocation lists of an authority's CAs.
type NewCRL struct {
	Number int64
	Floor  serial.Floor
	Now    time.Time
}

// SignCRL makes the revocation list of a with these entries, which hold until e is
// closed. Error: [profile.ErrNoCRLSign].
func (a *Authority) SignCRL(n NewCRL, e *Entries) (*CRL, error) {
	floor, err := asn1.Marshal(int64(max(n.Floor, 1)))
	if err != nil {
		return nil, err
	}
	list, err := profile.NewCRL(a.issuer, n.Number, n.Now, pkix.Extension{Id: trust.MinSerialExtension, Value: floor})
	if err != nil {
		return nil, err
	}
	entries, err := e.whole()
	if err != nil {
		return nil, err
	}
	signed, err := list.Sign(a.key, entries, e.size)
	if err != nil {
		return nil, err
	}
	return &CRL{SignedCRL: signed, By: a, ThisUpdate: list.ThisUpdate(), NextUpdate: list.NextUpdate()}, nil
}

// A CRL is the revocation list of one CA.
type CRL struct {
	*profile.SignedCRL
	By                     *Authority
	ThisUpdate, NextUpdate time.Time
}

// WriteTo writes the list in PEM (RFC 7468, section 7). It implements [io.WriterTo].
func (c *CRL) WriteTo(w io.Writer) (n int64, err error) {
	lines := &pemLines{w: bufio.NewWriterSize(w, 1<<16)}
	encoder := base64.NewEncoder(base64.StdEncoding, lines)
	lines.text("-----BEGIN X509 CRL-----\n")
	_, err = io.Copy(encoder, c.Reader())
	err = errors.Join(err, encoder.Close())
	if lines.column > 0 {
		lines.text("\n")
	}
	lines.text("-----END X509 CRL-----\n")
	return lines.n, errors.Join(err, lines.w.Flush())
}

// pemLines breaks Base64 into lines of 64 characters.
type pemLines struct {
	w      *bufio.Writer // remembers its error until Flush
	column int
	n      int64
}

func (l *pemLines) text(s string) {
	_, _ = l.w.WriteString(s)
	l.n += int64(len(s))
}

// Write implements [io.Writer].
func (l *pemLines) Write(b []byte) (int, error) {
	const width = 64
	done := len(b)
	for len(b) > 0 {
		part := b[:min(len(b), width-l.column)]
		if _, err := l.w.Write(part); err != nil {
			return 0, err
		}
		b, l.n = b[len(part):], l.n+int64(len(part))
		if l.column += len(part); l.column == width {
			l.text("\n")
			l.column = 0
		}
	}
	return done, nil
}

// PublishCRL puts the lists of all CAs that are alive into crl.pem, in this order, and
// then what is above: the lists of those who signed these CAs, in PEM. The caller has held
// the lock since it took their number, so that no later one is there. It returns what the
// file is.
func (l *Locked) PublishCRL(lists []*CRL, above []byte) (durable.Stat, error) {
	return l.dir.ReplaceWith(crlFile, 0o644, func(w io.Writer) error {
		for _, c := range lists {
			if _, err := c.WriteTo(w); err != nil {
				return err
			}
		}
		_, err := w.Write(above)
		return err
	})
}

// StatCRL describes crl.pem. Error: fault.NotFound while there is none.
func (d *Directory) StatCRL() (durable.Stat, error) { return d.dir.Stat(crlFile) }

// HasCRL reports whether there is a crl.pem.
func (d *Directory) HasCRL() (bool, error) { return d.has(crlFile) }
