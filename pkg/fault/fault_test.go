package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"x509ctl/pkg/fault"
)

func TestKindOf(t *testing.T) {
	denied := fault.New(fault.Denied, "no")
	for _, tc := range []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"nil", nil, fault.Internal},
		{"plain", io.EOF, fault.Internal},
		{"direct", denied, fault.Denied},
		{"wrapped", fmt.Errorf("asking: %w", denied), fault.Denied},
		{"joined", errors.Join(io.EOF, denied), fault.Denied},
		{"outermost wins", fault.Errorf(fault.NotFound, "asking: %w", denied), fault.NotFound},
	} {
		if got := fault.KindOf(tc.err); got != tc.want {
			t.Errorf("%s: KindOf = %q, want %q", tc.name, got, tc.want)
		}
	}
	if !errors.Is(fault.Errorf(fault.Invalid, "reading: %w", io.EOF), io.EOF) {
		t.Error("Errorf lost the wrapped error")
	}
}
