package qcow2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"al.essio.dev/pkg/shellescape"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/template/confine"
	"croft/template/layer"
	"croft/template/recipe/hostpackages"
)

// Tool is the program that converts images.
const Tool = "qemu-img"

// The limits of the program, beside those of a build. Images of 64 GiB need some minutes.
const (
	mostMemory  = 4 << 30 // bytes of its address space
	mostSeconds = 3600    // of a CPU
)

// A Converter converts the image File to the disk Disk. Both are in Dir, which has nothing else.
type Converter struct {
	Dir   string
	Size  int64                                            // of the disk: see Size
	First uint32                                           // the first of the host's ids for the program
	Bound func(ctx context.Context, pid int) (free func()) // limits the program, and returns what takes that back
}

// File is the image that is converted, which has passed Size.
func (c Converter) File() string { return filepath.Join(c.Dir, "image") }

// Disk is the raw disk that Convert makes. It has holes where the image has no data.
func (c Converter) Disk() string { return filepath.Join(c.Dir, "disk") }

// Find returns the path of the program. A host without it is fail.Host.
func Find() (string, error) {
	path, err := exec.LookPath(Tool)
	if err == nil {
		return filepath.Abs(path)
	}
	missing := fail.New(fail.Host, "it is a disk image in the format qcow2, and this host has no %s, which converts it", Tool)
	_, install := hostpackages.For([]string{Tool}, func(program string) bool { _, err := exec.LookPath(program); return err == nil })
	if install == "" {
		return "", missing.WithHint("install %s, or convert the image on another machine: %[1]s convert -O raw FILE FILE.raw", Tool)
	}
	return "", missing.WithHint("%s", install)
}

// CheckSpace is fail.Host if the file system of a directory has less than size bytes free.
func CheckSpace(dir string, size int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return layer.HostError(fmt.Errorf("look at the free space: %w", err))
	}
	if free := st.Bavail * uint64(st.Bsize); uint64(size) > free {
		return fail.New(fail.Host, "the qcow2 image is of a disk of %s, and only %s are free for its files", sizes.Text(size), sizes.Text(int64(free))).WithHint("df -h %s", dir)
	}
	return nil
}

// Convert makes Disk of File, with the program qemu-img at a path. The program is confined as a build
// is, without any network: it sees Dir, in which it can write nothing but Disk, and files of
// the host that all users can read. The end of ctx kills it. An image that it cannot read is
// fail.Usage.
func (c Converter) Convert(ctx context.Context, path string) error {
	if err := c.prepare(); err != nil {
		return err
	}
	// croft has made the target, with its size and only holes: a target that the program makes
	// could be a link to any file.
	script := "exec " + shellescape.QuoteCommand([]string{path, "convert", "-f", "qcow2", "-O", "raw", "-n", "--target-is-zero", "/tmp/croft/image", "/tmp/croft/disk"})
	cmd := confine.Command(ctx, script, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, c.First)
	var said tail
	cmd.Stderr = &said
	begin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	sandbox := confine.Sandbox{Dir: c.Dir, Enter: func() error { return unix.Unshare(unix.CLONE_NEWNET) }}
	release, err := sandbox.Start(cmd.Start)
	defer release()
	if err != nil {
		return fail.New(fail.Host, "start %s in its namespaces: %w", Tool, err).WithHint("sysctl user.max_user_namespaces must be above 0")
	}
	defer c.Bound(ctx, cmd.Process.Pid)()
	if err := c.limit(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return err
	}
	begin.Close() // it waits for this
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return failure(err, string(said))
	}
	return nil
}

// prepare makes the empty disk, which the program may write, and lets it read the image.
func (c Converter) prepare() error {
	f, err := os.OpenFile(c.Disk(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	return layer.HostError(errors.Join(os.Chmod(c.Dir, 0o755), os.Chmod(c.File(), 0o644), f.Truncate(c.Size), f.Chown(int(c.First), int(c.First))))
}

// limit limits the program, which has not begun.
func (c Converter) limit(pid int) error {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_AS: mostMemory, unix.RLIMIT_CPU: mostSeconds, unix.RLIMIT_FSIZE: uint64(c.Size), unix.RLIMIT_CORE: 0,
	} {
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return fmt.Errorf("limit %s: %w", Tool, err)
		}
	}
	return nil
}

// A tail is the end of what a program prints.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	*t = append(*t, p...)
	*t = (*t)[max(0, len(*t)-most):]
	return len(p), nil
}

// failure returns why the program ended with err. said is what it printed.
func failure(err error, said string) error {
	var exit *exec.ExitError
	switch {
	case strings.Contains(said, "No space left on device"):
		return layer.HostError(fmt.Errorf("%s: %w", Tool, unix.ENOSPC))
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		return fail.New(fail.Usage, "%s did not convert the qcow2 image: it was killed (%s), because it took more than its limits or is faulty", Tool, exit.Sys().(syscall.WaitStatus).Signal())
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return fail.New(fail.Usage, "the qcow2 image is damaged: %s: %s", Tool, reasonIn(said))
	}
	return fail.New(fail.Host, "%s: %s (%w)", Tool, reasonIn(said), err)
}

// reasonIn returns the last line that the program printed, without what a terminal would obey.
func reasonIn(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	why := strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), Tool+": ")
	if why == "" {
		return "it printed nothing"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, why)
}
