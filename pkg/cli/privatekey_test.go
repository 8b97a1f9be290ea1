package cli

import (
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/pkcs12"
)

// absurdKey is encrypted with 2^31-1 iterations, which keep other programs busy for
// an hour.
const absurdKey = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHuMFkGCSqGSIb3DQEFDTBMMCsGCSqGSIb3DQEFDDAeBAjLUwHuIxr8uAIEf////zAMBggqhkiG
9w0CCQUAMB0GCWCGSAFlAwQBKgQQIcS0FjMO1MAtbMiSXCubXgSBkAPVlhzy1I37I4/dZzIhz2vY
DvxZTyu9x7UfOxO1suxFXXd6B6CgfzVXxvGuckogs6IWU6GaAC1wTLKFS/iurxsTl3r4fXoCLxD0
DfJOnBH1ekA+mQejVFBU8MLrQi66M1LZKP930L6lCa8ZJmxXPqmeGleicFtbMPwmPogoj1adsC+c
NnJlS4o76McvA1lu1g==
-----END ENCRYPTED PRIVATE KEY-----
`

// TestHostileKeys holds keys that are refused at once, and before anybody is asked
// for a passphrase.
func TestHostileKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		data []byte
		kind fault.Kind
	}{
		"2^31-1 iterations":   {[]byte(absurdKey), fault.Denied},
		"a key of a megabyte": {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 1<<20)}), fault.Malformed},
	} {
		begin := time.Now()
		_, err := decodeKey(tc.data, func() ([]byte, error) {
			t.Errorf("%s: a passphrase was asked for", name)
			return nil, errors.New("none")
		})
		if fault.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if _, err := decodeKey([]byte(absurdKey), nil); !errors.Is(err, pkcs12.ErrTooMuchWork) {
		t.Error(err)
	}
}

// FuzzDecodeKey looks for input that ends the process.
func FuzzDecodeKey(f *testing.F) {
	samples, _ := inspectSamples(f)
	for _, s := range samples {
		f.Add(s.data)
	}
	f.Add([]byte(absurdKey))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = decodeKey(data, func() ([]byte, error) { return []byte("secret"), nil })
		_, _, _ = subjectKey(data)
	})
}
