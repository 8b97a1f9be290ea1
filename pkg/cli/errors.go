package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
	"x509ctl/pkg/pkcs12"
	"x509ctl/pkg/profile"
	"x509ctl/pkg/serial"
	"x509ctl/pkg/store"
	"x509ctl/pkg/trust"
)

// Exit statuses. Scripts rely on them: add, never renumber.
const (
	exitOK          = 0   // done
	exitFailure     = 1   // I/O or a bug
	exitUsage       = 2   // the command line, or a file given to it, can't be understood
	exitNotFound    = 3   // the thing named doesn't exist
	exitExists      = 4   // the name is taken
	exitDenied      = 5   // refused by policy
	exitInvalid     = 6   // checked, and found not valid
	exitUnavailable = 7   // busy or unreachable: trying again may help
	exitInterrupted = 130 // stopped by SIGINT or SIGTERM
)

// FaultKind makes a usage error [fault.Malformed].
func (e *usageError) FaultKind() fault.Kind { return fault.Malformed }

// exitStatus returns the status that tells a script what became of the command.
func exitStatus(err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	switch fault.KindOf(err) {
	case fault.Malformed:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Exists:
		return exitExists
	case fault.Denied:
		return exitDenied
	case fault.Invalid:
		return exitInvalid
	case fault.Unavailable:
		return exitUnavailable
	}
	return exitFailure
}

// report tells the user what went wrong and what can be tried next. A reader that
// went away, as in "x509ctl cert list | head", is told nothing.
func report(w io.Writer, cmd *cobra.Command, args []string, err error) {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return
	}
	fmt.Fprintf(w, "x509ctl: error: %s\n", escape(err.Error()))
	for _, h := range append(hints(cmd, err), dashHint(args)...) {
		fmt.Fprintf(w, "x509ctl: hint: %s\n", escape(h))
	}
}

// hints returns what the user can try next. Hints live here and nowhere else:
// they name flags and commands, which only this package has. cmd is the command
// that failed.
func hints(cmd *cobra.Command, err error) []string {
	var usage *usageError
	var secrecy *durable.SecrecyError
	var owner *durable.OwnerError
	var file *outfileError
	var again *manager.ReissueAgainError
	switch {
	case isSpreadError(err):
		return changeHints(err)
	case errors.As(err, &usage):
		see := fmt.Sprintf("see %q", cmd.CommandPath()+" --help")
		if usage.hint != "" {
			return []string{usage.hint, see}
		}
		return []string{see}
	case errors.As(err, &owner):
		return []string{fmt.Sprintf("when its content is right: chown %d %s", owner.Want, shellQuote(owner.Path))}
	case errors.As(err, &secrecy):
		return []string{fmt.Sprintf("chmod %04o %s", secrecy.Mend, shellQuote(secrecy.Path))}
	case cmd.Name() == "set-min" && errors.As(err, &file) && fault.KindOf(file.err) == fault.Exists:
		return []string{"move it away, and run the same command again"}
	case errors.As(err, &file) && fault.KindOf(file.err) == fault.Exists:
		kind := "file"
		if file.flag == "out-dir" {
			kind = "directory"
		}
		if file.flag == "" {
			return []string{"move it away, or name another " + kind}
		}
		return []string{fmt.Sprintf("move it away, or name another %s with --%s", kind, file.flag)}
	case errors.Is(err, durable.ErrDisturbed):
		return []string{"run the command again, and leave the file called lock where it is"}
	case errors.As(err, &file) && fault.KindOf(file.err) == fault.NotFound:
		return []string{"mkdir -p " + shellQuote(filepath.Dir(file.path))}
	case cmd.Name() == "set-min" && errors.Is(err, profile.ErrUnknownName):
		return []string{`record the node again with "x509ctl node add", if it is to have a certificate, and run the same command again`}
	case errors.As(err, &again):
		return []string{
			`if it is, put out what was issued since, too: run "x509ctl serial set-min next" first`,
			fmt.Sprintf(`if not, give the number that is in force instead: x509ctl serial set-min %v --reissue …`, again.Floor),
		}
	case errors.Is(err, durable.ErrLocked):
		return []string{"try again later, or wait for longer with --wait"}
	case cmd.Name() == "init" && errors.Is(err, fs.ErrPermission):
		return []string{"name a directory of your own with --dir or X509CTL_DIR"}
	}
	for _, of := range []func(*cobra.Command, error) []string{nodeHints, keypairHints, decryptHints, projectHints} {
		if h := of(cmd, err); h != nil {
			return h
		}
	}
	var invalid *trust.VerifyError
	if errors.As(err, &invalid) {
		return verifyHints(cmd, invalid)
	}
	return append(stateHints(err), issueHints(cmd, err)...)
}

