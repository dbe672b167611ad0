package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/nsthread"
)

// openNamespace opens the network namespace of init, which must not be that of
// the calling thread. The caller closes it.
func openNamespace(init inside.Identity) (*os.File, error) {
	process, err := init.Open()
	if err != nil {
		return nil, classify("find the VPS's init", err)
	}
	defer process.Close()
	f, err := process.Namespace("net")
	if err != nil {
		return nil, classify("open network namespace", err)
	}
	var theirs, ours unix.Stat_t
	err = errors.Join(unix.Fstat(int(f.Fd()), &theirs), unix.Stat("/proc/thread-self/ns/net", &ours))
	if err == nil && theirs.Dev == ours.Dev && theirs.Ino == ours.Ino {
		err = fmt.Errorf("process %d has no network namespace of its own", init.PID)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// within runs do on a thread in the network namespace of init. What do starts
// is in there too: a program is forked from the thread that starts it.
func within(init inside.Identity, do func() error) error {
	f, err := openNamespace(init)
	if err != nil {
		return err
	}
	defer f.Close()
	return nsthread.Call(func() error {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return classify("enter network namespace", err)
		}
		return do()
	})
}
