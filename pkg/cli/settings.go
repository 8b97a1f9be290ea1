package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"x509ctl/pkg/durable"
	"x509ctl/pkg/fault"
	"x509ctl/pkg/profile"
)

// Defaults that help texts name.
const (
	defaultDir  = "/var/lib/x509ctl"
	defaultWait = 30 * time.Second

	defaultKeyType = profile.ECDSAP256
)

const (
	settingsFile = "x509ctl.yaml"
	// maxSettingsFile bounds it, in bytes. The parser takes minutes for what can be
	// put into a megabyte on purpose, and a second for this.
	maxSettingsFile = 32 << 10
)

// settings are what flags, environment and x509ctl.yaml say together.
type settings struct {
	dir               string
	wait              time.Duration
	lifetime          time.Duration
	keyType           profile.KeyAlgorithm
	caPassphraseFile  string
	serialCopies      pathList
	serialHook        []string // argv, the first an absolute path; empty: no hook
	serialHookTimeout time.Duration
	changeHook        []string // like serialHook
	changeHookTimeout time.Duration
	ec2URL            string // empty: not known, as those that follow
	s3URL             string
	novaURL           string

	origin map[string]string // where each comes from, by name
}

// A pathList is a list of absolute paths.
type pathList []string

// A settingDef is one setting: its name, and where it may come from.
type settingDef struct {
	name string // in x509ctl.yaml and in "config show"
	env  string // the variable, or empty
	flag string // the global flag, or empty
	file bool   // x509ctl.yaml may have it
	help string
	at   any // where it is in the settings; a *[]string begins with an absolute path
}

// settingDefs returns every setting there is, pointing into s.
func settingDefs(s *settings) []settingDef {
	return []settingDef{
		{"dir", "X509CTL_DIR", "dir", false, "the directory of the authority", &s.dir},
		{"wait", "X509CTL_WAIT", "wait", true, "how long to wait for others that hold a lock", &s.wait},
		{"lifetime", "X509CTL_LIFETIME", "", true, "lifetime of nodes' certificates, under a week", &s.lifetime},
		{"key_type", "X509CTL_KEY_TYPE", "", true, "type of new keys", &s.keyType},
		{"ca_passphrase_file", "X509CTL_CA_PASSPHRASE_FILE", "ca-passphrase-file", true, "file whose first line is the passphrase of the CA's key", &s.caPassphraseFile},
		{"serial_copies", "", "", true, "list of further files that hold the highest serial number", &s.serialCopies},
		{"serial_hook", "", "", true, "list: a program and its arguments, run after a reservation", &s.serialHook},
		{"serial_hook_timeout", "X509CTL_SERIAL_HOOK_TIMEOUT", "", true, "how long that program may take", &s.serialHookTimeout},
		{"change_hook", "", "", true, "list: a program and its arguments, run after a change", &s.changeHook},
		{"change_hook_timeout", "X509CTL_CHANGE_HOOK_TIMEOUT", "", true, "how long that program may take", &s.changeHookTimeout},
		{"ec2_url", "X509CTL_EC2_URL", "", true, "EC2 service, for the archives of project credentials", &s.ec2URL},
		{"s3_url", "X509CTL_S3_URL", "", true, "S3 service, for the same", &s.s3URL},
		{"nova_url", "X509CTL_NOVA_URL", "", true, "compute service, for the same", &s.novaURL},
	}
}

func defaultSettings() *settings {
	return &settings{
		dir:               defaultDir,
		wait:              defaultWait,
		lifetime:          24 * time.Hour,
		keyType:           defaultKeyType,
		serialHookTimeout: time.Minute,
		changeHookTimeout: time.Minute,
		origin:            map[string]string{},
	}
}

// settings returns the settings, which are read once: a flag outranks a variable, that
// x509ctl.yaml, that the default.
func (a *app) settings() (*settings, error) {
	if a.read != nil {
		return a.read, nil
	}
	s, err := a.readSettings(true)
	if err != nil {
		return nil, err
	}
	a.read = s
	return s, nil
}

// readSettings becomes the directory's owner before it opens the file, if that is
// wanted.
func (a *app) readSettings(withFile bool) (*settings, error) {
	s := defaultSettings()
	defs := settingDefs(s)
	for _, d := range defs {
		s.origin[d.name] = "default"
	}
	if err := a.overlay(s, defs[:1]); err != nil { // dir says where the file is
		return nil, err
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return nil, fmt.Errorf("finding the directory: %w", err)
	}
	s.dir = dir
	uid, err := become(dir)
	if err != nil {
		return nil, err
	}
	a.became = cmp.Or(uid, a.became)
	if withFile {
		if err := readSettingsFile(s, defs); err != nil {
			return nil, err
		}
	}
	return s, a.overlay(s, defs[1:])
}

// overlay applies variables and flags.
func (a *app) overlay(s *settings, defs []settingDef) error {
	flags := map[string]string{"dir": a.global.dir, "ca-passphrase-file": a.global.caPassphraseFile}
	if a.global.wait != 0 {
		flags["wait"] = formatDuration(a.global.wait)
	}
	for _, d := range defs {
		from, value := "flag --"+d.flag, flags[d.flag]
		if value == "" && d.env != "" {
			from = d.env
			value, _ = a.lookupEnv(d.env)
		}
		if value == "" { // an empty variable is an unset one
			continue
		}
		if err := d.set(value); err != nil {
			return fault.Errorf(fault.Malformed, "reading %s: %w", from, err)
		}
		s.origin[d.name] = from
	}
	return nil
}

