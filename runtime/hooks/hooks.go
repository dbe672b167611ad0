// Package hooks runs programs of the administrator before and after what happens to a
// VPS. They are files in a directory, for all VPSs, and in directories in it that have
// the name of a VPS, for that one.
package hooks

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Point says when a hook runs.
type Point string

// The points. A hook that fails at a point that begins with "pre" prevents what follows.
const (
	PreStart    Point = "pre-start"
	PostStart   Point = "post-start"
	PreStop     Point = "pre-stop"
	PostStop    Point = "post-stop"
	PostCreate  Point = "post-create"
	PreDestroy  Point = "pre-destroy"
	PostRestore Point = "post-restore"
)

// A Dir has the hooks. The zero Dir has none.
type Dir struct{ Path string }

// A Call is what a hook is told. It gets the point and the name as arguments too.
type Call struct {
	Point Point
	Name  vps.Name
	Env   []string      // beside PATH: NAME=VALUE
	Stdin func() []byte // called if there is a hook
	Limit time.Duration // after which a hook is killed, with the processes of its group
}

// Run runs the hooks for the VPS one after the other, in the order of their names: those
// for all, and then those of the VPS. It stops at the first one that fails. That is
// fail.Hook, as a hook is that others can change, and output is the end of what it
// printed. Without hooks it does nothing.
func (d Dir) Run(ctx context.Context, c Call) (output string, err error) {
	all, err := d.Find(c.Name)
	if err != nil || len(all) == 0 {
		return "", err
	}
	stdin := c.Stdin()
	for _, path := range all {
		if output, err := run(ctx, path, c, stdin); err != nil {
			return output, err
		}
	}
	return "", nil
}

// Find returns the paths of the hooks for the VPS. It is fail.Hook if another user can
// change one of them.
func (d Dir) Find(name vps.Name) ([]string, error) {
	if d.Path == "" {
		return nil, nil
	}
	var all []string
	for _, dir := range []string{d.Path, filepath.Join(d.Path, string(name))} {
		found, err := hooksIn(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// hooksIn returns the hooks in one directory, sorted.
func hooksIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fail.New(fail.Hook, "read hooks: %w", err)
	}
	var all []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() || !counts(e.Name()) {
			continue
		}
		st, err := os.Lstat(path)
		if err != nil {
			return nil, fail.New(fail.Hook, "read hooks: %w", err)
		}
		if st.Mode().IsRegular() && st.Mode()&0o111 == 0 {
			continue
		}
		if !st.Mode().IsRegular() {
			return nil, fail.New(fail.Hook, "hook %s is not a regular file", path)
		}
		if err := check(path, st); err != nil {
			return nil, err
		}
		all = append(all, path)
	}
	if len(all) == 0 {
		return nil, nil
	}
	// Who can write to a directory can replace what is in it.
	for _, above := range []string{dir, filepath.Dir(dir)} {
		st, err := os.Stat(above)
		if err != nil {
			return nil, fail.New(fail.Hook, "read hooks: %w", err)
		}
		if err := check(above, st); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// counts reports whether a file of this name is a hook. Editors and packages leave
// others.
func counts(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
		return false
	}
	left := []string{".bak", ".swp", ".orig", ".disabled", ".rpmsave", ".rpmorig", ".rpmnew", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp"}
	return !slices.Contains(left, filepath.Ext(name))
}

// check is fail.Hook if a user other than root and the one of this process can write.
func check(path string, st fs.FileInfo) error {
	owner := st.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && int(owner) != os.Geteuid() {
		return fail.New(fail.Hook, "hooks do not run, because %s belongs to user %d and not to root", path, owner)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fail.New(fail.Hook, "hooks do not run, because others can write to %s (mode %04o)", path, st.Mode().Perm())
	}
	return nil
}

// run runs one hook and returns the end of its output.
func run(ctx context.Context, path string, c Call, stdin []byte) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, path, string(c.Point), string(c.Name))
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=" + searchPath()}, c.Env...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a process that it left may have its output open
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case bounded.Err() != nil:
		return out.String(), fail.New(fail.Hook, "hook %s did not end within %s and was killed", path, c.Limit)
	}
	return out.String(), fail.New(fail.Hook, "hook %s failed: %w", path, err)
}

// searchPath is the caller's PATH, or a usual one.
func searchPath() string {
	if path := os.Getenv("PATH"); path != "" {
		return path
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// A tail keeps the end of what is written to it.
type tail struct{ text []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = slices.Clone(t.text[over:])
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
