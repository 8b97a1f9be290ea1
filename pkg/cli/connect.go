package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"

	"x509ctl/pkg/manager"
)

// connect returns the manager of the directory that the settings name. Only
// commands that need it call it, before they open or claim any file: for root in
// another user's directory, this is where the process becomes that user. The
// manager is closed when the command is done.
func (a *app) connect(context.Context) (manager.Service, error) {
	c, err := a.managerConfig()
	if err != nil {
		return nil, err
	}
	m := manager.New(c)
	a.closers = append(a.closers, m)
	return m, nil
}

// managerConfig is the process and its settings as a manager needs to know them.
func (a *app) managerConfig() (manager.Config, error) {
	caller := a.caller() // who it was that called, before becoming another
	s, err := a.settings()
	if err != nil {
		return manager.Config{}, err
	}
	machine, err := a.machineID()
	if err != nil {
		return manager.Config{}, err
	}
	return manager.Config{
		Dir:       s.dir,
		Clock:     a.now,
		MachineID: machine,
		Caller:    caller,
		Wait:      s.wait,
		Waiting:   a.catchSignals,
		Warn:      func(err error) { a.note("%v", err) },

		SerialCopies: s.serialCopies,
		// Asked once, however many keys it opens.
		Passphrase: sync.OnceValues(func() ([]byte, error) {
			p, err := a.secret(caPassphrase(s.caPassphraseFile))
			return []byte(p), err
		}),
		SerialHook: a.serialHook(hook{"serial_hook", s.serialHook, s.serialHookTimeout}),
		ChangeHook: a.changeHook(hook{"change_hook", s.changeHook, s.changeHookTimeout}),
	}, nil
}

// caPassphrase is where the passphrase of the CA's key comes from.
func caPassphrase(file string) secretSource {
	return secretSource{
		file: file,
		flag: "ca-passphrase-file",
		env:  "X509CTL_CA_PASSPHRASE",
		what: "the passphrase of the CA's key",
	}
}

// caller is who started the process, for the records.
func (a *app) caller() manager.Caller {
	who := userName(os.Getuid())
	if sudo := a.sudoUser(); sudo != "" {
		who += " (sudo by " + sudo + ")"
	}
	return manager.Caller{Who: who, From: "local"}
}

// sudoUser is the user who became root by sudo, or "". Whoever is root may write what
// he likes here, so a name from the environment is believed of root only.
func (a *app) sudoUser() string {
	if name, _ := a.lookupEnv("SUDO_USER"); os.Getuid() == 0 && name != userName(0) {
		return name
	}
	return ""
}

func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("uid %d", uid)
	}
	return u.Username
}

// readMachineID returns what tells this machine from another that DIR may be
// copied to, or nothing where there is no such file. One that can't be read is not
// one that isn't there: this would be another machine.
func readMachineID() (string, error) {
	b, err := os.ReadFile("/etc/machine-id")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("telling this machine from others: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