// set gives the setting the value that text says. A list takes one element.
func (d settingDef) set(text ...string) error {
	switch at := d.at.(type) {
	case *string:
		*at = text[0]
	case *profile.KeyAlgorithm:
		v, err := profile.ParseKeyAlgorithm(text[0])
		if err != nil {
			return err
		}
		*at = v
	case *time.Duration:
		v, err := parseDuration(text[0])
		if err != nil {
			return fmt.Errorf("%.80q is %w", text[0], err)
		}
		*at = v
	case *pathList:
		for _, path := range text {
			if !filepath.IsAbs(path) {
				return fmt.Errorf("%.80q is not an absolute path", path)
			}
		}
		*at = text
	case *[]string:
		if len(text) > 0 && !filepath.IsAbs(text[0]) {
			return fmt.Errorf("%.80q is not an absolute path", text[0])
		}
		*at = text
	}
	return nil
}

// show is the setting's value as text: what x509ctl.yaml would say.
func (d settingDef) show() string {
	switch at := d.at.(type) {
	case *string:
		return *at
	case *profile.KeyAlgorithm:
		return string(*at)
	case *time.Duration:
		return formatDuration(*at)
	case *pathList:
		return quoteAll(*at)
	case *[]string:
		return quoteAll(*at)
	}
	return ""
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = shellQuote(s)
	}
	return strings.Join(quoted, " ")
}

// readSettingsFile applies x509ctl.yaml, when there is one.
func readSettingsFile(s *settings, defs []settingDef) error {
	dir, err := durable.OpenState(s.dir)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the settings: %w", err)
	}
	defer dir.Close()
	b, _, err := dir.ReadFile(settingsFile, maxSettingsFile, durable.Guarded)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the settings: %w", err)
	}
	if err := applyYAML(b, s, defs); err != nil {
		return fault.Errorf(fault.Malformed, "reading %s: %w", filepath.Join(s.dir, settingsFile), err)
	}
	return nil
}

// yamlSettings is x509ctl.yaml: all that may stand in it.
type yamlSettings struct {
	Wait              *string  `yaml:"wait"`
	Lifetime          *string  `yaml:"lifetime"`
	KeyType           *string  `yaml:"key_type"`
	CAPassphraseFile  *string  `yaml:"ca_passphrase_file"`
	SerialCopies      []string `yaml:"serial_copies"`
	SerialHook        []string `yaml:"serial_hook"`
	SerialHookTimeout *string  `yaml:"serial_hook_timeout"`
	ChangeHook        []string `yaml:"change_hook"`
	ChangeHookTimeout *string  `yaml:"change_hook_timeout"`
	EC2URL            *string  `yaml:"ec2_url"`
	S3URL             *string  `yaml:"s3_url"`
	NovaURL           *string  `yaml:"nova_url"`
}

func applyYAML(b []byte, s *settings, defs []settingDef) error {
	if err := refuseTokens(b); err != nil {
		return err
	}
	var y yamlSettings
	if err := yaml.UnmarshalWithOptions(b, &y, yaml.DisallowUnknownField()); err != nil {
		return errors.New(yaml.FormatError(err, false, false))
	}
	texts := map[string]*string{
		"wait": y.Wait, "lifetime": y.Lifetime, "key_type": y.KeyType,
		"ca_passphrase_file": y.CAPassphraseFile, "serial_hook_timeout": y.SerialHookTimeout,
		"change_hook_timeout": y.ChangeHookTimeout,
		"ec2_url":             y.EC2URL, "s3_url": y.S3URL, "nova_url": y.NovaURL,
	}
	lists := map[string][]string{"serial_copies": y.SerialCopies, "serial_hook": y.SerialHook, "change_hook": y.ChangeHook}
	for _, d := range defs {
		value := lists[d.name]
		if text := texts[d.name]; text != nil {
			value = []string{*text}
		}
		if len(value) == 0 {
			continue
		}
		if err := d.set(value...); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		s.origin[d.name] = settingsFile
	}
	for _, path := range s.serialCopies {
		if strings.HasPrefix(filepath.Clean(path), s.dir+"/") {
			return fmt.Errorf("serial_copies: %.80q is in the directory itself", path)
		}
	}
	return nil
}

// refuseTokens refuses what no setting needs of YAML: references, of which a short file
// can make a value too long for any machine, and a second document, which the parser
// does not read.
func refuseTokens(b []byte) error {
	begun, ended, directive := false, false, 0
	for _, t := range lexer.Tokenize(string(b)) {
		switch t.Type {
		case token.AliasType, token.MergeKeyType:
			return fmt.Errorf("[%d:%d] references are not supported", t.Position.Line, t.Position.Column)
		case token.CommentType:
			continue
		case token.DirectiveType:
			directive = t.Position.Line
			continue
		case token.DocumentEndType:
			ended = true
			continue
		}
		if t.Position.Line == directive {
			continue
		}
		if ended || begun && t.Type == token.DocumentHeaderType {
			return fmt.Errorf("[%d:%d] there is a second document, which nobody would read", t.Position.Line, t.Position.Column)
		}
		begun = true
	}
	return nil
}

// describeSettings lists the settings for help and the man page.
func describeSettings() string {
	var b strings.Builder
	for _, d := range settingDefs(&settings{}) {
		var from []string
		if d.flag != "" {
			from = append(from, "--"+d.flag)
		}
		if d.env != "" {
			from = append(from, d.env)
		}
		if !d.file {
			from = append(from, "not in the file")
		}
		fmt.Fprintf(&b, "    %-20s %s\n", d.name, d.help)
		if len(from) > 0 {
			fmt.Fprintf(&b, "    %-20s (%s)\n", "", strings.Join(from, ", "))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
