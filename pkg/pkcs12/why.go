package pkcs12

import (
	"strings"
	"unicode"
)

// A guess is another password than the one given, which mistakes and other
// programs' habits make of it.
type guess struct {
	secret secret
	why    string
}

// guesses returns what password may have become before it got into a file, or on its
// way to here.
func guesses(password string) []guess {
	var g []guess
	add := func(changed, why string) {
		if changed != password {
			g = append(g, guess{secretOf(changed), why})
		}
	}
	if password != "" {
		g = append(g, guess{secretOf(""), "the file's is empty"}, guess{secret{}, "the file's is empty"})
	}
	add(password+"\n", "the file's ends in a newline, which the program that made it took for a part of it")
	add(password+"\r\n", "the file's ends in a carriage return and a newline, which the program that made it took for a part of it")
	add(password+"\r", "the file's ends in a carriage return, which the program that made it took for a part of it")
	add(strings.TrimSpace(password), "it has blanks or a newline around it, and the file's has not")
	add(strings.TrimPrefix(password, "\uFEFF"), "it begins with a byte order mark, and the file's does not")
	if n := len(password); n > 2 && (password[0] == '"' || password[0] == '\'') && password[n-1] == password[0] {
		add(password[1:n-1], "it has quotes around it, and the file's has not")
	}
	if password != "" {
		add(`"`+password+`"`, "the file's has quotes around it")
		add(`'`+password+`'`, "the file's has quotes around it")
	}
	add(swapCase(password), "capital and small letters are exchanged, as by caps lock")
	return append(g, encodings(password)...)
}

// encodings returns what programs make of characters outside of ASCII.
func encodings(password string) []guess {
	if strings.IndexFunc(password, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return nil
	}
	const why = "it is not in ASCII, and the program that made the file took "
	s := secretOf(password)
	octets := secretOf(string(latin1(password))) // each octet for a character
	g := []guess{
		{octets, why + "each of its octets for a character"},
		{secret{octets.bmp, s.octets}, why + "each of its octets for a character"},
		{secret{s.bmp, s.bmp[:len(s.bmp)-2]}, why + "it in UTF-16, where UTF-8 was wanted"},
		{secret{s.bmp, s.bmp}, why + "it in UTF-16, where UTF-8 was wanted"},
	}
	narrow := make([]byte, 0, len(password))
	for _, r := range password {
		if r > 0xff {
			return g
		}
		narrow = append(narrow, byte(r))
	}
	return append(g, guess{secret{s.bmp, narrow}, why + "it in Latin-1"})
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// maxGuessing is the part of MaxWork that may be spent on finding out what is wrong
// with a password: a second or so.
const maxGuessing = 6_000_000

// why says what is wrong with password, of which s did not fit. It stops when the
// work is too much.
func (o *opening) why(password string, s secret) error {
	o.budget.left = min(o.budget.left, maxGuessing)
	if o.file.MAC != nil && o.decrypts(s, maxParts) {
		return ErrDamaged
	}
	for _, g := range guesses(password) {
		if o.guessed(g.secret) {
			return &PasswordError{g.why}
		}
	}
	return &PasswordError{}
}

// guessed says whether s is the password.
func (o *opening) guessed(s secret) bool {
	if o.file.MAC != nil {
		ok, err := o.fits(s)
		return err == nil && ok
	}
	return o.decrypts(s, 1)
}

// decrypts says whether s decrypts any of the first things that are encrypted, at
// most so many, whatever the MAC says.
func (o *opening) decrypts(s secret, most int) bool {
	try := func(a *Algorithm, data []byte) bool {
		if a == nil || most == 0 || o.budget.spend(a) != nil {
			return false
		}
		most--
		plain, err := a.decrypt(s, data)
		return err == nil && isSequence(plain)
	}
	for _, p := range o.file.Parts {
		if try(p.Encryption, p.data) {
			return true
		}
		for _, b := range p.Bags {
			if try(b.Encryption, b.data) {
				return true
			}
		}
	}
	return false
}
