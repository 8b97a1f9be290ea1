package pkcs12

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	gopkcs12 "software.sslmate.com/src/go-pkcs12"
)

// algorithms is what the files of a profile contain.
type algorithms struct {
	encoder         *gopkcs12.Encoder
	mac, certs, key asn1.ObjectIdentifier
}

func algorithmsOf(p Profile) (algorithms, bool) {
	var (
		sha1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
		sha256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
		pbmac1 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
		pbes2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
		tdes   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
		rc2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}
	)
	switch p {
	case Modern2023:
		return algorithms{gopkcs12.Modern2023, sha256, pbes2, pbes2}, true
	case Modern2026:
		return algorithms{gopkcs12.Modern2026, pbmac1, pbes2, pbes2}, true
	case LegacyDES:
		return algorithms{gopkcs12.LegacyDES, sha1, tdes, tdes}, true
	case LegacyRC2:
		return algorithms{gopkcs12.LegacyRC2, sha1, rc2, tdes}, true
	}
	return algorithms{}, false
}

type algorithmIdentifier = pkix.AlgorithmIdentifier

// The parts of RFC 7292, section 4, down to where the algorithms stand.
type (
	pfx struct {
		Version  int
		AuthSafe contentInfo
		MAC      macData `asn1:"optional"`
	}
	macData struct {
		Digest struct {
			Algorithm pkix.AlgorithmIdentifier
			Digest    []byte
		}
		Salt       []byte
		Iterations int `asn1:"optional,default:1"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit"`
	}
	encryptedData struct {
		Version int
		Content struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      []byte `asn1:"tag:0"`
		}
	}
	safeBag struct {
		Type       asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes asn1.RawValue `asn1:"set,optional"`
	}
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
)

var (
	oidData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncrypted   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidShroudedKey = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
)

// checkStructure returns an error unless data is a file with a MAC, certificates
// and one key, each by the algorithm of a.
func (a algorithms) checkStructure(data []byte) error {
	var file pfx
	if err := unmarshal(data, &file); err != nil {
		return err
	}
	if file.Version != 3 || !file.AuthSafe.Type.Equal(oidData) {
		return errors.New("not a PKCS#12 file of version 3 with a password")
	}
	if got := file.MAC.Digest.Algorithm.Algorithm; !got.Equal(a.mac) {
		return fmt.Errorf("the MAC is by %v, not %v", got, a.mac)
	}
	var safe []byte
	if err := unmarshal(file.AuthSafe.Content.Bytes, &safe); err != nil {
		return err
	}
	var parts []contentInfo
	if err := unmarshal(safe, &parts); err != nil {
		return err
	}
	if len(parts) != 2 || !parts[0].Type.Equal(oidEncrypted) || !parts[1].Type.Equal(oidData) {
		return errors.New("not one part with certificates and one with the key")
	}
	var certs encryptedData
	if err := unmarshal(parts[0].Content.Bytes, &certs); err != nil {
		return err
	}
	if got := certs.Content.Algorithm.Algorithm; !got.Equal(a.certs) {
		return fmt.Errorf("the certificates are encrypted by %v, not %v", got, a.certs)
	}
	return a.checkKeyPart(parts[1].Content.Bytes)
}

// checkKeyPart is checkStructure of the part with the key.
func (a algorithms) checkKeyPart(data []byte) error {
	var contents []byte
	if err := unmarshal(data, &contents); err != nil {
		return err
	}
	var bags []safeBag
	if err := unmarshal(contents, &bags); err != nil {
		return err
	}
	if len(bags) != 1 || !bags[0].Type.Equal(oidShroudedKey) {
		return errors.New("not one encrypted key")
	}
	var key encryptedKey
	if err := unmarshal(bags[0].Value.Bytes, &key); err != nil {
		return err
	}
	if got := key.Algorithm.Algorithm; !got.Equal(a.key) {
		return fmt.Errorf("the key is encrypted by %v, not %v", got, a.key)
	}
	return nil
}

func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	return err
}
