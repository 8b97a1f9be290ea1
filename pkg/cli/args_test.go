package cli

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// No flag of any command takes an empty value for something else: "sign-csr --for $NODE"
// with NODE unset must not sign for everybody.
func TestEmptyFlags(t *testing.T) {
	tried := 0
	var walk func(path []string, cmd *cobra.Command)
	walk = func(path []string, cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(append(path[:len(path):len(path)], sub.Name()), sub)
		}
		names := func(f *pflag.Flag) {
			if f.NoOptDefVal != "" { // a switch
				return
			}
			tried++
			fresh, _, err := newRootCmd(newApp()).Find(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.ParseFlags([]string{"--" + f.Name + "="}); err == nil && refuseEmpty(fresh) == nil {
				t.Errorf("%s takes --%s ''", cmd.CommandPath(), f.Name)
			}
		}
		cmd.LocalFlags().VisitAll(names)
		cmd.InheritedFlags().VisitAll(names)
	}
	walk(nil, newRootCmd(newApp()))
	if tried < 100 {
		t.Errorf("only %d flags were tried", tried)
	}
}
