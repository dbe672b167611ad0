package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// freeTerminal takes the VPS's console away from its init as controlling
// terminal. libcontainer gives it to the process that it starts, which is
// right for a shell; but on a machine PID 1 has none, and the getty on the
// console could not get it otherwise.
//
// Only a session leader without a terminal may do this, with CAP_SYS_ADMIN:
// it steals the terminal (TIOCSCTTY with 1) and lets go of it. Letting go
// sends SIGHUP to the caller, which a monitor catches.
func freeTerminal(master *os.File) error {
	slave, err := openPeer(master)
	if err != nil {
		return err
	}
	defer unix.Close(slave)
	if err := unix.IoctlSetInt(slave, unix.TIOCSCTTY, 1); err != nil {
		return fmt.Errorf("take the console from init: %w", err)
	}
	if err := unix.IoctlSetInt(slave, unix.TIOCNOTTY, 0); err != nil {
		return fmt.Errorf("let go of the console: %w", err)
	}
	return nil
}

// openPeer opens the other end of a pty whatever it is called where
// (TIOCGPTPEER, kernel 4.13).
func openPeer(master *os.File) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return 0, fmt.Errorf("open the console's other end: %w", errno)
	}
	return int(fd), nil
}

// newTerminal makes a terminal in a devpts of its own, owned by the host's id
// owner, and returns its master and its other end as a mount that is mounted
// nowhere yet. The caller closes both. It mounts on the directory scratch, in a
// mount namespace that ends with the call: nothing sees it.
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
