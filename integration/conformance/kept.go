package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"croft/integration/cgroups"

	"golang.org/x/sys/unix"
)

// kept is what runc's results were on this machine since it booted.
type kept struct {
	path  string
	Files map[string]keptFile `json:"files"` // by path
}

// A keptFile has the results of one file of tests, as it was then.
type keptFile struct {
	Digest string            `json:"digest,omitempty"`
	Tests  map[string]result `json:"tests"`
}

// openKept reads what is kept of a version of runc. What is kept of another
// machine, boot or set of tools is nothing.
func openKept(cache, version string) (*kept, error) {
	key, err := machineKey()
	if err != nil {
		return nil, err
	}
	k := &kept{path: filepath.Join(cache, fmt.Sprintf("results-%s-%s.json", version, key)), Files: map[string]keptFile{}}
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(text, k)
	}
	return k, err
}

// machineKey is a digest of what runc's results depend on.
func machineKey() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	bats, err := exec.Command("bats", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("bats --version: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, u.Release, u.Version, string(boot), cgroups.Parse(string(mounts)), string(bats))
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

func (k *kept) get(f file, test string) (result, bool) {
	was := k.Files[f.path()]
	r, ok := was.Tests[test]
	return r, ok && was.Digest == f.digest
}

// missing returns the tests of f without a result.
func (k *kept) missing(f file) []string {
	var all []string
	for _, test := range f.tests {
		if _, ok := k.get(f, test); !ok {
			all = append(all, test)
		}
	}
	return all
}

// add keeps results, in place of older ones, on disk.
func (k *kept) add(f file, found map[string]result) error {
	was, ok := k.Files[f.path()]
	if !ok || was.Digest != f.digest {
		was = keptFile{Digest: f.digest, Tests: map[string]result{}}
	}
	for test, r := range found {
		was.Tests[test] = r
	}
	k.Files[f.path()] = was
	text, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(k.path+".new", k.path)
}
