package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// The headings of the list of commands.
const (
	groupCluster      = "cluster"
	groupCertificates = "certificates"
	groupKeypairs     = "keypairs"
	groupProjects     = "projects"
	groupMaintenance  = "maintenance"
)

// A topic is a first word: a command, or a group of commands.
type topic struct {
	heading string
	word    string
	make    func(*app) *cobra.Command // nil for a group

	short  string // of a group
	verbs  []verb
	hidden bool // a second spelling: "keypair add" of keypair-add
}

// A verb is the second word of a command.
type verb struct {
	word string
	make func(*app) *cobra.Command
}

// topics lists all commands.
func topics() []topic {
	return []topic{
		{heading: groupCluster, word: "ca", short: "The certificate authority", verbs: []verb{
			{"bundle", newCABundleCmd},
			{"check", newCACheckCmd},
			{"crl", newCACRLCmd},
			{"gen-csr", newCAGenCSRCmd},
			{"init", newCAInitCmd},
			{"renew-crypto", newCARenewCryptoCmd},
			{"revoke", newCARevokeCmd},
			{"show", newCAShowCmd},
		}},
		{heading: groupCluster, word: "check", make: newCheckCmd},
		{heading: groupCluster, word: "node", short: "Machines that may have certificates", verbs: []verb{
			{"add", newNodeAddCmd},
			{"list", newNodeListCmd},
			{"remove", newNodeRemoveCmd},
		}},
		{heading: groupCluster, word: "serial", short: "The serial counter and the floor", verbs: []verb{
			{"recover", newSerialRecoverCmd},
			{"selftest", newSerialSelftestCmd},
			{"set-min", newSerialSetMinCmd},
			{"show", newSerialShowCmd},
		}},
		{heading: groupCertificates, word: "cert", short: "Make, sign, list and judge certificates", verbs: []verb{
			{"gen-csr", newCertGenCSRCmd},
			{"sign-csr", newCertSignCSRCmd},
			{"issue", newCertIssueCmd},
			{"verify", newCertVerifyCmd},
			{"check-key", newCertCheckKeyCmd},
			{"list", newCertListCmd},
			{"show", newCertShowCmd},
			{"revoke", newCertRevokeCmd},
			{"export", newCertExportCmd},
			{"prune", newCertPruneCmd},
		}},
		{heading: groupCertificates, word: "inspect", make: newInspectCmd},
		{heading: groupKeypairs, word: "keypair-add", make: newKeypairAddCmd},
		{heading: groupKeypairs, word: "keypair-list", make: newKeypairListCmd},
		{heading: groupKeypairs, word: "keypair-show", make: newKeypairShowCmd},
		{heading: groupKeypairs, word: "keypair-delete", make: newKeypairDeleteCmd},
		{heading: groupKeypairs, word: "keypair-import-nova", make: newKeypairImportNovaCmd},
		{heading: groupKeypairs, word: "keypair", short: "Make, list and delete keypairs", hidden: true, verbs: []verb{
			{"add", newKeypairAddCmd},
			{"list", newKeypairListCmd},
			{"show", newKeypairShowCmd},
			{"delete", newKeypairDeleteCmd},
			{"import-nova", newKeypairImportNovaCmd},
		}},
		{heading: groupProjects, word: "project", short: "Projects, each with an authority of its own", verbs: []verb{
			{"create", newProjectCreateCmd},
			{"credentials", newProjectCredentialsCmd},
			{"delete", newProjectDeleteCmd},
			{"decrypt", newProjectDecryptCmd},
			{"encrypt", newProjectEncryptCmd},
			{"list", newProjectListCmd},
			{"show", newProjectShowCmd},
			{"member-add", newProjectMemberAddCmd},
			{"member-list", newProjectMemberListCmd},
			{"member-remove", newProjectMemberRemoveCmd},
			{"name-add", newProjectNameAddCmd},
			{"name-list", newProjectNameListCmd},
			{"name-remove", newProjectNameRemoveCmd},
			{"vpn", newProjectVPNCmd},
		}},
		{heading: groupMaintenance, word: "backup", make: newBackupCmd},
		{heading: groupMaintenance, word: "restore", make: newRestoreCmd},
		{heading: groupMaintenance, word: "audit", make: newAuditCmd},
		{heading: groupMaintenance, word: "db", short: "The database", verbs: []verb{
			{"migrate", newDBMigrateCmd},
			{"status", newDBStatusCmd},
		}},
		{heading: groupMaintenance, word: "config", short: "The settings in effect", verbs: []verb{
			{"show", newConfigShowCmd},
		}},
		{heading: groupMaintenance, word: "version", make: newVersionCmd},
		{heading: groupMaintenance, word: "completion", make: newCompletionCmd},
	}
}

// addCommands adds the commands to root: the one that typed begins with, or all of
// them when typed says it in another way, is wrong, or asks for help. All of them
// together take a tenth of the time of a short command.
func addCommands(a *app, root *cobra.Command, typed []string) {
	for _, t := range typedFirst(topics(), typed) {
		cmd := group(t.word, t.short)
		if t.make != nil {
			cmd = t.make(a)
		}
		for _, v := range t.verbs {
			sub := v.make(a)
			if t.hidden {
				sub.Use = strings.TrimPrefix(sub.Use, t.word+"-")
			}
			cmd.AddCommand(sub)
		}
		cmd.Hidden = t.hidden
		cmd.GroupID = t.heading
		root.AddCommand(cmd)
	}
}

// typedFirst returns of all commands the one that typed begins with, or all.
func typedFirst(all []topic, typed []string) []topic {
	for _, t := range all {
		if len(typed) == 0 || t.word != typed[0] {
			continue
		}
		if t.make != nil {
			return []topic{t}
		}
		for _, v := range t.verbs {
			if len(typed) > 1 && v.word == typed[1] {
				t.verbs = []verb{v}
				return []topic{t}
			}
		}
	}
	return all
}
