package cli

import (
	"fmt"
	"strconv"
	"strings"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/serial"
)

// parseSerial reads a serial number in decimal digits, or in hexadecimal ones after
// 0x: Ganeti shows the former, openssl the latter.
func parseSerial(s string) (serial.Number, error) {
	digits, isHex := strings.CutPrefix(strings.ToLower(s), "0x")
	if !isHex {
		return serial.Parse(s)
	}
	n, err := strconv.ParseInt(digits, 16, 64)
	if err != nil || n < 1 || digits[0] == '+' || strings.Contains(digits, "_") {
		return 0, fault.Errorf(fault.Malformed, "%.40q is not a serial number from 0x1 to 0x%X", s, int64(serial.Max))
	}
	return serial.Number(n), nil
}

// argSerial reads the serial number that a command wants as its argument.
func argSerial(s string) (serial.Number, error) {
	n, err := parseSerial(s)
	if err != nil {
		return 0, &usageError{err.Error(), `"x509ctl inspect FILE" tells the number of the certificate in a file`}
	}
	return n, nil
}

// serialHex is n as openssl prints it, after 0x: whole bytes in capitals.
func serialHex(n serial.Number) string {
	digits := fmt.Sprintf("%X", int64(n))
	return "0x" + strings.Repeat("0", len(digits)%2) + digits
}

// optionalSerial is a serial number in a view where there may be none: null then.
type optionalSerial serial.Number

func (n optionalSerial) String() string {
	if n == 0 {
		return ""
	}
	return serial.Number(n).String()
}

// MarshalJSON writes n as a number.
func (n optionalSerial) MarshalJSON() ([]byte, error) {
	if n == 0 {
		return []byte("null"), nil
	}
	return []byte(n.String()), nil
}

// serialValue is a flag's serial number. Zero means that the flag was not given.
type serialValue serial.Number

func (v *serialValue) String() string {
	if *v == 0 {
		return ""
	}
	return serial.Number(*v).String()
}

// Set is the flag's.
func (v *serialValue) Set(s string) error {
	n, err := parseSerial(s)
	*v = serialValue(n)
	return err
}

// Type is the placeholder in help and man pages.
func (*serialValue) Type() string { return "SERIAL" }

// serialRange is a flag's range of serial numbers, both ends included. Zero is an
// open end.
type serialRange struct{ from, to serial.Number }

func (r *serialRange) String() string {
	switch {
	case *r == serialRange{}:
		return ""
	case r.from == r.to:
		return r.from.String()
	}
	end := func(n serial.Number) string {
		if n == 0 {
			return ""
		}
		return n.String()
	}
	return end(r.from) + ".." + end(r.to)
}

// Set is the flag's: A..B, A.., ..B or A.
func (r *serialRange) Set(s string) (err error) {
	from, to, isRange := strings.Cut(s, "..")
	if !isRange {
		to = from
	}
	*r = serialRange{}
	if from == "" && to == "" {
		return fault.New(fault.Malformed, "a serial number or a range such as 10..20 is wanted")
	}
	if from != "" {
		if r.from, err = parseSerial(from); err != nil {
			return err
		}
	}
	if to != "" {
		if r.to, err = parseSerial(to); err != nil {
			return err
		}
	}
	if r.to != 0 && r.from > r.to {
		return fault.Errorf(fault.Malformed, "the range ends before it begins")
	}
	return nil
}

// Type is the placeholder in help and man pages.
func (*serialRange) Type() string { return "RANGE" }
