package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Streams are the standard files of a process inside. The caller owns them, and
// may close them when the process has been started.
type Streams struct {
	Stdio   [3]*os.File // in, out, err; nil is /dev/null
	Console *os.File    // the socket that takes the master of its terminal, which it has instead then
	Pidfd   *os.File    // a socket that takes a pidfd of it
	Extra   []*os.File  // its descriptors from 3 on
}

// A Running is a process inside a container.
type Running struct {
	PID     int      // on the host
	Console *os.File // the master of its terminal, if an Engine made one; the caller closes it

	process *libcontainer.Process
}

func newRunning(lp *libcontainer.Process) (*Running, error) {
	pid, err := lp.Pid()
	if err != nil {
		return nil, fmt.Errorf("find process: %w", err)
	}
	return &Running{PID: pid, process: lp}, nil
}

// Signal sends sig to the process. No-op if that has ended.
func (r *Running) Signal(sig os.Signal) error {
	if err := r.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal command: %w", err)
	}
	return nil
}

// Wait returns the process's exit status, 128+n if signal n ended it.
func (r *Running) Wait() (int, error) {
	state, err := r.process.Wait()
	var exit interface{ ExitCode() int }
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for command: %w", err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// newProcess is libcontainer's word for an OCI process.
func newProcess(p *specs.Process, s Streams) (*libcontainer.Process, error) {
	lp := &libcontainer.Process{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: int(p.User.UID), GID: int(p.User.GID),
		Label: p.SelinuxLabel, AppArmorProfile: p.ApparmorProfile,
		NoNewPrivileges: &p.NoNewPrivileges,
		Scheduler:       p.Scheduler, IOPriority: p.IOPriority,
		LogLevel:      strconv.Itoa(int(logrus.GetLevel())),
		ConsoleSocket: s.Console, PidfdSocket: s.Pidfd, ExtraFiles: s.Extra,
	}
	if s.Stdio[0] != nil { // a nil file in an interface is not nil
		lp.Stdin = s.Stdio[0]
	}
	if s.Stdio[1] != nil {
		lp.Stdout = s.Stdio[1]
	}
	if s.Stdio[2] != nil {
		lp.Stderr = s.Stdio[2]
	}
	if size := p.ConsoleSize; size != nil {
		lp.ConsoleWidth, lp.ConsoleHeight = uint16(size.Width), uint16(size.Height)
	}
	for _, g := range p.User.AdditionalGids {
		lp.AdditionalGroups = append(lp.AdditionalGroups, int(g))
	}
	if c := p.Capabilities; c != nil {
		lp.Capabilities = &configs.Capabilities{
			Bounding: c.Bounding, Effective: c.Effective,
			Inheritable: c.Inheritable, Permitted: c.Permitted, Ambient: c.Ambient,
		}
	}
	for _, r := range p.Rlimits {
		number, err := rlimit(r.Type)
		if err != nil {
			return nil, err
		}
		lp.Rlimits = append(lp.Rlimits, configs.Rlimit{Type: number, Soft: r.Soft, Hard: r.Hard})
	}
	var err error
	lp.CPUAffinity, err = configs.ConvertCPUAffinity(p.ExecCPUAffinity)
	return lp, err
}

// rlimit is the number that the kernel has for a resource limit's name.
func rlimit(name string) (int, error) {
	names := [...]string{ // in the order of asm-generic/resource.h
		"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS",
		"LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
	}
	numbers := [len(names)]int{
		unix.RLIMIT_CPU, unix.RLIMIT_FSIZE, unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_CORE, unix.RLIMIT_RSS,
		unix.RLIMIT_NPROC, unix.RLIMIT_NOFILE, unix.RLIMIT_MEMLOCK, unix.RLIMIT_AS, unix.RLIMIT_LOCKS,
		unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_NICE, unix.RLIMIT_RTPRIO, unix.RLIMIT_RTTIME,
	}
	for i, n := range names {
		if strings.TrimPrefix(name, "RLIMIT_") == n && name != n {
			return numbers[i], nil
		}
	}
	return 0, fmt.Errorf("unknown resource limit %s", name)
}
