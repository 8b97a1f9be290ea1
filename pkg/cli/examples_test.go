package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// exampleSetup makes what the examples of commands begin with: a CA with two nodes,
// 41 certificates, and the files that examples name.
const exampleSetup = `
x509ctl ca init --cluster-name cluster1.example.com
x509ctl node add node1.example.com --alias node1 --ip 192.0.2.1
x509ctl node add node2.example.com --ip 192.0.2.2
x509ctl cert gen-csr node1.example.com --key node1.key --out node1.csr
x509ctl cert gen-csr node2.example.com --key node2.key --out node2.csr
x509ctl cert sign-csr node1.csr --out node1.pem
cat node1.key node1.pem > server.pem
mkdir requests && cp node1.csr requests/node1.example.com.csr && cp node2.csr requests/node2.example.com.csr
x509ctl cert sign-csr $(printf 'node1.csr %.0s' {1..40}) --out more.pem
x509ctl backup x509ctl.tar
cp "$X509CTL_DIR/ca/serial" serial.node2
`

// exampleProject makes a project with a member and a name for servers.
const exampleProject = `x509ctl project create tenant1
x509ctl project member-add alice --project tenant1
x509ctl project name-add vpn.tenant1.example.org --project tenant1
`

// exampleChanges are what a command needs otherwise: its examples make the files, or
// want a directory without a CA.
var exampleChanges = map[string]string{
	"x509ctl ca bundle": `(umask 077; echo 'open sesame' > password.txt)`,
	"x509ctl ca renew-crypto": `x509ctl ca gen-csr --out ca.csr
openssl req -x509 -newkey rsa:2048 -noenc -keyout root.key -out root.pem -subj /CN=Root -days 100
openssl x509 -req -in ca.csr -copy_extensions copy -extfile <(echo subjectKeyIdentifier=hash) -CA root.pem -CAkey root.key -days 50 -out sub.pem
cat sub.pem root.pem > chain.pem`,
	"x509ctl ca init":       `rm -r "$X509CTL_DIR"`,
	"x509ctl restore":       `rm -r "$X509CTL_DIR"`,
	"x509ctl backup":        `rm x509ctl.tar`,
	"x509ctl node add":      `for n in node1 node2; do x509ctl node remove $n.example.com --yes; done`,
	"x509ctl audit":         `! x509ctl cert issue nobody.example.com`,
	"x509ctl cert gen-csr":  `rm node1.key node1.csr`,
	"x509ctl cert issue":    exampleProject + `rm server.pem node1.pem node1.key`,
	"x509ctl cert revoke":   exampleProject + `x509ctl cert issue node2.example.com; x509ctl cert issue alice --project tenant1`,
	"x509ctl cert show":     exampleProject + `x509ctl cert issue alice --project tenant1`,
	"x509ctl cert sign-csr": exampleProject + `rm node1.pem`,
	"x509ctl inspect": `(umask 077; echo 'open sesame' > password.txt); cp "$X509CTL_DIR/ca/bundle.pem" .
x509ctl cert issue node1.example.com --p12 node1.p12 --password-file password.txt`,
	"x509ctl keypair-add": `ssh-keygen -q -t ed25519 -N '' -f id_ed25519
x509ctl cert issue node1.example.com --cert cert.pem
printf 'one\ntwo\n' > names.txt && mkdir keys`,
	"x509ctl keypair-list":   `x509ctl keypair-add laptop --user alice`,
	"x509ctl keypair-show":   `x509ctl keypair-add laptop`,
	"x509ctl keypair-delete": `x509ctl keypair-add laptop && x509ctl keypair-add keypair1`,
	"x509ctl keypair-import-nova": `ssh-keygen -q -t ed25519 -N '' -f id
printf 'user_id\tname\tpublic_key\nbob\tlaptop\t%s\n' "$(cat id.pub)" > key_pairs.tsv
printf '[{"Name": "laptop", "Public Key": "%s"}]\n' "$(cat id.pub)" > keypairs.json`,
	"x509ctl cert verify": exampleProject + `x509ctl cert issue alice --project tenant1
mkdir certs && cp node1.pem certs
openssl req -x509 -newkey rsa:2048 -noenc -keyout root.key -out roots.pem -subj /CN=Root -days 1
openssl req -new -newkey rsa:2048 -noenc -keyout www.key -out www.csr -subj /CN=www.example.org
openssl x509 -req -in www.csr -CA roots.pem -CAkey root.key -extfile <(echo subjectAltName=DNS:www.example.org) -out www.pem`,
	"x509ctl serial set-min": `x509ctl cert issue node2.example.com`,
	"x509ctl project show":   `x509ctl project create tenant1`,
	"x509ctl project credentials": `x509ctl project create tenant1 && x509ctl project member-add alice --project tenant1
(umask 077; echo key > secret.txt)`,
	"x509ctl project vpn": `x509ctl project create tenant1
x509ctl project name-add vpn.tenant1.example.com --project tenant1`,
	"x509ctl project encrypt": `x509ctl project create tenant1; head -c 32 /dev/urandom > secret.bin`,
	"x509ctl project decrypt": `x509ctl project create tenant1
printf secret | x509ctl project encrypt --project tenant1 --out secret.b64
printf '<ec2_encrypted_key algorithm="AES-128-CBC">%s</ec2_encrypted_key>\n' "$(printf secret |
	x509ctl project encrypt --project tenant1 --output-format hex)" > image.manifest.xml`,
	"x509ctl serial recover":        `printf '1\n' > "$X509CTL_DIR/ca/serial"`,
	"x509ctl project create":        `printf 'a\nb\n' > tenants.txt`,
	"x509ctl project delete":        `x509ctl project create tenant1`,
	"x509ctl ca revoke":             `x509ctl project create tenant1`,
	"x509ctl project member-add":    `x509ctl project create tenant1 && printf 'alice\ncarol\n' > users.txt`,
	"x509ctl project member-list":   `x509ctl project create tenant1 && x509ctl project member-add alice --project tenant1`,
	"x509ctl project member-remove": `x509ctl project create tenant1 && x509ctl project member-add alice --project tenant1`,
	"x509ctl project name-add":      `x509ctl project create tenant1`,
	"x509ctl project name-list":     `x509ctl project create tenant1 && x509ctl project name-add vpn.tenant1.example.org --project tenant1`,
	"x509ctl project name-remove":   `x509ctl project create tenant1 && x509ctl project name-add vpn.tenant1.example.org --project tenant1`,
}

