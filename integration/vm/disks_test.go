//go:build vm

package vm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkout is the top of the tree, seen from where the tests run.
const checkout = "../.."

// makePayload makes the disk that is /croft in the machine: what is tested,
// and the tests, in the places that they have in the checkout.
func makePayload(path string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "payload-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "integration"), 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	croft := os.Getenv("CROFT_BIN")
	if croft == "" {
		croft = filepath.Join(checkout, "croft")
	}
	for _, c := range [][2]string{
		{croft, "croft"},
		{"installed", "installed"},
		{filepath.Join(checkout, "integration/integration.test"), "integration/integration.test"},
		{filepath.Join(checkout, "scripts"), "scripts"},
		// The tests tell by the code and the recipes which templates are theirs.
		{filepath.Join(checkout, "template"), "template"},
		{filepath.Join(checkout, "integration/recipes"), "integration/recipes"},
		{self, "vm.test"},
	} {
		if err := run("cp", "-R", c[0], filepath.Join(dir, c[1])); err != nil {
			return err
		}
	}
	return makeDisk(path, dir)
}

// openTemplates returns the disk that has the templates for the integration
// tests, as these keep them between runs. It lets them build what is missing
// here, where packages can be had, and makes a new disk if there is something
// new. The caller holds the lock of cache.
func openTemplates(cache string) (string, error) {
	kept := os.Getenv("CROFT_TEST_CACHE")
	if kept == "" {
		kept = "/var/tmp/croft-test"
	}
	prepare := exec.Command("./integration.test", "-test.list=^$")
	prepare.Dir = filepath.Join(checkout, "integration")
	prepare.Env = append(os.Environ(), "CROFT_TEST_CACHE="+kept)
	prepare.Stdout, prepare.Stderr = os.Stdout, os.Stderr
	if err := prepare.Run(); err != nil {
		return "", fmt.Errorf("prepare templates: %w", err)
	}
	unlock, err := lockAll(kept)
	if err != nil {
		return "", err
	}
	defer unlock()
	key, err := templatesKey(kept)
	if err != nil {
		return "", err
	}
	disk := filepath.Join(cache, "templates-"+key+".img")
	if _, err := os.Stat(disk); err == nil {
		return disk, nil
	}
	old, err := filepath.Glob(filepath.Join(cache, "templates-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		os.Remove(o)
	}
	if err := makeDisk(disk+".tmp", kept); err != nil {
		return "", err
	}
	return disk, os.Rename(disk+".tmp", disk)
}

// lockAll keeps runs of the integration tests from changing what they keep.
func lockAll(kept string) (unlock func(), err error) {
	dirs, err := filepath.Glob(filepath.Join(kept, "*"))
	if err != nil {
		return nil, err
	}
	var held []*os.File
	unlock = func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, dir := range dirs {
		f, err := lock(dir)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, f)
	}
	return unlock, nil
}

// lock waits for the lock of a directory, and holds it until f is closed.
func lock(dir string) (f *os.File, err error) {
	if f, err = os.Open(dir); err != nil {
		return nil, err
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		say("waiting for another run, which is using %s", dir)
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
	return f, nil
}

// templatesKey is a digest of the digests of all templates that are kept.
func templatesKey(kept string) (string, error) {
	indexes, err := filepath.Glob(filepath.Join(kept, "*/root/templates/index.json"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, path := range indexes {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}