// verifyHints are the hints for certificates that are not valid.
func verifyHints(cmd *cobra.Command, err *trust.VerifyError) []string {
	foreign := cmd.Flags().Changed("ca-file")
	switch err.Reason {
	case trust.WrongIssuer:
		if foreign {
			return []string{"name the CA certificates between it and its root with --intermediates"}
		}
		if sameProject(cmd) != "" {
			return []string{"without --project, those of the cluster are judged, and with another ID those of another project"}
		}
		return []string{"another CA's certificates are judged by the roots that --ca-file names, and a project's with --project"}
	case trust.StaleCRL:
		if cmd.Flags().Changed("crl") || foreign {
			return []string{"name a newer revocation list with --crl"}
		}
		return []string{fmt.Sprintf(`"x509ctl ca crl%s" publishes a new revocation list`, sameProject(cmd))}
	case trust.NotRecorded:
		return []string{"unless you signed it yourself, somebody else has the CA's key: replace the CA"}
	}
	return nil
}

// changeHints are the hints for changes that others could not be told of.
func changeHints(err error) []string {
	var hints []string
	if errors.Is(err, errChangeHook) {
		hints = append(hints, "run the program that change_hook names by hand, once it can succeed")
	}
	if errors.Is(err, manager.ErrPassphraseNeeded) || errors.Is(err, manager.ErrWrongPassphrase) {
		hints = append(hints, "name the file with the passphrase by --ca-passphrase-file")
	}
	var spread *manager.SpreadError
	project := ""
	if errors.As(err, &spread) {
		project = projectFlag(spread.Authority)
	}
	return append(hints, fmt.Sprintf("%q publishes a revocation list anew", "x509ctl ca crl"+project))
}

