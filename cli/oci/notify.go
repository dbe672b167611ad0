package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A notifySocket receives the message of a container's init that it is ready
// (sd_notify(3)). croft passes it on to the service manager that started croft.
type notifySocket struct {
	path    string // on the host, in the directory of the container
	manager string // the socket of the service manager
	conn    *net.UnixConn
}

// newNotifySocket returns the socket of container id; nil if croft was not started
// by a service manager that waits for such a message.
func (l *line) newNotifySocket(id string) *notifySocket {
	manager := os.Getenv("NOTIFY_SOCKET")
	if manager == "" {
		return nil
	}
	return &notifySocket{path: filepath.Join(l.root, id, "notify", "notify.sock"), manager: manager}
}

// offer adds the socket to the mounts and the environment of a bundle.
func (n *notifySocket) offer(spec *specs.Spec) {
	const inside = "/run/notify"
	spec.Mounts = append(spec.Mounts, specs.Mount{
		Destination: inside, Source: filepath.Dir(n.path),
		Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"},
	})
	if spec.Process != nil {
		spec.Process.Env = append(spec.Process.Env, "NOTIFY_SOCKET="+filepath.Join(inside, filepath.Base(n.path)))
	}
}

// makeDir creates the directory of the socket. The container mounts the
// directory, so the socket may be created later.
func (n *notifySocket) makeDir() error { return os.Mkdir(filepath.Dir(n.path), 0o755) }

// listen creates the socket. Call it before init runs.
func (n *notifySocket) listen() error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod(n.path, 0o777); err != nil {
		conn.Close()
		return err
	}
	n.conn = conn
	return nil
}

// forward waits until init is ready. It then passes the message on to the service
// manager and tells it to watch mainPID. It also returns when init has ended.
func (n *notifySocket) forward(init, mainPID int) error {
	if n.conn == nil {
		return nil
	}
	manager, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.manager, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer manager.Close()
	ready, err := n.await(init)
	if err != nil || ready == nil {
		return err
	}
	if _, err := manager.Write(append(ready, '\n')); err != nil {
		return err
	}
	if _, err := manager.Write([]byte("MAINPID=" + strconv.Itoa(mainPID) + "\n")); err != nil {
		return err
	}
	return barrier(manager)
}

// await returns the line of the message that begins with READY=; nil if init has
// ended without one.
func (n *notifySocket) await(init int) ([]byte, error) {
	const lookAgain = 100 * time.Millisecond
	buf := make([]byte, 4096)
	for {
		_ = n.conn.SetReadDeadline(time.Now().Add(lookAgain))
		size, err := n.conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if unix.Kill(init, 0) == unix.ESRCH {
				return nil, nil
			}
			continue
		case err != nil:
			return nil, err
		}
		for line := range bytes.SplitSeq(buf[:size], []byte{'\n'}) {
			if bytes.HasPrefix(line, []byte("READY=")) {
				return bytes.Clone(line), nil
			}
		}
	}
}

// barrier returns when the service manager has read all messages
// (sd_notify_barrier(3)). For a manager without barriers it waits 30 s.
func barrier(manager *net.UnixConn) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	raw, err := manager.SyscallConn()
	if err == nil {
		rights := unix.UnixRights(int(write.Fd()))
		e := raw.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), []byte("BARRIER=1"), rights, nil, 0) })
		err = errors.Join(err, e)
	}
	write.Close()
	if err != nil {
		return err
	}
	_ = read.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := read.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		logrus.Warn("Timeout after waiting 30s for barrier. Ignored.")
		return nil
	}
	return fmt.Errorf("unexpected read from synchronization pipe: %d, %w", n, err)
}
