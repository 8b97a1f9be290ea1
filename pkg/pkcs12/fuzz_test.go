package pkcs12

import (
	"crypto"
	"testing"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"

	"x509ctl/pkg/fault"
)

// FuzzParse reads data as a file, and opens it: whatever comes, it takes no longer
// than MaxWork, and what go-pkcs12 reads is read in the same way.
func FuzzParse(f *testing.F) {
	c := newContents(f, 1)
	for _, e := range []*gopkcs12.Encoder{gopkcs12.Modern2023, gopkcs12.Modern2026, gopkcs12.LegacyDES, gopkcs12.LegacyRC2, gopkcs12.Passwordless} {
		f.Add(encodeWith(e.WithIterations(1), c, ""))
	}
	f.Add(vector(f, "pbmac1-short-key-bypass.txt"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			if file != nil && fault.KindOf(err) != fault.Malformed {
				t.Fatalf("%v is %v", err, fault.KindOf(err))
			}
			return
		}
		_ = file.Readers()
		if file.MAC != nil && file.MAC.work > 100 {
			return // so that a round is quick
		}
		for _, p := range file.Parts {
			for _, b := range append(p.Bags, Bag{Encryption: p.Encryption}) {
				if b.Encryption != nil && b.Encryption.work > 100 {
					return
				}
			}
		}
		if file.Check() != nil {
			return
		}
		got, err := file.Open("")
		if kind := fault.KindOf(err); err != nil && kind == fault.Internal {
			t.Fatalf("%v is internal", err)
		}
		key, leaf, chain, otherErr := gopkcs12.DecodeChain(data, "")
		if err != nil || otherErr != nil {
			return
		}
		if len(got.Keys) != 1 || len(got.Certificates) != 1+len(chain) || !got.Certificates[0].Equal(leaf) {
			t.Fatalf("got %d keys, %d certificates", len(got.Keys), len(got.Certificates))
		}
		if signer := got.Keys[0].Signer; signer != nil && !samePublicKey(signer.Public(), key.(crypto.Signer).Public()) {
			t.Fatal("got another key")
		}
	})
}
