package inside

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/internal/proc"
)

// ErrGone means that the process has ended, or that its number belongs to
// another process now. Callers may test for it.
var ErrGone = errors.New("the process has ended")

// An Identity names one process, and never a later one with the same number. The
// zero Identity names none.
type Identity struct {
	PID       int
	StartTime uint64 // field 22 of /proc/PID/stat (proc_pid_stat(5))
}

// Open opens the process. It is ErrGone if that has ended. The caller closes it.
func (i Identity) Open() (*Process, error) { return OpenProcess(i.PID, i.StartTime) }

// A Process is a handle on one process. What it reaches is that process and
// never a later one with the same number: the kernel ties a pidfd and an open
// /proc/PID to the process and not to the number.
type Process struct {
	pid   int
	start uint64
	pidfd *os.File
	dir   *os.File // /proc/PID
}

// OpenProcess opens the process pid that was started at start, field 22 of
// /proc/PID/stat (proc_pid_stat(5)). A missing one is ErrGone. The caller
// closes it.
func OpenProcess(pid int, start uint64) (_ *Process, err error) {
	if pid <= 0 {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, goneOr(pid, err)
	}
	p := &Process{pid: pid, start: start, pidfd: os.NewFile(uintptr(fd), "pidfd")}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, goneOr(pid, err)
	}
	p.dir = os.NewFile(uintptr(dir), "process directory")
	stat, err := p.ReadFile("stat")
	if err != nil {
		return nil, err
	}
	if now, err := proc.ParseStat(string(stat)); err != nil {
		return nil, err
	} else if now.StartTime != start {
		return nil, ErrGone
	}
	// The pidfd was opened first. If its process still runs, then the number
	// has meant this process all the time, and so the directory is of it too.
	if !p.Alive() {
		return nil, ErrGone
	}
	return p, nil
}

func goneOr(pid int, err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return ErrGone
	}
	return fmt.Errorf("open process %d: %w", pid, err)
}

// Close closes the handle. The process goes on.
func (p *Process) Close() error {
	err := p.pidfd.Close()
	if p.dir != nil {
		err = errors.Join(err, p.dir.Close())
	}
	return err
}

// PID is the process's number. It means this process only while that is Alive.
func (p *Process) PID() int { return p.pid }

// Identity names the process.
func (p *Process) Identity() Identity { return Identity{p.pid, p.start} }

// FD is the pidfd. It stays the Process's and is closed with it.
func (p *Process) FD() int { return int(p.pidfd.Fd()) }

// Alive reports whether the process runs. A zombie does not.
func (p *Process) Alive() bool {
	poll := []unix.PollFd{{Fd: int32(p.pidfd.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 0
		}
	}
}

// Signal sends sig to the process. It is ErrGone if that has ended.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}

// ReadFile reads the file name of /proc/PID, such as status.
func (p *Process) ReadFile(name string) ([]byte, error) {
	fd, err := unix.Openat(int(p.dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, goneOr(p.pid, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, goneOr(p.pid, err)
	}
	return text, nil
}

// Root opens the root directory that the process has now. The caller closes it.
func (p *Process) Root() (*Root, error) {
	fd, err := unix.Openat(int(p.dir.Fd()), "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, goneOr(p.pid, err)
	}
	return &Root{os.NewFile(uintptr(fd), "root of process "+strconv.Itoa(p.pid))}, nil
}

// Namespace opens the process's namespace of a kind that /proc/PID/ns lists, such
// as net. The caller closes it.
func (p *Process) Namespace(kind string) (*os.File, error) {
	name := "ns/" + kind
	fd, err := unix.Openat(int(p.dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, goneOr(p.pid, err)
	}
	return os.NewFile(uintptr(fd), name+" of process "+strconv.Itoa(p.pid)), nil
}

// InMounts calls do on a thread of its own in the process's mount namespace,
// and returns do's error. The guest controls all paths there: do must reach
// files by descriptors only. /proc there is the guest's too.
func (p *Process) InMounts(do func() error) error {
	return nsthread.In(int(p.pidfd.Fd()), unix.CLONE_NEWNS, do)
}
