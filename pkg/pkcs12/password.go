package pkcs12

import (
	"crypto/rand"

	"x509ctl/pkg/fault"
)

// MaxPassword is the longest password in octets, inclusive. OpenSSL reads no more
// than this from the first line of a file, and takes a longer one for wrong.
const MaxPassword = 1023

// CheckPassword returns an error of kind [fault.Denied] unless password is 1 to
// [MaxPassword] printable ASCII characters, blanks included.
//
// Other characters are refused because programs disagree about how they become
// octets: RFC 7292 wants UTF-16 for one half of the algorithms, RFC 8018 suggests
// UTF-8 for the other, and terminals and files may mean Latin-1. ASCII is the same
// everywhere.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return fault.New(fault.Denied, "the password is empty")
	case len(password) > MaxPassword:
		return fault.Errorf(fault.Denied, "the password has %d characters, more than %d", len(password), MaxPassword)
	}
	for i := range len(password) {
		if c := password[i]; c < ' ' || c > '~' {
			return fault.Errorf(fault.Denied, "octet %d of the password is not printable ASCII: programs disagree about others, and Java takes none of them", i+1)
		}
	}
	return nil
}

// GeneratePassword returns a new password of 26 capital letters and digits, with
// at least 128 random bits.
func GeneratePassword() string { return rand.Text() }
