package pkcs12

import "strings"

// Likeness is which profile's files a file is like, for its readers.
type Likeness struct {
	Profile Profile // "": like none
	Exact   bool    // by the very algorithms of the profile
}

// Like says which profile can be opened by the programs that can open f, as far as
// the algorithms tell that can be seen without the password: a program that opens
// files of the profile has all that f needs.
func (f *File) Like() Likeness {
	var modern, des, rc2, strange bool
	exact := f.MAC != nil
	see := func(a *Algorithm) {
		switch {
		case a.refusal != nil && a.KDF == "":
			strange = true
		case a.Name == "PBES2" && a.KDF == "PBKDF2" && strings.HasPrefix(a.Cipher, "AES"):
			modern = true
			exact = exact && a.Cipher == "AES-256-CBC" && a.Hash == "SHA-256"
		case a.Cipher == "3DES-CBC" && a.KDF == "PKCS#12":
			des = true
		case a.Cipher == "RC2-CBC with 40 bits":
			rc2 = true
		default:
			strange = true
		}
	}
	for _, p := range f.Parts {
		if p.Encryption != nil {
			see(p.Encryption)
		}
		for _, b := range p.Bags {
			switch {
			case b.Encryption != nil:
				see(b.Encryption)
			case b.Kind == PlainKey:
				exact = false
			}
		}
	}
	mac := ""
	if f.MAC != nil {
		mac = strings.TrimPrefix(f.MAC.Name+" "+f.MAC.Cipher, "HMAC ")
	}
	switch {
	case strange, rc2 && modern:
		return Likeness{}
	case strings.HasPrefix(mac, "PBMAC1"):
		return Likeness{Modern2026, exact && modern && !des && mac == "PBMAC1 SHA-256"}
	case rc2:
		return Likeness{LegacyRC2, exact && mac == "SHA-1"}
	case modern, mac != "SHA-1" && mac != "":
		return Likeness{Modern2023, exact && modern && !des && mac == "SHA-256"}
	}
	return Likeness{LegacyDES, exact && des && mac == "SHA-1"}
}

// Readers says in words which programs can open f: what [Profile.Readers] says of the
// profile that it is like, and what else is known.
func (f *File) Readers() string {
	like := f.Like()
	text := like.Profile.Readers()
	switch {
	case text == "":
		return "not known: it is like none of the files that were tried"
	case f.MAC == nil:
		return text + "; but many programs, Java and Windows among them, refuse a file without a MAC, or ask for no password"
	}
	return text
}