// TestExamples runs what help and man pages show, command by command.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("a few seconds")
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
		if cmd.HasSubCommands() {
			return
		}
		path := cmd.CommandPath()
		t.Run(path, func(t *testing.T) {
			if cmd.Example == "" {
				t.Fatal("no example")
			}
			if !strings.Contains(cmd.Example, path) {
				t.Errorf("the example does not run %q:\n%s", path, cmd.Example)
			}
			t.Parallel()
			shell(t, t.TempDir(), exampleSetup+exampleChanges[path]+"\n"+cmd.Example)
		})
	}
	walk(newRootCmd(newApp()))
}

// fence finds the blocks of commands in a page of Markdown.
var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestREADME runs the blocks marked sh in README.md, one after the other in one
// folder, as somebody would who reads it from top to bottom. Blocks marked console
// show the commands that need a fresh machine; CI runs those.
func TestREADME(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Fatal("README.md shows no command")
	}
	var script strings.Builder
	for _, b := range blocks {
		script.Write(b[1])
	}
	shell(t, t.TempDir(), script.String())
}

// shell runs a script in dir with x509ctl on the path, by the real clock. Every line
// of it must succeed.
func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("bash", "-euxo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), clockVariable+"=real", "X509CTL_DIR="+filepath.Join(dir, "state"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
}
