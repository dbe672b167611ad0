package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"croft/integration/cgroups"
	"croft/integration/scratch"

	"golang.org/x/sys/unix"
)

// This program runs itself in a box: as stage "enter", which goes where the
// box's cgroups are, and from there as stage "init".
const (
	stageVariable  = "CROFT_CONFORMANCE_STAGE"
	insideVariable = "CROFT_CONFORMANCE_INSIDE"
	boxFailed      = 97 // the exit status of a box that could not be made
)

// An inside is what the box tells its init.
type inside struct {
	Job    job
	Dir    string // of the box
	Cgroup string // the name of its cgroups
}

// stage runs this process as a stage of a box, if it is one; then it does not return.
func stage() {
	name := os.Getenv(stageVariable)
	if name == "" {
		return
	}
	var in inside
	err := json.Unmarshal([]byte(os.Getenv(insideVariable)), &in)
	status := boxFailed
	if err == nil && name == "enter" {
		err = in.enter()
	} else if err == nil {
		status, err = in.init()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = boxFailed
	}
	os.Exit(status)
}

// enter makes this process's cgroups the roots of a new cgroup namespace.
func (in inside) enter() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	tree := cgroups.Tree{Hierarchies: cgroups.Parse(string(text)), Name: in.Cgroup}
	if err := tree.Enter(); err != nil {
		return err
	}
	// A namespace is one thread's, until this thread is the process.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("new cgroup namespace: %w", err)
	}
	os.Setenv(stageVariable, "init")
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// init is the box's PID 1: it makes the place, starts the job and reaps until
// the job has ended, of which it returns the exit status.
func (in inside) init() (int, error) {
	if err := in.mounts(); err != nil {
		return 0, err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	master, slave, err := openPTY()
	if err != nil {
		return 0, fmt.Errorf("open a terminal: %w", err)
	}
	go io.Copy(io.Discard, master)
	path, err := exec.LookPath(in.Job.Args[0])
	if err != nil {
		return 0, err
	}
	process, err := os.StartProcess(path, in.Job.Args, &os.ProcAttr{
		Dir: in.Job.Dir, Env: in.Job.Env, Files: []*os.File{slave, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	status, err := reap(process.Pid)
	cgroups.Thaw(cgroups.Root)
	return status, err
}

// reap waits for all children, as the init of a namespace must: a test that
// waits for the end of a process takes a zombie for one that lives.
func reap(until int) (int, error) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case pid == until && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == until:
			return status.ExitStatus(), nil
		}
	}
}

func (in inside) mounts() error {
	return scratch.Mount(scratch.Bind{Source: filepath.Join(in.Dir, "tmp"), Target: "/tmp"}, scratch.Bind{Source: filepath.Join(in.Dir, "etc"), Target: "/etc"})
}

// openPTY opens a pseudo-terminal that changes nothing of what is written.
func openPTY() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	return master, slave, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
}
