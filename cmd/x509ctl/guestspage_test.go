package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// pageBlocks returns the commands of x509ctl-guests(7): those to be run, and how many
// are said to be untried. Each block has one of the two marks.
func pageBlocks(t *testing.T) (run []string, untried int) {
	t.Helper()
	page := read(t, "../../man/x509ctl-guests.7")
	before, rest, found := strings.Cut(page, "\n.EX\n")
	for found {
		block, after, closed := strings.Cut(rest, "\n.EE\n")
		if !closed {
			t.Fatalf("a block is not closed: %s", block)
		}
		switch mark := before[strings.LastIndex(before, "\n")+1:]; mark {
		case `.\" run`:
			run = append(run, strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(block))
		case `.\" untried`:
			untried++
		default:
			t.Errorf("a block has the mark %q: %s", mark, block)
		}
		before, rest, found = strings.Cut(after, "\n.EX\n")
	}
	return run, untried
}

// TestGuestsPage does what x509ctl-guests(7) says, from top to bottom, with a real sshd
// as the guest.
func TestGuestsPage(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "ssh-keygen", "openssl")
	c := newCluster(t)
	run, untried := pageBlocks(t)
	if len(run) < 5 || untried < 4 {
		t.Fatalf("%d blocks to run, %d untried", len(run), untried)
	}
	dir := t.TempDir()
	port := sshd(t, c, filepath.Join(dir, "authorized_keys"))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	guest := fmt.Sprintf("-p %s -F none -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR %s@127.0.0.1 echo let in", port, me.Username)
	script := strings.ReplaceAll(strings.Join(run, "\n"), "debian@192.0.2.10", guest)
	cmd := exec.Command("bash", "-euxo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "X509CTL_DIR="+c.dir, "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nlet in\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, made := range []string{"keypair1.p12", "key.pem", "cert.pem"} {
		if _, err := os.Stat(filepath.Join(dir, made)); err != nil {
			t.Error(err)
		}
	}
}
