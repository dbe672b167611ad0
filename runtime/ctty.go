package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
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
