// Package checkpoint writes the processes of a running VPS to files, and makes the
// processes from these files again. criu(8) does it. This package decides whether criu
// can, and talks to it.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/pattern"
)

// oldest is the oldest version of criu that croft uses. Older ones know neither the vDSO
// of current kernels nor mounts in user namespaces well enough.
var oldest = Version{4, 1}

// A Version is the version of a criu: major, minor.
type Version [2]int

func (v Version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

// before reports whether v is older than o.
func (v Version) before(o Version) bool { return v[0] < o[0] || v[0] == o[0] && v[1] < o[1] }

// A Criu is the criu of this host: the program criu of PATH.
type Criu struct{}

// program returns the path of criu. A missing one is fail.Host.
func (Criu) program() (string, error) {
	path, err := exec.LookPath("criu")
	if err != nil {
		return "", fail.New(fail.Host, "criu is not installed: no program criu in PATH").WithHint("croft host check")
	}
	return path, nil
}

// Check returns the version of criu. It is fail.Host if criu is missing, is too old, or
// does not work with this kernel.
func (c Criu) Check(ctx context.Context) (Version, error) {
	path, err := c.program()
	if err != nil {
		return Version{}, err
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Version{}, fail.New(fail.Host, "cannot ask %s for its version: %w", path, err)
	}
	v, err := parseVersion(string(out))
	if err != nil {
		return Version{}, fail.New(fail.Host, "%s: %w", path, err)
	}
	if v.before(oldest) {
		return v, fail.New(fail.Host, "criu %s is too old: croft needs %s or newer", v, oldest).WithHint("croft host check")
	}
	return v, c.checkKernel(ctx, path, v)
}

// checkKernel has criu try what it needs of the kernel. criu can be configured to write a
// log into its working directory.
func (Criu) checkKernel(ctx context.Context, path string, v Version) error {
	dir, err := os.MkdirTemp("", "croft-criu-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, path, "check")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fail.New(fail.Host, "criu %s does not work with this kernel: %s", v, reason(string(out), err)).WithHint("croft host check")
	}
	return nil
}

var version = pattern.New(`(?m)^Version: (\d+)\.(\d+)`)

func parseVersion(text string) (Version, error) {
	m := version().FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("no version in %q", text)
	}
	major, err := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return Version{major, minor}, errors.Join(err, err2)
}

// CheckLimits is fail.Host if criu cannot read the resource limits of processes in
// another user namespace: prlimit(2) needs CAP_SYS_RESOURCE for that.
func (Criu) CheckLimits() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if caps[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		return fail.New(fail.Host, "root of this host does not have CAP_SYS_RESOURCE: criu cannot read the resource limits of processes in a user namespace")
	}
	return nil
}

// general begins the errors of criu's log that tell nothing, or do not matter.
var general = []string{"Dumping FAILED", "Restoring FAILED", "rlimit: Can't setup RLIMIT_NOFILE", "cg: cgroupd", "Can't wait or bad status"}

var errorLine = pattern.New(`Error \([^)]*\): (.*)`)

// reason returns the first error in a log of criu that tells something, or err.
func reason(log string, err error) string {
lines:
	for line := range strings.Lines(log) {
		m := errorLine().FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		for _, g := range general {
			if strings.HasPrefix(m[1], g) {
				continue lines
			}
		}
		return m[1]
	}
	return err.Error()
}
