package pkcs12

import (
	"strings"

	"x509ctl/pkg/fault"
)

// A Profile is a set of algorithms, named after the year in which it was modern or
// after its cipher. What a name stands for never changes; a better set gets a new
// name. The zero Profile is none.
type Profile string

// The profiles. [Profile.Readers] says who can open them.
const (
	Modern2023 Profile = "modern2023" // PBES2 with AES-256 and PBKDF2, MAC by SHA-256: the default
	Modern2026 Profile = "modern2026" // as Modern2023, with the MAC by PBMAC1 (RFC 9579)
	LegacyDES  Profile = "legacy-des" // 3DES, MAC by SHA-1; also called "windows2016"
	LegacyRC2  Profile = "legacy-rc2" // certificates by RC2 with 40 bits, the key by 3DES, MAC by SHA-1
)

// Profiles returns every profile, the default first.
func Profiles() []Profile { return []Profile{Modern2023, Modern2026, LegacyDES, LegacyRC2} }

// ParseProfile reads a profile's name or alias in any letter case; "" is the
// default, [Modern2023]. The error is [fault.Malformed].
func ParseProfile(s string) (Profile, error) {
	var known []string
	for _, p := range Profiles() {
		if strings.EqualFold(s, string(p)) {
			return p, nil
		}
		known = append(known, string(p))
	}
	switch {
	case s == "":
		return Modern2023, nil
	case strings.EqualFold(s, "windows2016"):
		return LegacyDES, nil
	case len(s) > 40:
		s = s[:40] + "…"
	}
	return "", fault.Errorf(fault.Malformed, "the PKCS#12 profile %q is none of %s", s, strings.Join(known, ", "))
}
