package recipe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"croft/internal/fail"
)

// A tool is a program of a distribution that creates a root filesystem.
type tool struct {
	name string // of the program
}

// isHere reports whether the host has t where a build finds it.
func (t tool) isHere() bool {
	for dir := range strings.SplitSeq(buildPath, ":") {
		if _, err := exec.LookPath(filepath.Join(dir, t.name)); err == nil {
			return true
		}
	}
	return false
}

// Builder returns the tool that builds Debian templates on this host. If there is
// none, or if Debian's keys are missing, it is fail.Host with the command that
// installs them.
func Builder() (string, error) {
	for _, t := range debianFamily().tools {
		if t.isHere() {
			return t.name, findKeyring()
		}
	}
	return "", fail.New(fail.Host, "building a Debian template needs mmdebstrap or debootstrap, and neither is installed").
		WithHint("apt-get install mmdebstrap")
}

func findKeyring() error {
	if _, err := os.Stat(keyring); err != nil {
		return fail.New(fail.Host, "building a Debian template needs its archive's keys: %w", err).
			WithHint("apt-get install debian-archive-keyring")
	}
	return nil
}