// stateHints are the hints for what is wrong with the directory.
func stateHints(err error) []string {
	var inUse *manager.InUseError
	var lost *manager.LostError
	var shared *manager.SharedIssuerError
	var damaged *manager.DamagedError
	switch {
	case errors.Is(err, manager.ErrNotInitialised):
		return []string{`name the directory with --dir or X509CTL_DIR, or make a CA with "x509ctl ca init"`}
	case errors.Is(err, manager.ErrUnknownCA):
		return []string{"move its key.pem, cert.pem and chain.pem away, and leave serial where it is: so no number is given twice"}
	case errors.Is(err, manager.ErrNoProject):
		return []string{`"x509ctl project list" has those that there are, and "x509ctl project create" makes one`}
	case errors.Is(err, manager.ErrPrepared):
		return []string{"let it sign with --activate, or give it up with --cancel"}
	case errors.Is(err, manager.ErrNotPrepared):
		return []string{"make one with --prepare"}
	case errors.As(err, &inUse):
		if inUse.Of == manager.ProjectRoot {
			return []string{`renew the CAs of these projects, and retire the old ones: x509ctl ca renew-crypto --project ID`}
		}
		return []string{fmt.Sprintf(`who has them is in "x509ctl ca show%s"; try again then, or have their machines renew them`, projectFlag(inUse.Of))}
	case errors.As(err, &shared):
		return []string{"have another root sign it: a tenant's certificate must not pass as a node's"}
	case errors.Is(err, errRequested):
		return []string{"ask without --key-type to see it, or give it up with --new"}
	case errors.Is(err, manager.ErrKeyElsewhere):
		return []string{
			`name the file with its key by --ca-key; what there is a request for is in "x509ctl ca show"`,
			"in the file, the CA's own certificate comes first",
		}
	case errors.Is(err, manager.ErrNoRoot):
		return []string{"append those above it, up to the root: cat CA.pem ISSUER.pem ROOT.pem > chain.pem"}
	case errors.Is(err, manager.ErrRequestKey):
		return []string{`put it back from a backup, or make another request: "x509ctl ca gen-csr --new"`}
	case errors.As(err, &lost):
		return []string{"put ca/old and ca/next back as they were, from a backup for instance"}
	case errors.Is(err, manager.ErrNoDatabase):
		return []string{
			`bring it back from a backup: "x509ctl restore FILE"`,
			`without one, "x509ctl ca init --adopt" keeps the CA, but forgets the nodes and puts out all certificates issued so far`,
		}
	case errors.Is(err, manager.ErrInitialised):
		return []string{"with --if-missing that is no error"}
	case errors.Is(err, manager.ErrForeignCA):
		return []string{`bring its database back with "x509ctl restore", or take it over with --adopt`}
	case errors.Is(err, manager.ErrRestoreOver):
		return []string{"name an empty directory with --dir, or move this one away"}
	case errors.Is(err, manager.ErrPassphraseNeeded), errors.Is(err, manager.ErrWrongPassphrase):
		return []string{"name the file with the passphrase by --ca-passphrase-file"}
	case errors.Is(err, manager.ErrKeyMissing):
		return []string{
			"put that file back from a backup",
			`without one, a project is ended by "x509ctl project delete"; for the cluster's own CA, move ca/cert.pem and the database away and begin anew`,
		}
	case errors.Is(err, manager.ErrNoBundle):
		return []string{`"x509ctl ca init --if-missing" writes it again, from the CA and the database`}
	case errors.Is(err, manager.ErrKeyMismatch), errors.Is(err, manager.ErrNotPublished):
		return []string{"put ca/cert.pem and ca/key.pem back as they were, from a backup for instance"}
	case errors.As(err, &damaged) && filepath.Base(damaged.Path) == "crl.pem":
		return []string{`"x509ctl ca crl" publishes a revocation list anew`}
	case errors.As(err, &damaged):
		return []string{
			"run the command again, once nobody copies files into the directory any more",
			fmt.Sprintf("if it stays like that, put %s back as it was, from a backup for instance", shellQuote(damaged.Path)),
		}
	case errors.Is(err, manager.ErrCAChanged):
		return []string{"run the command again"}
	case errors.Is(err, store.ErrOldSchema):
		return []string{`bring it up to date with "x509ctl db migrate", after a backup`}
	case errors.Is(err, store.ErrNewSchema):
		return []string{"use the version of x509ctl that made it, or a newer one"}
	case errors.Is(err, store.ErrBusy):
		return []string{"try again later, or wait for longer with --wait"}
	case errors.Is(err, store.ErrReplaced):
		return []string{"run the command again, once nobody moves the database any more"}
	case errors.Is(err, store.ErrDamaged):
		return []string{`move it away and bring it back with "x509ctl restore"`}
	}
	return countHints(err)
}

// countHints are the hints for serial numbers and the floor.
func countHints(err error) []string {
	var back *serial.WentBackError
	var damaged *manager.NumberFileError
	var floor *serial.FloorError
	var copied *manager.CopyError
	var keys *manager.BlockedFileError
	switch {
	case errors.As(err, &copied) && fault.KindOf(copied.Err) == fault.Malformed:
		return []string{`"x509ctl serial recover --from FILE" writes it again; FILE is the serial file, or one with the highest number that was ever used`}
	case errors.As(err, &copied):
		return []string{"mount the disk that it is on, or take it out of serial_copies in x509ctl.yaml"}
	case errors.As(err, &damaged) && filepath.Base(damaged.Path) == "min-serial":
		return []string{fmt.Sprintf(`rm %s, and "x509ctl ca init --if-missing" writes it again from the database`, shellQuote(damaged.Path))}
	case errors.As(err, &keys):
		return []string{"x509ctl ca check --repair, which leaves the keys that can be read; look into a backup for the others"}
	case errors.As(err, &back), errors.As(err, &damaged):
		return []string{
			`"x509ctl serial recover --restored" goes on above every number that can have been used, and puts out all certificates issued so far`,
			`see "x509ctl serial recover --help" for what to say when the highest number is known, or all certificates are on record`,
		}
	case errors.As(err, &floor):
		return []string{`the numbers are in "x509ctl serial show"; "next" puts out everything issued so far`}
	}
	return nil
}

