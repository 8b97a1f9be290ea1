package profile

import (
	"strings"
	"testing"

	"x509ctl/pkg/fault"
)

func TestParseUser(t *testing.T) {
	for _, ok := range []string{"a", "0", "alice", "b.o_b+x-1@example.com", "4a9f0c", strings.Repeat("a", 64)} {
		if got, err := ParseUser(ok); err != nil || got != ok {
			t.Errorf("%q: %q, %v", ok, got, err)
		}
	}
	for _, bad := range []string{"", " a", "a ", "a b", ".", "..", "../a", "a/b", "-a", "_a", "@a", "a\x00", "a\n", "a\x1b[m", "a\u00a0",
		"a\u202eb", "\u0430lice", "al\u0131ce", "\uff41", "a\xff", "CN=a", "a,b", "a:b", "a.", "node1.example.com.", `a\b`, "*", strings.Repeat("a", 65), strings.Repeat("a", 300)} {
		if got, err := ParseUser(bad); fault.KindOf(err) != fault.Denied || got != "" {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
