package backups

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"croft/internal/atomicfile"
	"croft/template/layer/delta"
)

// The directory of Options.Records has two files for each repository: FIRST is the record of
// the last push of all files, LAST that of the last push. Each is complete without the
// other, so it does not matter which of them a killed push has written.
const (
	firstRecord = ".first"
	lastRecord  = ".last"
)

// maxRepositories is for how many repositories records are kept: those of the latest pushes.
const maxRepositories = 4

// maxRecord is the largest size of a file with a record, in bytes.
const maxRecord = 256 << 20

// recordName begins the names of the files for a repository.
func recordName(repository string) string {
	sum := sha256.Sum256([]byte(repository))
	return hex.EncodeToString(sum[:8])
}

// readRecords returns the records for a repository, that of the last push first. A missing
// or damaged file has none.
func readRecords(dir, repository string) []delta.Record {
	var all []delta.Record
	for _, which := range []string{lastRecord, firstRecord} {
		if r, err := readRecord(filepath.Join(dir, recordName(repository)+which)); err == nil {
			all = append(all, r)
		}
	}
	return all
}

func readRecord(path string) (delta.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return delta.Record{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return delta.Record{}, err
	}
	return delta.Decode(b)
}

// writeRecord keeps the record of a push, and removes those for other repositories that are
// too many. The directory is created, and not the one above it.
func writeRecord(dir, repository string, r delta.Record) error {
	b, err := r.Encode()
	if err != nil || len(b) > maxRecord {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	path := filepath.Join(dir, recordName(repository))
	if len(r.Layers) > 1 {
		err = atomicfile.ReplaceShared(path+lastRecord, 0o600, b)
	} else if err = atomicfile.ReplaceShared(path+firstRecord, 0o600, b); err == nil {
		err = removeFile(path + lastRecord)
	}
	if err == nil {
		err = sweepRecords(dir)
	}
	return err
}

// sweepRecords removes records for the repositories that were not pushed to for the longest
// time, and what killed writers have left.
func sweepRecords(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	latest := map[string]time.Time{} // by the name of a repository
	for _, e := range entries {
		in, err := e.Info()
		if err != nil {
			continue // another push has removed it
		}
		if strings.HasPrefix(e.Name(), ".") {
			if time.Since(in.ModTime()) > time.Hour {
				err = removeFile(filepath.Join(dir, e.Name()))
			}
			if err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(e.Name(), ".")
		if in.ModTime().After(latest[name]) {
			latest[name] = in.ModTime()
		}
	}
	var names []string
	for name := range latest {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(latest[b].Compare(latest[a]), cmp.Compare(a, b)) })
	for _, name := range names[min(maxRepositories, len(names)):] {
		for _, which := range []string{firstRecord, lastRecord} {
			if err := removeFile(filepath.Join(dir, name+which)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeFile removes a file. No-op if it is missing.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
