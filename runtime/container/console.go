package container

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ConsoleSocket makes the socket pair over which libcontainer hands out the
// master of a terminal that it made inside.
func ConsoleSocket() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make console socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "console-ours"), os.NewFile(uintptr(fds[1]), "console-theirs"), nil
}

// ReceiveConsole takes the one descriptor that comes over a console socket; the
// caller closes it.
func ReceiveConsole(socket *os.File) (*os.File, error) {
	data, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4))
	var n int
	var err error
	for {
		_, n, _, _, err = unix.Recvmsg(int(socket.Fd()), data, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("receive console: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receive console: no descriptor came (%d messages): %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive console: %d descriptors came: %w", len(fds), err)
	}
	return os.NewFile(uintptr(fds[0]), "console"), nil
}
