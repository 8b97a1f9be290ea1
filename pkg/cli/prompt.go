package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/AlecAivazis/survey/v2"
	"github.com/AlecAivazis/survey/v2/core"
	"github.com/AlecAivazis/survey/v2/terminal"
	"golang.org/x/term"
)

// This file is the only one that knows survey, which is archived upstream.

// canAsk says whether there is somebody to ask: answers come from stdin, questions
// go to stderr, and both are terminals.
func (a *app) canAsk() bool {
	return a.isTerminal(a.stdin) && a.isTerminal(a.stderr)
}

// ask asks for one line. preset is the answer of an empty line. Without a terminal
// it is a usage error that names flag, which would have answered.
func (a *app) ask(flag, question, preset string) (string, error) {
	if !a.canAsk() {
		return "", missingFlag(flag)
	}
	var answer string
	err := a.prompt(&survey.Input{Message: question, Default: preset}, &answer)
	return answer, err
}

// choose asks for one of words, of which preset is the first choice.
func (a *app) choose(flag, question string, words []string, preset string) (string, error) {
	if !a.canAsk() {
		return "", missingFlag(flag)
	}
	var answer string
	err := a.prompt(&survey.Select{Message: question, Options: words, Default: preset}, &answer)
	return answer, err
}

// askSecret asks for a line that is not shown, twice when it is a new secret.
func (a *app) askSecret(flag, question string, twice bool) (string, error) {
	if !a.canAsk() {
		return "", missingFlag(flag)
	}
	var first, second string
	if err := a.prompt(&survey.Password{Message: question}, &first); err != nil {
		return "", err
	}
	if !twice {
		return first, nil
	}
	if err := a.prompt(&survey.Password{Message: "The same again:"}, &second); err != nil {
		return "", err
	}
	if first != second {
		return "", usagef("the two answers differ")
	}
	return first, nil
}

var errNotConfirmed = errors.New("not confirmed, nothing was changed")

// confirm asks before something is destroyed, unless yes says so already.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return missingFlag("yes")
	}
	var answer bool
	if err := a.prompt(&survey.Confirm{Message: question}, &answer); err != nil {
		return err
	}
	if !answer {
		return errNotConfirmed
	}
	return nil
}

// note tells the user something that is neither the result nor an error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "x509ctl: note: %s\n", escape(fmt.Sprintf(format, args...)))
}

func missingFlag(flag string) error {
	return usagef("missing --%s, and there is no terminal to ask at", flag)
}

func (a *app) prompt(p survey.Prompt, answer any) error {
	in, out := a.terminalIn(), a.terminalOut()
	if in == nil || out == nil {
		return errors.New("asking a question: the streams are no files")
	}
	if kind, _ := a.lookupEnv("TERM"); kind == "" || kind == "dumb" {
		return plainPrompt(in, out, p, answer)
	}
	core.DisableColor = a.plain()
	err := survey.AskOne(p, answer, survey.WithStdio(in, out, out))
	if errors.Is(err, terminal.InterruptErr) || errors.Is(err, io.EOF) {
		return errInterrupted
	}
	return err
}

// plainPrompt asks on a terminal that only prints: survey would wait for ever for
// such a one to tell where its cursor is.
func plainPrompt(in, out *os.File, p survey.Prompt, answer any) error {
	switch p := p.(type) {
	case *survey.Input:
		line, err := plainLine(in, out, fmt.Sprintf("%s (%s) ", p.Message, p.Default))
		return errors.Join(err, core.WriteAnswer(answer, "", cmp.Or(line, p.Default)))
	case *survey.Select:
		line, err := plainLine(in, out, fmt.Sprintf("%s one of %s (%v) ", p.Message, strings.Join(p.Options, ", "), p.Default))
		line = cmp.Or(line, fmt.Sprint(p.Default))
		if err == nil && !slices.Contains(p.Options, line) {
			return usagef("%q is none of %s", line, strings.Join(p.Options, ", "))
		}
		return errors.Join(err, core.WriteAnswer(answer, "", core.OptionAnswer{Value: line}))
	case *survey.Confirm:
		line, err := plainLine(in, out, p.Message+" (y/N) ")
		yes := strings.HasPrefix(strings.ToLower(line), "y")
		return errors.Join(err, core.WriteAnswer(answer, "", yes))
	case *survey.Password:
		fmt.Fprint(out, p.Message+" ")
		secret, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(out)
		return errors.Join(err, core.WriteAnswer(answer, "", string(secret)))
	}
	return fmt.Errorf("asking a question: no plain form of %T", p)
}

// plainLine asks and reads one line. Without any, as at the end of a terminal's
// input, the user wants to stop.
func plainLine(in io.Reader, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	line, err := bufio.NewReaderSize(in, 4096).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return "", errInterrupted
	}
	return strings.TrimSpace(line), err
}

func (a *app) terminalIn() *os.File {
	r := a.stdin
	if i, ok := r.(*interruptibleReader); ok {
		r = i.r
	}
	f, _ := r.(*os.File)
	return f
}

func (a *app) terminalOut() *os.File {
	f, _ := a.stderr.(*os.File)
	return f
}

// plain says whether colors are unwanted.
func (a *app) plain() bool {
	no, set := a.lookupEnv("NO_COLOR")
	return a.global.noColor || set && no != ""
}
