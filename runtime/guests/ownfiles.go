package guests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/nsthread"
	"croft/runtime/holder/fuse"
	"croft/runtime/holder/protocol"
)

// OwnFiles are the files of /proc and /sys that show a VPS its own memory, CPUs and
// load. Its holder answers for them.
type OwnFiles struct {
	// Server is where requests come from: a descriptor of /dev/fuse. When its last
	// copy is closed, each read(2) of the files fails at once.
	Server *os.File
	// Tasks is /proc of the VPS as it was mounted: O_PATH.
	Tasks *os.File
}

// Close closes both. No-op for nil.
func (o *OwnFiles) Close() {
	if o != nil {
		o.Server.Close()
		o.Tasks.Close()
	}
}

// OwnFiles mounts files of its own over those of the kernel that show the whole host,
// in the VPS whose init is p. They belong to the VPS's root, whose id on the host is
// owner. Those of an earlier holder are replaced. With pressure it gets those of
// /proc/pressure too. scratch is a directory of the host. The caller closes what it
// gets, also on an error, which means that some of the files are not mounted; nil if none
// is, or if the host has no FUSE.
func (Access) OwnFiles(p *inside.Process, owner uint32, pressure bool, scratch string) (_ *OwnFiles, err error) {
	server, trees, err := newFiles(owner, scratch)
	if errors.Is(err, errNoFUSE) {
		return nil, nil
	}
	defer func() {
		for _, t := range trees {
			t.Close()
		}
	}()
	own := &OwnFiles{Server: server}
	if err == nil {
		own.Tasks, err = p.OpenProc()
	}
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("give the VPS files of its own: %w", err)
	}
	for n, tree := range trees {
		if name := protocol.FilePaths[n]; pressure || !strings.HasPrefix(name, "/proc/pressure/") {
			if failed := replace(p, name, tree); failed != nil {
				err = errors.Join(err, fmt.Errorf("give the VPS its own %s: %w", name, failed))
			}
		}
	}
	return own, err
}

// source is what mounts(5) shows as the device of our files. Root inside cannot mount
// such a filesystem with another server.
const source = "croft"

// replace mounts tree over the kernel's file name, in place of an earlier one of ours.
// No-op if the kernel has no such file.
func replace(p *inside.Process, name string, tree *os.File) error {
	if err := p.UncoverSource(name, "fuse."+source, source); err != nil {
		return err
	}
	kind := int64(unix.PROC_SUPER_MAGIC)
	if strings.HasPrefix(name, "/sys/") {
		kind = unix.SYSFS_MAGIC
	}
	err := p.Cover(name, tree, kind)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

var errNoFUSE = errors.New("this host has no FUSE")

// TryOwnFiles is an error if this host cannot make such files. scratch is a directory of
// the host.
func TryOwnFiles(scratch string) error {
	server, trees, err := newFiles(0, scratch)
	for _, t := range trees {
		t.Close()
	}
	server.Close()
	return err
}

// newFiles makes the filesystem, and returns its files as mounts that are not mounted
// anywhere, in the order of protocol.FileNames. The caller closes all, also on error.
// The error is errNoFUSE if the host has none.
func newFiles(owner uint32, scratch string) (server *os.File, trees []*os.File, err error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return nil, nil, errNoFUSE
	}
	if err != nil {
		return nil, nil, &fs.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	server = os.NewFile(uintptr(fd), "/dev/fuse")
	mounts := nsthread.PrivateMounts(func() {
		options := fmt.Sprintf("fd=%d,rootmode=40555,user_id=0,group_id=0,allow_other", fd)
		flags := uintptr(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err = unix.Mount(source, scratch, "fuse."+source, flags, options); err != nil {
			if errors.Is(err, unix.ENODEV) {
				err = errNoFUSE
			}
			return
		}
		end, serveErr := serve(fd, owner)
		for _, name := range protocol.FileNames {
			tree, openErr := detached(unix.AT_FDCWD, filepath.Join(scratch, name), 0)
			if openErr != nil {
				err = openErr
				break
			}
			trees = append(trees, tree)
		}
		end()
		err = errors.Join(err, serveErr())
	})
	return server, trees, errors.Join(err, mounts)
}

// serve answers the requests that looking up the files causes, until end is called.
// The holder answers all later ones.
func serve(fd int, owner uint32) (end func(), result func() error) {
	stop, stopped, err := os.Pipe()
	done := make(chan error, 1)
	if err != nil {
		done <- err
		return func() {}, func() error { return <-done }
	}
	go func() { done <- answerUntil(fd, owner, int(stop.Fd())) }()
	return func() { stopped.Close() }, func() error {
		defer stop.Close()
		return <-done
	}
}

func answerUntil(fd int, owner uint32, stop int) error {
	s := fuse.Server{Names: slices.Clone(protocol.FileNames[:]), Owner: owner}
	request, answer := make([]byte, fuse.RequestSize), make([]byte, fuse.AnswerSize)
	for {
		wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(wait, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		switch n, err := unix.Read(fd, request); {
		case err == nil:
			if head, _ := s.Answer(request[:n], answer); head != nil {
				_, _ = unix.Write(fd, head) // fails if the asking thread is gone
			}
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT):
			return &fs.PathError{Op: "read", Path: "/dev/fuse", Err: err}
		case wait[1].Revents != 0:
			return nil
		}
	}
}
