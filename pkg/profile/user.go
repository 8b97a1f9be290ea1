package profile

import "strconv"

// maxUserLength is the most characters of a user's id: it is a common name.
const maxUserLength = maxCommonNameLength

// ParseUser checks that s is the id of a user who may be a member of a project, and returns
// it as given: 1 to 64 ASCII letters, digits and the characters "._@+-", the first of them
// a letter or a digit, the last no dot. That takes in the hexadecimal ids of Keystone, mail
// addresses and account names, and leaves out blanks, control characters, look-alikes of
// other scripts, what a shell or a path would take for something else, and the absolute
// form of a DNS name, which is another spelling of a node's.
//
// Errors: [*NameError].
func ParseUser(s string) (string, error) {
	if reason := userFlaw(s); reason != "" {
		return "", &NameError{Kind: "user", Name: s, Reason: reason}
	}
	return s, nil
}

// userFlaw returns what is wrong with s as the id of a user, or "".
func userFlaw(s string) string {
	if s == "" {
		return "the id is empty"
	}
	if len(s) > maxUserLength {
		return "longer than " + strconv.Itoa(maxUserLength) + " characters"
	}
	for i, r := range s {
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9':
		case r != '.' && r != '_' && r != '@' && r != '+' && r != '-':
			return "holds " + strconv.QuoteRuneToASCII(r) + `; allowed are ASCII letters, digits and "._@+-"`
		case i == 0:
			return "begins with " + strconv.QuoteRuneToASCII(r) + "; a letter or a digit has to be there"
		}
	}
	if s[len(s)-1] == '.' {
		return "ends in a dot"
	}
	return ""
}
