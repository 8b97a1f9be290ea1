package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"x509ctl/pkg/serial"
)

// evidence is what a self-test leaves.
type evidence struct {
	files     []certFile
	inventory []record
	counter   serial.Number // in the serial file
}

// A certFile is one file that a process of the test made.
type certFile struct {
	path  string
	certs []record
	fault string // why it is not whole; empty for one that is
}

// A record is a certificate by its number and its SHA-256.
type record struct {
	serial      serial.Number
	fingerprint [sha256.Size]byte
}

// findCertificates reads every file below dir, but for what a killed process left
// under a temporary name.
func findCertificates(dir string) (files []certFile, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f := certFile{path: path}
		if f.certs, err = wholePEM(data); err != nil {
			f.fault = err.Error()
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what the self-test left: %w", err)
	}
	return files, nil
}

// wholePEM returns the certificates in data, which holds one PEM block after the
// other and nothing else.
func wholePEM(data []byte) (certs []record, err error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("it is empty")
	}
	for rest := data; len(rest) > 0; {
		block, after := pem.Decode(rest)
		if block == nil || !bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
			return certs, fmt.Errorf("it is cut or damaged at byte %d", len(data)-len(rest))
		}
		rest = after
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return certs, fmt.Errorf("a certificate in it is damaged: %w", err)
		}
		if !cert.SerialNumber.IsInt64() {
			return certs, fmt.Errorf("the serial number %v is none of ours", cert.SerialNumber)
		}
		certs = append(certs, record{serial.Number(cert.SerialNumber.Int64()), sha256.Sum256(cert.Raw)})
	}
	return certs, nil
}

// faults returns what is wrong with e.
func (e evidence) faults() (found []string) {
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	recorded := map[serial.Number]record{}
	for _, r := range e.inventory {
		if _, twice := recorded[r.serial]; twice {
			fault("the inventory has number %v twice", r.serial)
		}
		recorded[r.serial] = r
		if r.serial > e.counter {
			fault("number %v is in the inventory, and the serial file says %v", r.serial, e.counter)
		}
	}
	type place struct {
		record
		path string
	}
	seen := map[serial.Number]place{}
	for _, f := range e.files {
		if f.fault != "" {
			fault("%s is not whole: %s", f.path, f.fault)
		}
		for _, c := range f.certs {
			before, known := seen[c.serial]
			switch r, ok := recorded[c.serial]; {
			case known && before.record != c:
				fault("number %v was given twice: in %s and in %s", c.serial, before.path, f.path)
			case !ok:
				fault("certificate %v in %s is not in the inventory", c.serial, f.path)
			case r != c:
				fault("certificate %v in %s is not the one in the inventory", c.serial, f.path)
			}
			if c.serial > e.counter {
				fault("number %v is in %s, and the serial file says %v", c.serial, f.path, e.counter)
			}
			seen[c.serial] = place{c, f.path}
		}
	}
	return found
}
