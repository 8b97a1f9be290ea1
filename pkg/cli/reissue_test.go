package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"x509ctl/pkg/manager"
)

// A cutOff is a workshop with what a reissue has to do with: nodes with some keys each,
// and for each key two certificates. Five nodes were removed.
type cutOff struct {
	workshop
	nodes, keys int
}

const (
	cutOffKeys  = 1000 // of all nodes together
	cutOffCerts = 2 * cutOffKeys
	cutOffGone  = 5 // nodes that were removed
)

// failed and successors are how many certificates can't be reissued, and how many can,
// when the keys of one node are lost.
func (w cutOff) failed() int     { return cutOffGone * w.keys }
func (w cutOff) successors() int { return cutOffKeys - w.failed() - w.keys }

func newCutOff(t *testing.T, nodes int) cutOff {
	t.Helper()
	w := cutOff{newWorkshop(t, 0), nodes, cutOffKeys / nodes}
	ctx := context.Background()
	machine, err := readMachineID()
	if err != nil {
		t.Fatal(err)
	}
	m := manager.New(manager.Config{Dir: w.path("ca"), Clock: time.Now, MachineID: machine, Caller: manager.Caller{Who: "tester", From: "local"}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return fmt.Sprintf("n%d.example.com", i) }
	req := manager.SignRequest{Authority: manager.Cluster}
	for i := range w.nodes {
		_, err := m.AddNode(ctx, manager.AddNodeRequest{Authority: manager.Cluster, Name: name(i)})
		must(err)
		for range w.keys {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			must(err)
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name(i)}}, key)
			must(err)
			req.Items = append(req.Items, manager.SignItem{Request: der})
		}
	}
	for range 2 {
		results, err := m.Sign(ctx, req)
		must(err)
		must(results[0].Err)
	}
	for i := range cutOffGone {
		_, err := m.RemoveNode(ctx, manager.Cluster, name(i*w.nodes/cutOffGone))
		must(err)
	}
	must(m.Close())
	return w
}

// reissueArgs is a reissue after the key of n1 was lost.
func (w workshop) reissueArgs() []string {
	return []string{"serial", "set-min", "next", "--reissue", "--except", "n1.example.com", "--out-dir", w.path("out"), "-o", "csv", "--fields", "old_serial,status,serial,common_name,out"}
}

// TestReissueKilled kills a reissue as soon as the floor is raised, and again when the
// first files are there, and then lets it finish: every certificate that may have one has
// one successor and its file, and the floor was raised once.
func TestReissueKilled(t *testing.T) {
	w := newCutOff(t, 500)
	first := w.recorded() + 2 // the next number; 1 is the CA's
	w.killReissue(func() bool {
		floor, err := os.ReadFile(w.path("ca/ca/min-serial"))
		return err == nil && string(floor) == fmt.Sprintln(first)
	})
	w.killReissue(func() bool { return w.outputs() > 0 })
	killed, written := w.recorded()-cutOffCerts, w.outputs()

	var report bytes.Buffer
	status, stderr := w.run(context.Background(), &report, w.reissueArgs()...)
	want := w.successors()
	failed := fmt.Sprintf("%d of %d certificates failed", w.failed(), want+w.failed())
	if status != exitDenied || !strings.Contains(stderr, failed) || !strings.Contains(stderr, "note: going on with the reissue") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if got := statuses(t, report.String()); got["lost"] != 2*w.keys || got["failed"] != w.failed() || got["skipped"] < written ||
		got["skipped"]+got["exported"] != killed || got["signed"] != want-killed {
		t.Errorf("%v, after %d on record and %d files", got, killed, written)
	}
	if w.recorded() != cutOffCerts+want || w.outputs() != want {
		t.Errorf("%d on record, %d files, want %d more and as many", w.recorded(), w.outputs(), want)
	}
	if floor, err := os.ReadFile(w.path("ca/ca/min-serial")); err != nil || string(floor) != fmt.Sprintln(first) {
		t.Errorf("the floor is %q, %v; want %d", floor, err, first)
	}
	w.wantSuccessors(report.Bytes())
}

