package guests

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/nsthread"
	"croft/internal/userns"
)

// FreeConsole takes the VPS's console away from its init as controlling terminal;
// master is its master. libcontainer makes it the controlling terminal of the
// process that it starts, which is right for a shell. But PID 1 of a machine has
// none, and otherwise the getty on the console could not get it.
//
// Only a session leader without a terminal may do this, with CAP_SYS_ADMIN: it
// steals the terminal (TIOCSCTTY with 1) and gives it up. That sends SIGHUP to
// the caller, which a monitor catches. Root of a VPS may not do it: in a VPS inside a VPS
// the terminal stays the init's, and a getty cannot have it.
func (Access) FreeConsole(master *os.File) error {
	slave, err := openPeer(master)
	if err != nil {
		return err
	}
	defer unix.Close(slave)
	err = unix.IoctlSetInt(slave, unix.TIOCSCTTY, 1)
	if errors.Is(err, unix.EPERM) && !userns.Initial() {
		return nil // it stays the init's, as with other runtimes
	}
	if err != nil {
		return fmt.Errorf("take the console from init: %w", err)
	}
	if err := unix.IoctlSetInt(slave, unix.TIOCNOTTY, 0); err != nil {
		return fmt.Errorf("give up the console: %w", err)
	}
	return nil
}

// NewConsole mounts a new terminal over /dev/console of the running VPS whose
// init is p, and returns its master, which the caller closes. scratch is a
// directory of the host. A process that had the old console open has got its
// end, and opens it again. The terminal is in a devpts of its own: a guest can
// mount anything on its /dev/pts, or use up its terminals.
func (Access) NewConsole(p *inside.Process, first uint32, scratch string) (*os.File, error) {
	const target = "/dev/console"
	master, tree, err := newTerminal(scratch, first)
	if err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	defer tree.Close()
	_ = p.Uncover(target, unix.DEVPTS_SUPER_MAGIC) // the old one; if it stays, the new one covers it
	if err := p.Cover(target, tree, 0); err != nil {
		master.Close()
		return nil, fmt.Errorf("make console: %w", err)
	}
	return master, nil
}

// openPeer opens the other end of a terminal without its name (TIOCGPTPEER,
// kernel 4.13).
func openPeer(master *os.File) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return 0, fmt.Errorf("open the console's other end: %w", errno)
	}
	return int(fd), nil
}

// newTerminal makes a terminal in a devpts of its own, owned by owner. It returns
// the master, and the other end as a mount that is not mounted anywhere yet. The
// caller closes both. The devpts is mounted on the directory scratch, in a mount
// namespace that ends with the call.
func newTerminal(scratch string, owner uint32) (master, tree *os.File, err error) {
	err = nsthread.Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount("devpts", scratch, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,mode=0600,ptmxmode=0600"); err != nil {
			return fmt.Errorf("mount devpts: %w", err)
		}
		fd, err := unix.Open(scratch+"/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open terminal: %w", err)
		}
		master = os.NewFile(uintptr(fd), "/dev/ptmx")
		tree, err = otherEnd(master, owner)
		if err != nil {
			master.Close()
		}
		return err
	})
	return master, tree, err
}

// otherEnd gives the other end of a terminal to owner and returns it as a
// detached mount.
func otherEnd(master *os.File, owner uint32) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock terminal: %w", err)
	}
	peer, err := openPeer(master)
	if err != nil {
		return nil, err
	}
	defer unix.Close(peer)
	if err := unix.Fchown(peer, int(owner), int(owner)); err != nil {
		return nil, fmt.Errorf("give the terminal to the VPS: %w", err)
	}
	return detached(peer, "", unix.AT_EMPTY_PATH)
}
