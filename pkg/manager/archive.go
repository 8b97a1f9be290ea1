package manager

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"x509ctl/pkg/authority"
	"x509ctl/pkg/fault"
)

// writeArchive writes entries and the database at path as a tar archive, which any
// tar can look into.
func writeArchive(w io.Writer, entries []entry, database string, now func() time.Time) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := writeHeader(t, e.name, e.mode, int64(len(e.data)), now()); err != nil {
			return err
		}
		if _, err := t.Write(e.data); err != nil {
			return fmt.Errorf("writing the backup: %w", err)
		}
	}
	f, err := os.Open(database)
	if err != nil {
		return fmt.Errorf("reading the snapshot: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the snapshot: %w", err)
	}
	if err := writeHeader(t, databaseFile, 0o600, st.Size(), now()); err != nil {
		return err
	}
	if _, err := io.Copy(t, f); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

func writeHeader(t *tar.Writer, name string, mode fs.FileMode, size int64, now time.Time) error {
	h := &tar.Header{Name: name, Mode: int64(mode.Perm()), Size: size, ModTime: now.Truncate(time.Second), Format: tar.FormatPAX, Typeflag: tar.TypeReg}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// archived says whether an archive may hold a file of that name, and the most that
// others than the owner may do with it.
func archived(name string) (fs.FileMode, bool) {
	switch name {
	case settingsFile:
		return 0o644, true
	case databaseFile:
		return 0o600, true
	}
	id, file, ok := archivedFile(name)
	if roleOf(id) != authority.ProjectCA && (file == authority.DecryptKeyName || file == authority.DecryptCertName) {
		return 0, false
	}
	if !ok || !slices.Contains(authority.Files(), file) && !authority.IsOtherFile(file) {
		return 0, false
	}
	switch path.Base(file) {
	case authority.KeyName, authority.DecryptKeyName:
		return 0o400, true
	}
	return 0o644, true
}

// archivedFile splits the name of a file in an archive: whose it is, and its path from
// that authority's directory.
func archivedFile(name string) (id AuthorityID, file string, ok bool) {
	words := strings.Split(name, "/")
	switch {
	case words[0] == clusterDir && len(words) > 1:
		return Cluster, strings.Join(words[1:], "/"), true
	case words[0] == rootDir && len(words) > 1:
		return ProjectRoot, strings.Join(words[1:], "/"), true
	case words[0] != projectsDir || len(words) < 3:
		return "", "", false
	}
	id = AuthorityID(projectPrefix + words[1])
	_, err := dirPath(id)
	return id, strings.Join(words[2:], "/"), err == nil
}

// What bounds the files of a backup beside the database: those of ten thousand projects
// are not half of it.
const (
	maxEntries     = 200_000
	maxEntriesSize = 512 << 20 // bytes, of all together
)

// readArchive reads a backup and puts its database at path. An archive is as
// hostile as any file: each name may come once, is one of ours, and names a
// regular file without holes.
func readArchive(r io.Reader, path string) ([]entry, error) {
	seen := map[string]bool{}
	var out []entry
	complete, size := false, 0
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Errorf(fault.Malformed, "reading the backup: %w", err)
		}
		mode, ok := archived(h.Name)
		if !ok || seen[h.Name] || h.Typeflag != tar.TypeReg || complete {
			return nil, fault.Errorf(fault.Malformed, "%.80q is not a file of a backup, or not in its place", h.Name)
		}
		if hasHoles(h) {
			return nil, fault.Errorf(fault.Malformed, "%s of the backup is stored with holes, as x509ctl does not do", h.Name)
		}
		seen[h.Name] = true
		if h.Name == databaseFile {
			if err := extract(t, path); err != nil {
				return nil, err
			}
			complete = true
			continue
		}
		data, err := io.ReadAll(io.LimitReader(t, backupLimit+1))
		if err == nil && len(data) > backupLimit {
			err = errors.New("it is too large")
		}
		if err != nil {
			return nil, fault.Errorf(fault.Malformed, "reading %s of the backup: %w", h.Name, err)
		}
		if size += len(data); len(out) == maxEntries || size > maxEntriesSize {
			return nil, fault.Errorf(fault.Malformed, "the backup has more than %d files, or %d MiB of them", maxEntries, maxEntriesSize>>20)
		}
		out = append(out, entry{h.Name, fs.FileMode(h.Mode) & mode, data})
	}
	if !complete {
		return nil, fault.New(fault.Malformed, "the backup is not complete: it has no database at its end")
	}
	hasKey := slices.ContainsFunc(out, func(e entry) bool { return e.name == clusterDir+"/key.pem" })
	hasCert := slices.ContainsFunc(out, func(e entry) bool { return e.name == clusterDir+"/cert.pem" })
	if !hasKey || !hasCert {
		return nil, fault.New(fault.Malformed, "the backup holds no CA")
	}
	return out, nil
}

// hasHoles reports whether a file is stored sparse, as GNU tar does: what is read of it
// is then of any size, however small the archive is. (The older form of it has a type
// of its own.)
func hasHoles(h *tar.Header) bool {
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// extract copies the database to a new file, synced.
func extract(r io.Reader, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, r); errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Errorf(fault.Malformed, "reading the database of the backup: %w", err)
	} else if err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	return nil
}
