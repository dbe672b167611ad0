package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"croft/integration/cgroups"
	"croft/integration/scratch"

	"golang.org/x/sys/unix"
)

// This program runs itself in the box: as stage "enter", which goes where the box's cgroups
// are, from there as stage "init", and below that as stage "measure".
const (
	stageVariable = "CROFT_BENCH_STAGE"
	planVariable  = "CROFT_BENCH_PLAN"
	resultsFD     = 3
)

// A plan is what the stages are told.
type plan struct {
	Croft, Runc, Self string // programs
	Root              string // croft's --root, with the templates in it
	Files             string // root filesystems
	Dir               string // of the box, on a disk
	Cgroup            string
	Rows              string // a regular expression
	Rounds, VPSs      int
	Missing           map[string]string // what could not be prepared, and why
}

// stage runs this process as a stage of the box, if it is one; then it does not return.
func stage() {
	name := os.Getenv(stageVariable)
	if name == "" {
		return
	}
	var p plan
	err := json.Unmarshal([]byte(os.Getenv(planVariable)), &p)
	if err == nil {
		switch name {
		case "enter":
			err = p.enter()
		case "init":
			err = p.init()
		case "measure":
			err = p.measure()
		}
	}
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// box runs the plan in new namespaces, and calls each with every comparison. Afterwards nothing of it is left:
// no process, mount, link, rule, cgroup or file.
func (p plan) box(ctx context.Context, each func(comparison)) (err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	tree := cgroups.Tree{Hierarchies: cgroups.Parse(string(text)), Name: p.Cgroup}
	defer func() {
		// No process is left that has something mounted on the files once the cgroups are gone.
		cleanErr := tree.Remove()
		if cleanErr == nil {
			cleanErr = os.RemoveAll(p.Dir)
		}
		if err == nil {
			err = cleanErr
		} else if cleanErr != nil {
			err = fmt.Errorf("%w; clean up: %w", err, cleanErr)
		}
	}()
	if err := tree.Make(); err != nil {
		return err
	}
	for _, dir := range []string{"tmp", "etc"} {
		if err := os.MkdirAll(filepath.Join(p.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	// The ids of a VPS have to get to its files.
	if err := os.Chmod(p.Dir, 0o711); err != nil {
		return err
	}
	// The box has its own /tmp, and programs may be built again meanwhile.
	for _, program := range []*string{&p.Croft, &p.Self} {
		to := filepath.Join(p.Dir, filepath.Base(*program))
		if err := copyProgram(*program, to); err != nil {
			return err
		}
		*program = to
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd, err := p.stage("enter")
	if err != nil {
		w.Close()
		return err
	}
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  unix.SIGKILL, // main has locked its thread
		Setpgid:    true,         // Ctrl-C reaches main only, which kills the namespaces' init
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	for d := json.NewDecoder(r); ; {
		var c comparison
		if d.Decode(&c) != nil {
			break
		}
		each(c)
	}
	if err := cmd.Wait(); ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

func (p plan) stage(name string) (*exec.Cmd, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageVariable+"="+name, planVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// enter makes this process's cgroups the roots of a new cgroup namespace.
func (p plan) enter() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	tree := cgroups.Tree{Hierarchies: cgroups.Parse(string(text)), Name: p.Cgroup}
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

// init is the box's PID 1: it makes the place, and reaps until the measuring has ended.
func (p plan) init() error {
	if err := p.mounts(); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	cmd, err := p.stage("measure")
	if err != nil {
		return err
	}
	results := os.NewFile(resultsFD, "results")
	cmd.ExtraFiles = []*os.File{results}
	if err := cmd.Start(); err != nil {
		return err
	}
	results.Close()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid != cmd.Process.Pid:
		case status.ExitStatus() != 0:
			os.Exit(1) // it has said why
		default:
			cgroups.Thaw(cgroups.Root)
			return nil
		}
	}
}

func (p plan) mounts() error {
	if err := scratch.Mount(scratch.Bind{Source: filepath.Join(p.Dir, "tmp"), Target: "/tmp"}); err != nil {
		return err
	}
	return p.mountSys()
}

// mountSys mounts a sysfs that shows the links of the box, and takes the cgroups over.
func (p plan) mountSys() error {
	dir := filepath.Join(p.Dir, "sys")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", dir, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	if err := unix.Mount(cgroups.Root, filepath.Join(dir, "fs/cgroup"), "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s: %w", cgroups.Root, err)
	}
	if err := unix.Mount(dir, "/sys", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move sysfs to /sys: %w", err)
	}
	return nil
}

// measure compares all rows, and writes each comparison as JSON.
func (p plan) measure() error {
	results := os.NewFile(resultsFD, "results")
	unix.CloseOnExec(resultsFD)
	ctx := context.Background()
	b, err := newBench(ctx, p)
	if err != nil {
		return err
	}
	rows, err := chosen(b.rows(), p.Rows)
	if err != nil {
		return err
	}
	out := json.NewEncoder(results)
	for _, r := range rows {
		if err := out.Encode(b.compare(ctx, r, p.Rounds)); err != nil {
			return err
		}
	}
	return nil
}

func say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, "bench: "+strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
}
