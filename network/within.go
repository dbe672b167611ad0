package network

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// openNamespace opens the network namespace of pid, which must not be that of
// the calling thread. The caller closes it.
func openNamespace(pid int) (int, error) {
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, classify("open "+path, err)
	}
	var theirs, ours unix.Stat_t
	err = errors.Join(unix.Fstat(fd, &theirs), unix.Stat("/proc/thread-self/ns/net", &ours))
	if err == nil && theirs.Dev == ours.Dev && theirs.Ino == ours.Ino {
		err = fmt.Errorf("process %d has no network namespace of its own", pid)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// within runs do on a thread in the network namespace of pid. What do starts
// is in there too: a program is forked from the thread that starts it.
func within(pid int, do func() error) error {
	fd, err := openNamespace(pid)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return nsthread.Call(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return classify("enter network namespace", err)
		}
		return do()
	})
}
