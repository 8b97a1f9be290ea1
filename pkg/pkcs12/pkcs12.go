// Package pkcs12 packs a key and its certificates into one file for programs
// that want them so.
package pkcs12

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"

	"x509ctl/pkg/fault"
)

// A Profile is a dated set of algorithms.
type Profile string

// The profiles.
const (
	Modern2023 Profile = "modern2023" // the default
	Modern2026 Profile = "modern2026"
	LegacyDES  Profile = "legacy-des"
	LegacyRC2  Profile = "legacy-rc2"
)

// Profiles returns every profile, the default first.
func Profiles() []Profile { return []Profile{Modern2023, Modern2026, LegacyDES, LegacyRC2} }

// ParseProfile reads a profile's name or an alias, in any letter case; "" is the
// default.
func ParseProfile(s string) (Profile, error) {
	return "", fault.New(fault.Internal, "not written yet")
}

// Readers says in one sentence which programs can open p.
func (p Profile) Readers() string { return "" }

// CheckPassword refuses passwords that programs disagree about: [fault.Denied].
func CheckPassword(password string) error {
	return fault.New(fault.Internal, "not written yet")
}

// GeneratePassword returns a new password of at least 128 bits, letters and
// digits only.
func GeneratePassword() string { return rand.Text() }

// Encode packs key, leaf and chain; the password may not be empty.
func Encode(p Profile, key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate, password string) ([]byte, error) {
	return nil, fault.New(fault.Internal, "not written yet")
}

// EncodeEmptyPassword is Encode with an empty password.
func EncodeEmptyPassword(p Profile, key crypto.PrivateKey, leaf *x509.Certificate, chain []*x509.Certificate) ([]byte, error) {
	return nil, fault.New(fault.Internal, "not written yet")
}