// issueHints are the hints for certificates that are refused.
func issueHints(cmd *cobra.Command, err error) []string {
	var lifetime *profile.LifetimeError
	var save *saveError
	var outDir *outDirError
	switch {
	case errors.As(err, &lifetime) && lifetime.Requested > lifetime.Max:
		return []string{"ask for less with --lifetime, and renew before it is over"}
	case errors.Is(err, profile.ErrOutlivesCA):
		return []string{`ask for less with --lifetime; when the CA ends is in "x509ctl ca show"`}
	case errors.Is(err, manager.ErrKeyBlocked):
		return []string{`make a new key, for instance with "x509ctl cert gen-csr"`}
	case errors.Is(err, manager.ErrNoCRLSign):
		return []string{"only a CA whose certificate has the key usage cRLSign can sign one"}
	case errors.Is(err, profile.ErrNotCA) && cmd.Flags().Changed("ca-certificate") && !cmd.Flags().Changed("ca-key"):
		return []string{`it has to be signed with the extensions that the request asks for, for instance by "openssl x509 -req -copy_extensions copy"`}
	case errors.Is(err, profile.ErrNotMember):
		add := "x509ctl project member-add USER" + sameProject(cmd)
		if cmd.Flags().Lookup("server") == nil {
			return []string{add}
		}
		return []string{add, "a server's certificate, for a name that is registered, is asked for with --server"}
	case errors.Is(err, profile.ErrUnknownName) && sameProject(cmd) != "":
		return []string{`register it with "x509ctl project name-add"; a member's certificate is asked for without --server`}
	case errors.Is(err, profile.ErrUnknownName):
		return []string{`record it with "x509ctl node add", or make an exception with --allow-name`}
	case errors.As(err, &outDir) && fault.KindOf(err) == fault.NotFound:
		return []string{"make it with: mkdir -p " + shellQuote(outDir.path)}
	case errors.As(err, &save) && save.keyLost:
		return []string{"issue another: the key of this one was not saved, and nobody has it"}
	case errors.Is(err, errWholePFX):
		return []string{`"x509ctl inspect FILE" checks that they belong together`}
	case errors.Is(err, pkcs12.ErrBER):
		return []string{"openssl rewrites it in DER: openssl pkcs12 -in FILE -nodes | openssl pkcs12 -export -out NEW"}
	case errors.As(err, &save):
		return []string{fmt.Sprintf(`"x509ctl cert export %v%s" writes the certificate again`, save.serial, sameProject(cmd))}
	}
	return nil
}

// dashes are what word processors and web pages make of a hyphen.
var dashes = map[rune]string{
	'\u2010': "a hyphen that is not the keyboard's",
	'\u2011': "a non-breaking hyphen",
	'\u2012': "a figure dash",
	'\u2013': "an en dash",
	'\u2014': "an em dash",
	'\u2015': "a horizontal bar",
	'\u2212': "a minus sign",
}

// dashHint finds a flag that was pasted with the wrong dash. Such a word is an
// argument to the flag parser, so the error is about something else.
func dashHint(args []string) []string {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		first, n := utf8.DecodeRuneInString(arg)
		dash, wrong := dashes[first]
		if !wrong || n == len(arg) {
			continue
		}
		rest := arg[n:]
		for len(rest) > 0 {
			r, m := utf8.DecodeRuneInString(rest)
			if _, more := dashes[r]; !more && r != '-' {
				break
			}
			rest = rest[m:]
		}
		flag := "--" + rest
		if utf8.RuneCountInString(rest) == 1 {
			flag = "-" + rest
		}
		return []string{fmt.Sprintf("%q begins with %s: flags begin with hyphens, as in %q", arg, dash, flag)}
	}
	return nil
}
