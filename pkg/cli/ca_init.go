package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

type caInitOptions struct {
	clusterName   string
	keyType       profile.KeyAlgorithm
	lifetime      time.Duration
	askPassphrase bool
	ifMissing     bool
	adopt         bool
	keepMin       bool
	output        output
}

func newCAInitCmd(a *app) *cobra.Command {
	var o caInitOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the cluster's CA",
		Long: `Make the cluster's CA: its directory when it isn't there, a database, a key and a
self-signed certificate.

Without a terminal nothing is asked. The cluster's name is then, when
--cluster-name does not give it, the one in the certificate that is adopted, what
Ganeti calls the cluster that has this directory, or the name of this host. The key is
not encrypted unless --ca-passphrase-file or --ask-passphrase gives a passphrase.

A directory that has the files serial and min-serial, but no key, is what a master
failover leaves: the new CA goes on counting above both. A cert.pem and key.pem
without a database, made elsewhere or left when the database was lost, are taken
over with --adopt. What they signed is not known, so the minimum accepted serial
number moves above everything that may have been used, unless --keep-min-serial
says that nothing was signed.`,
		Example: `  x509ctl ca init --cluster-name cluster1.example.com

  # in a script that may run again
  x509ctl ca init --cluster-name cluster1.example.com --if-missing`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCAInit(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.clusterName, "cluster-name", "", "DNS `NAME` of the cluster, at most 64 characters")
	addKeyTypeFlag(cmd, &o.keyType, "type of the CA's key")
	durationVar(f, &o.lifetime, "lifetime", "how long the CA is valid (default "+formatDuration(profile.DefaultCALifetime)+")")
	f.BoolVar(&o.askPassphrase, "ask-passphrase", false, "ask for a passphrase for the CA's key")
	f.BoolVar(&o.ifMissing, "if-missing", false, "do nothing, successfully, when there is a CA")
	f.BoolVar(&o.adopt, "adopt", false, "take over the cert.pem and key.pem in the directory")
	f.BoolVar(&o.keepMin, "keep-min-serial", false, "with --adopt: the CA has signed nothing that is not expired")
	addOutputFlag(cmd, &o.output)
	return cmd
}

func runCAInit(ctx context.Context, a *app, o caInitOptions) error {
	if o.keepMin && !o.adopt {
		return usagef("--keep-min-serial goes with --adopt")
	}
	s, err := a.settings()
	if err != nil {
		return err
	}
	req, err := a.initRequest(s, o)
	if err != nil {
		return err
	}
	svc, err := a.connect(ctx)
	if err != nil {
		return err
	}
	ca, err := svc.InitAuthority(ctx, req)
	if err != nil {
		return fmt.Errorf("making the CA in %s: %w", s.dir, err)
	}
	if !ca.Created {
		a.note("there was a CA already; nothing was changed")
	}
	return show(a, o.output, newCAView(ca))
}

// initRequest gathers what is needed from flags, settings and, on a terminal where
// the cluster's name was not given, answers.
func (a *app) initRequest(s *settings, o caInitOptions) (manager.InitRequest, error) {
	req := manager.InitRequest{
		Authority: manager.Cluster, Name: o.clusterName, Lifetime: o.lifetime,
		IfMissing: o.ifMissing, Adopt: o.adopt, KeepFloor: o.keepMin,
	}
	req.KeyAlgorithm = cmp.Or(o.keyType, s.keyType)
	asking := req.Name == "" && !o.ifMissing && a.canAsk()
	if req.Name == "" && !o.ifMissing {
		preset := presetClusterName(s.dir, o.adopt)
		req.Name = preset
		if asking {
			answer, err := a.ask("cluster-name", "Name of the cluster:", preset)
			if err != nil {
				return req, err
			}
			req.Name = answer
		}
	}
	if asking && o.keyType == "" && !o.adopt {
		answer, err := a.choose("key-type", "Type of the CA's key:", keyTypeWords(), string(req.KeyAlgorithm))
		if err != nil {
			return req, err
		}
		req.KeyAlgorithm = profile.KeyAlgorithm(answer) // one of the words
	}
	if req.Name == "" && !o.ifMissing {
		return req, missingFlag("cluster-name")
	}
	passphrase, err := a.newPassphrase(s, o, asking)
	req.Passphrase = passphrase
	return req, err
}

// newPassphrase returns the passphrase for a new CA's key, nil for none.
func (a *app) newPassphrase(s *settings, o caInitOptions, asking bool) ([]byte, error) {
	if o.adopt {
		return nil, nil // the key has one already, or none
	}
	src := caPassphrase(s.caPassphraseFile)
	src.new = true
	if _, given := a.lookupEnv(src.env); given || s.caPassphraseFile != "" || o.askPassphrase {
		p, err := a.secret(src)
		return []byte(p), err
	}
	if !asking {
		return nil, nil
	}
	p, err := a.askSecret(src.flag, "Passphrase for the CA's key (empty for none):", true)
	return []byte(p), err
}

// presetClusterName is what the cluster is called if nobody says otherwise: as the CA
// that is adopted calls it, as Ganeti calls the one whose data directory this is, or as the
// host.
func presetClusterName(dir string, adopt bool) string {
	if b, err := readBounded(filepath.Join(dir, "ca"), "cert.pem"); adopt && err == nil {
		if cert, err := trust.ParseCertificate(b); err == nil {
			if name, ok := profile.ParseCASubject(cert.Subject.CommonName); ok {
				return name
			}
		}
	}
	if b, err := readBounded(dir, "ssconf_cluster_name"); err == nil {
		if name := strings.TrimSpace(string(b)); validName(name) {
			return name
		}
	}
	if name, err := os.Hostname(); err == nil && validName(name) {
		return name
	}
	return ""
}

func readBounded(dir, name string) ([]byte, error) {
	d, err := durable.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	b, _, err := d.ReadFile(name, 16<<10, durable.Guarded)
	return b, err
}

func validName(name string) bool {
	_, err := profile.ParseName(name)
	return err == nil
}
