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

// OwnFilesWanted says which files OwnFiles mounts beside the usual ones.
type OwnFilesWanted struct {
	Pressure bool // those of /proc/pressure
	Messages bool // /dev/kmsg and /proc/kmsg
}

func (w OwnFilesWanted) has(file int) bool {
	switch {
	case strings.HasPrefix(protocol.FilePaths[file], "/proc/pressure/"):
		return w.Pressure
	case file >= len(protocol.FilePaths)-protocol.LogCount:
		return w.Messages
	}
	return true
}

// OwnFiles mounts files of its own over those of the kernel that show the whole host,
// in the VPS whose init is p. They belong to the VPS's root, whose id on the host is
// owner. Those of an earlier holder are replaced. scratch is a directory of the host. The
// caller closes what it gets, also on an error, which means that some of the files are
// not mounted; nil if none is, or if the host has no FUSE.
func (Access) OwnFiles(p *inside.Process, owner uint32, wanted OwnFilesWanted, scratch string) (_ *OwnFiles, err error) {
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
		if name := protocol.FilePaths[n]; wanted.has(n) {
			if failed := replace(p, name, owner, tree); failed != nil {
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
// No-op if the kernel has no such file. A file of /dev is made, and belongs to owner.
func replace(p *inside.Process, name string, owner uint32, tree *os.File) error {
	if err := p.UncoverSource(name, "fuse."+source, source); err != nil {
		return err
	}
	kind := int64(unix.PROC_SUPER_MAGIC)
	switch {
	case strings.HasPrefix(name, "/sys/"):
		kind = unix.SYSFS_MAGIC
	case strings.HasPrefix(name, "/dev/"):
		kind = unix.TMPFS_MAGIC
		if err := p.MakePlace(name, owner); err != nil {
			return err
		}
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
		const flags = uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err = unix.Mount(source, scratch, "fuse."+source, flags, options); err != nil {
			if errors.Is(err, unix.ENODEV) {
				err = errNoFUSE
			}
			return
		}
		end, serveErr := serve(fd, owner)
		trees, err = openFiles(scratch, flags)
		end()
		err = errors.Join(err, serveErr())
	})
	return server, trees, errors.Join(err, mounts)
}

// openFiles returns the files of the filesystem that is mounted at dir with flags, as
// detached mounts, which are read-only except those of logs. The caller closes them, also on error.
func openFiles(dir string, flags uintptr) (trees []*os.File, err error) {
	trees = make([]*os.File, 0, len(protocol.FileNames))
	open := func(names []string) error {
		for _, name := range names {
			tree, err := detached(unix.AT_FDCWD, filepath.Join(dir, name), 0)
			if err != nil {
				return err
			}
			trees = append(trees, tree)
		}
		return nil
	}
	first := len(protocol.FileNames) - protocol.LogCount
	if err := open(protocol.FileNames[first:]); err != nil {
		return trees, err
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
		return trees, fmt.Errorf("make the VPS's own files read-only: %w", err)
	}
	if err := open(protocol.FileNames[:first]); err != nil {
		return trees, err
	}
	return append(trees[protocol.LogCount:], trees[:protocol.LogCount]...), nil
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