// killReissue starts a reissue and kills it when due says so.
func (w workshop) killReissue(due func() bool) {
	w.t.Helper()
	x509ctl := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "x509ctl")
	cmd := exec.Command(x509ctl, append([]string{"--dir", w.path("ca")}, w.reissueArgs()...)...)
	cmd.Env = append(os.Environ(), clockVariable+"=real")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !due(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Error("nothing came of it")
			break
		}
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil {
		w.t.Log("it was finished before it was killed")
	}
}

// wantSuccessors compares each certificate in a report with its file and with the one in
// whose place it is.
func (w workshop) wantSuccessors(report []byte) {
	w.t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(report)).ReadAll()
	if err != nil {
		w.t.Fatal(err)
	}
	m := manager.New(manager.Config{Dir: w.path("ca"), Clock: time.Now})
	defer m.Close()
	record := func(text string) manager.Certificate {
		n, err := parseSerial(text)
		if err != nil {
			w.t.Fatal(err)
		}
		c, err := m.Certificate(context.Background(), manager.Cluster, n)
		if err != nil {
			w.t.Fatal(err)
		}
		return c
	}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		if row[2] == "" {
			continue
		}
		before, after := record(row[0]), record(row[2])
		data, err := os.ReadFile(row[4])
		if err != nil || !bytes.Equal(data, encodeCert(after.DER)) {
			w.t.Fatalf("%s is not certificate %s: %v", row[4], row[2], err)
		}
		if before.SPKIHash != after.SPKIHash || fmt.Sprint(before.Names) != fmt.Sprint(after.Names) || seen[row[2]] {
			w.t.Fatalf("%v is not the successor of %v", row[2], row[0])
		}
		seen[row[2]] = true
		if n, _ := strconv.Atoi(row[0]); n <= 1+cutOffKeys {
			w.t.Fatalf("%d was not the newest of its key", n)
		}
	}
}

// TestReissueInterrupted stops a reissue in its first chunk, which is finished.
func TestReissueInterrupted(t *testing.T) {
	w := newCutOff(t, 20)
	ctx, cancel := context.WithCancelCause(context.Background())
	out := &trap{spring: func() { cancel(errInterrupted) }} // when a part of the report is written
	status, stderr := w.run(ctx, out, w.reissueArgs()...)
	if status != exitInterrupted || !strings.Contains(stderr, "note: stopped after 500 of 950 certificates; the same command again goes on") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if recorded := w.recorded() - cutOffCerts; recorded != w.outputs() || recorded == 0 {
		t.Errorf("%d on record, %d files", recorded, w.outputs())
	}
	if status, stderr = w.run(context.Background(), io.Discard, w.reissueArgs()...); status != exitDenied {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if n := w.recorded() - cutOffCerts; n != w.outputs() || n != w.successors() {
		t.Errorf("%d on record, %d files", n, w.outputs())
	}
}

// TestReissueDiskFull stops at the first file that can't be written, and what is on
// record by then is exported by the next run.
func TestReissueDiskFull(t *testing.T) {
	w := newCutOff(t, 20)
	w.mount("out", "size=1m")
	var report bytes.Buffer
	status, stderr := w.run(context.Background(), &report, w.reissueArgs()...)
	if status != exitFailure || !strings.Contains(stderr, "no space left on device") || !strings.Contains(stderr, "note: stopped after ") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	recorded, written := w.recorded()-cutOffCerts, w.outputs()
	w.mount("out", "remount,size=100m")
	report.Reset()
	if status, stderr = w.run(context.Background(), &report, w.reissueArgs()...); status != exitDenied {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if got := statuses(t, report.String()); got["skipped"] != written || got["exported"] != recorded-written || recorded == written {
		t.Errorf("the second run: %v, after %d on record and %d files", got, recorded, written)
	}
}
