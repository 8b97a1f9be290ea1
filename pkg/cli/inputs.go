package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"x509ctl/pkg/fault"
)

// An input is one file of a batch.
type input struct {
	path string
	err  error // why it can't be read, where that is known already
}

// requestEndings are the endings of file names that are left away when a file is
// named after a request.
var requestEndings = []string{".csr", ".pem", ".req", ".p10", ".der"}

// baseName is what a request's file is called, without directory and ending.
func baseName(path string) string {
	base := filepath.Base(path)
	if ext := filepath.Ext(base); slices.Contains(requestEndings, strings.ToLower(ext)) && ext != base {
		return strings.TrimSuffix(base, ext)
	}
	return base
}

// findInputs returns the files that args name: each as it is, and for a directory
// its regular files with one of the endings, by name. What can't be found is an
// input with an error, so that it doesn't stop the others.
func findInputs(args []string, endings func(dir string) []string) []input {
	inputs := make([]input, 0, len(args))
	for _, arg := range args {
		if arg == "-" {
			inputs = append(inputs, input{path: arg})
			continue
		}
		if info, err := os.Stat(arg); err != nil || !info.IsDir() {
			inputs = append(inputs, input{path: arg}) // an error shows again where it is read
			continue
		}
		inputs = appendDir(inputs, arg, endings(arg))
	}
	return inputs
}

func appendDir(inputs []input, dir string, endings []string) []input {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return append(inputs, input{dir, err})
	}
	before := len(inputs)
	for _, e := range entries {
		if e.Type().IsRegular() && slices.Contains(endings, filepath.Ext(e.Name())) {
			inputs = append(inputs, input{path: filepath.Join(dir, e.Name())})
		}
	}
	if len(inputs) == before {
		return append(inputs, input{dir, fault.Errorf(fault.NotFound, "there is no file *%s in directory %s", strings.Join(endings, " or *"), dir)})
	}
	return inputs
}

// findRequests returns the requests that args name. Certificates are put beside
// requests as NAME.pem, so there no such file is a request.
func findRequests(args []string, outDir string) []input {
	inputs := findInputs(args, func(dir string) []string {
		if sameDir(dir, outDir) {
			return []string{".csr", ".req"}
		}
		return []string{".csr", ".pem", ".req"}
	})
	if outDir != "" {
		refuseTwice(inputs)
	}
	return inputs
}

func sameDir(a, b string) bool {
	if b == "" {
		return false
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// refuseTwice refuses inputs whose output would have the name of an earlier one's.
func refuseTwice(inputs []input) {
	seen := make(map[string]struct{}, len(inputs))
	for i, in := range inputs {
		name := baseName(in.path)
		if _, twice := seen[name]; twice && in.err == nil {
			inputs[i].err = fault.Errorf(fault.Exists, "an earlier request has the same name, %s", name)
		}
		seen[name] = struct{}{}
	}
}
