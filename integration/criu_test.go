//go:build integration

package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// criuBuild is what a test asks the outer process for to get a criu. Some releases carry one
// that is too old for the kernel that they run on: then it is Debian's, unpacked, with its
// own libc.
const criuBuild = "criu"

// criuDir is where that criu is.
func criuDir(root string) string { return filepath.Join(filepath.Dir(root), criuBuild) }

// withCRIU puts a criu that works on this kernel first in PATH. Without one the test is
// skipped with the reason.
func withCRIU(t *testing.T) {
	t.Helper()
	if checkCRIU("criu") == nil {
		return
	}
	if why := unbuilt(t, criuBuild); why != "" {
		t.Skipf("no criu that works: %s", why)
	}
	bin := filepath.Join(criuDir(world.root), "bin")
	if err := checkCRIU(filepath.Join(bin, "criu")); err != nil {
		t.Skipf("criu does not work with this kernel: %v", err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// checkCRIU asks a criu what it can do on this kernel. It can be configured to write a log
// into its working directory.
func checkCRIU(criu string) error {
	dir, err := os.MkdirTemp("", "criu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(criu, "check")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("criu check: %w\n%s", err, out)
	}
	return nil
}

// getCRIU unpacks Debian's criu in dir, as dir/bin/criu. No-op if it is there.
func getCRIU(dir string) error {
	if exists(filepath.Join(dir, "bin", "criu")) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	out, err := exec.Command("mmdebstrap", "--quiet", "--variant=extract", "--format=directory", "--include=criu", "trixie", dir).CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return fmt.Errorf("mmdebstrap trixie: %w\n%s", err, out)
	}
	var linker, libraries string
	err = filepath.WalkDir(filepath.Join(dir, "usr"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "ld-linux") {
			linker = path
		}
		if err == nil && d.Name() == "libc.so.6" {
			libraries = filepath.Dir(path)
		}
		return err
	})
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "bin"), 0o755)
	}
	if err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --library-path %s %s/usr/sbin/criu \"$@\"\n", linker, libraries, dir)
	return os.WriteFile(filepath.Join(dir, "bin", "criu"), []byte(script), 0o755)
}
