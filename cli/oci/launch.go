package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/runtime/container"
)

// A launch starts a process inside and connects it with the caller.
type launch struct {
	detach   bool // return when the process runs
	terminal bool

	consoleSocket, pidfdSocket, pidFile string // "" for none

	extra  []*os.File // its descriptors from 3 on
	notify *notifySocket

	c *container.Container
	// start creates the process. release then lets it run; nil if it runs at
	// once, or waits for the verb start.
	start   func(container.Streams) (*container.Running, error)
	release func() error
}

// newLaunch reads the options that all verbs with a new process have, and checks
// that they fit the terminal of p.
func (l *line) newLaunch(c *container.Container, p *specs.Process) (*launch, error) {
	a := &launch{
		c: c, terminal: p.Terminal, detach: l.Is("detach") || l.Verb.Name == "create",
		consoleSocket: l.Text("console-socket"), pidfdSocket: l.Text("pidfd-socket"), pidFile: l.Text("pid-file"),
	}
	switch {
	case a.detach && a.terminal && a.consoleSocket == "":
		return nil, errors.New("cannot allocate tty if runc will detach without setting console socket")
	case a.consoleSocket != "" && !(a.detach && a.terminal):
		return nil, errors.New("cannot use console socket if runc will not detach or allocate tty")
	}
	return a, nil
}

// pass passes descriptors of this process on to the process inside: the sockets
// of a service manager (sd_listen_fds(3)), but not to exec, and --preserve-fds.
func (a *launch) pass(l *line, p *specs.Process) error {
	preserved, err := l.number("preserve-fds")
	if err != nil {
		return err
	}
	listening := 0
	if l.Verb.Name != "exec" && os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.Atoi(os.Getenv("LISTEN_FDS")); err == nil && n > 0 {
			listening = n
			p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
		}
	}
	const first = 3
	for fd := first; fd < first+listening+preserved; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("unable to stat preserved-fd %d (of %d): %w", fd-first-listening, preserved, err)
		}
		a.extra = append(a.extra, os.NewFile(uintptr(fd), "passed descriptor "+strconv.Itoa(fd)))
	}
	return nil
}

// run starts the process. Without --detach it waits for the end of the process
// and returns its exit status.
func (a *launch) run() (status int, err error) {
	s := container.Streams{Extra: a.extra}
	if a.pidfdSocket != "" {
		if s.Pidfd, err = dial(a.pidfdSocket); err != nil {
			return 0, err
		}
		defer s.Pidfd.Close()
	}
	var f foreground
	switch {
	case a.detach && a.terminal:
		if s.Console, err = dial(a.consoleSocket); err != nil {
			return 0, err
		}
		defer s.Console.Close()
	case a.detach:
		s.Stdio = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	case a.terminal:
		f = new(terminal)
	default:
		f = &pipes{owner: a.c}
	}
	if f == nil {
		return a.detached(s)
	}
	return a.attached(f, s)
}

func (a *launch) detached(s container.Streams) (int, error) {
	r, err := a.start(s)
	if err != nil {
		return 0, err
	}
	if err := a.running(r); err != nil {
		return 0, err
	}
	if a.notify != nil {
		_ = a.notify.forward(r.PID, r.PID) // the service manager may have gone
	}
	return 0, nil
}

func (a *launch) attached(f foreground, s container.Streams) (int, error) {
	signals := catchSignals()
	defer signals.stop()
	defer f.close()
	if err := f.open(&s); err != nil {
		return 0, err
	}
	r, err := a.start(s)
	if err == nil {
		err = f.connect(r)
		if err != nil {
			kill(r)
		}
	}
	if err != nil {
		return 0, err
	}
	signals.all()
	if err := a.running(r); err != nil {
		return 0, err
	}
	if a.notify != nil {
		// The service manager watches this process, which ends together with
		// the process inside.
		go func() { _ = a.notify.forward(r.PID, os.Getpid()) }()
	}
	status := signals.wait(r, f)
	f.drain()
	return status, nil
}

// running lets the created process run and writes its PID file. On error it
// kills the process.
func (a *launch) running(r *container.Running) (err error) {
	defer func() {
		if err != nil {
			kill(r)
		}
	}()
	if a.release != nil {
		if err := a.release(); err != nil {
			return err
		}
	}
	if a.pidFile != "" {
		return writePIDFile(a.pidFile, r.PID)
	}
	return nil
}

func kill(r *container.Running) {
	_ = r.Signal(unix.SIGKILL)
	_, _ = r.Wait()
}

// dial returns a connection to the listening Unix socket path.
func dial(path string) (*os.File, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.File()
}

// writePIDFile writes pid to the file path, atomically.
func writePIDFile(path string, pid int) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_SYNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(next)
		return err
	}
	return os.Rename(next, path)
}

// absolute makes the path of an option absolute. Call it before the working
// directory changes.
func (l *line) absolute(name string) error {
	path := l.Text(name)
	if path == "" {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return l.Set(name, path)
}
