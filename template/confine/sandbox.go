package confine

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// A Sandbox is what a build's processes see of the host, beside the namespaces of
// Command: its programs and the files that all users can read, without hidden
// directories.
type Sandbox struct {
	Dir      string                   // of the build; they see it at /tmp/croft, and nothing else in /tmp
	Archives []string                 // URLs; directories of the host that these name are not hidden
	Mount    func() (*os.File, error) // mounts a root filesystem and opens it; they see it at RootDir. Nil is none
	Enter    func() error             // moves the calling thread to the network that they have
}

// RootDir is where a build has the root filesystem that Sandbox.Mount mounts.
const RootDir = "/tmp/croft/root"

// hidden are directories of the host that a build sees empty: files of its users, and
// sockets of its services. The kernel does not protect a socket by a mount namespace.
var hidden = []string{"/home", "/media", "/mnt", "/root", "/run", "/srv"}

// Start calls start on a thread that is in the sandbox. It returns when start has
// returned, with its error. The thread ends when the caller calls release, also after an
// error. The kernel then kills the process that start has started with Pdeathsig.
//
// The thread makes the mounts, and not the build's first process, because only
// the host's root may enter the directories above Dir.
func (s Sandbox) Start(start func() error) (release func(), err error) {
	started, released := make(chan error), make(chan struct{})
	go func() {
		err := nsthread.PrivateMounts(func() {
			err := layer.HostError(s.mount())
			if err == nil {
				err = layer.HostError(s.Enter())
			}
			if err == nil {
				err = start()
			}
			started <- err
			<-released
		})
		if err != nil {
			started <- layer.HostError(err)
		}
	}()
	return func() { close(released) }, <-started
}

func (s Sandbox) mount() error {
	top, err := os.OpenFile(s.Dir, unix.O_PATH|unix.O_DIRECTORY, 0) // it may be in a directory that is hidden
	if err != nil {
		return fmt.Errorf("open a build's directory: %w", err)
	}
	defer top.Close()
	var root *os.File
	if s.Mount != nil {
		if root, err = s.Mount(); err != nil {
			return err
		}
		defer root.Close()
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount a build's /tmp: %w", err)
	}
	for _, dir := range hidden {
		if err := s.hide(dir); err != nil {
			return err
		}
	}
	if err := bindAt(top, "/tmp/croft"); err != nil || root == nil {
		return err
	}
	return bindAt(root, RootDir)
}

// hide makes a directory of the host empty. No-op if it is missing, or a link, or if an
// archive is in it.
func (s Sandbox) hide(dir string) error {
	for _, archive := range s.Archives {
		if _, path, ok := strings.Cut(archive, ":"); ok && strings.HasPrefix("/"+strings.TrimLeft(path, "/"), dir+"/") {
			return nil
		}
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "mode=755"); err != nil {
		return fmt.Errorf("hide %s from a build: %w", dir, err)
	}
	return nil
}

// bindAt mounts the open directory dir at the new directory at.
func bindAt(dir *os.File, at string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(int(dir.Fd())), at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s for a build: %w", at, err)
	}
	return nil
}

// Hides reports whether a build does not see a file of the host because of its directory.
func Hides(file string) bool {
	return slices.ContainsFunc(append(slices.Clone(hidden), "/tmp"), func(dir string) bool { return strings.HasPrefix(file, dir+"/") })
}
