package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"croft/integration/cgroups"

	"golang.org/x/sys/unix"
)

// A job is a program to run in a box.
type job struct {
	Args []string
	Env  []string
	Dir  string
}

// An output is what a job printed, and how it ended.
type output struct {
	lines  []string // of its standard output
	stderr string
	status int  // 128+n if a signal ended it
	hung   bool // it was ended because it printed nothing for too long
}

// A box runs one job after the other, each in namespaces of its own: mount,
// PID, network, IPC, UTS and cgroup. They have a terminal, which shows nothing.
type box struct {
	dir    string // on a disk; what is in it is the box's
	cgroup cgroups.Tree
}

// newBox returns a box that keeps what jobs write below dir.
func newBox(dir string) (box, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return box{}, err
	}
	name := fmt.Sprintf("croft-conformance-%d", os.Getpid())
	return box{
		dir:    filepath.Join(dir, name),
		cgroup: cgroups.Tree{Hierarchies: cgroups.Parse(string(text)), Name: name},
	}, nil
}

// run runs a job until it ends, prints nothing for the time limit, or ctx is
// done, and calls line with each line that it prints. Afterwards nothing of it is left:
// no process, mount, cgroup or file. The error says that this is not so.
func (b box) run(ctx context.Context, j job, limit time.Duration, line func(string)) (out output, err error) {
	defer func() { err = errors.Join(err, b.remove()) }()
	if err := b.make(); err != nil {
		return out, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return out, err
	}
	defer r.Close()
	stderr, err := os.Create(filepath.Join(b.dir, "stderr"))
	if err != nil {
		w.Close()
		return out, err
	}
	defer stderr.Close()
	cmd, err := b.command(j)
	if err != nil {
		w.Close()
		return out, err
	}
	cmd.Stdout, cmd.Stderr = w, stderr
	err = cmd.Start()
	w.Close()
	if err != nil {
		return out, fmt.Errorf("new namespaces: %w", err)
	}
	out.lines, out.hung = b.watch(ctx, cmd, r, limit, line)
	cmd.Wait()
	state := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if out.status = state.ExitStatus(); state.Signaled() {
		out.status = 128 + int(state.Signal())
	}
	text, err := os.ReadFile(stderr.Name())
	out.stderr = string(bytes.ToValidUTF8(text, []byte("?")))
	if out.status == boxFailed {
		return out, fmt.Errorf("box: %s", strings.TrimSpace(out.stderr))
	}
	return out, errors.Join(err, ctx.Err())
}

func (b box) make() error {
	if err := os.MkdirAll(filepath.Join(b.dir, "tmp"), 0o755); err != nil {
		return err
	}
	// A validation program wants a bind mount of /etc to come from a directory of
	// that name: no overlay of it would do.
	if out, err := exec.Command("cp", "-a", "/etc", b.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy /etc: %w: %s", err, out)
	}
	if err := os.Chmod(filepath.Join(b.dir, "tmp"), 0o1777); err != nil {
		return err
	}
	return b.cgroup.Make()
}

// remove removes the files after the cgroups, that is when no process is left
// that has something mounted on them.
func (b box) remove() error {
	if err := b.cgroup.Remove(); err != nil {
		return err
	}
	return os.RemoveAll(b.dir)
}

func (b box) command(j job) (*exec.Cmd, error) {
	in := inside{Job: j, Dir: b.dir, Cgroup: b.cgroup.Name}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageVariable+"=enter", insideVariable+"="+string(text))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  unix.SIGKILL, // main has locked its thread
	}
	return cmd, nil
}

// watch reads lines until there are no more, and kills what prints too few.
func (b box) watch(ctx context.Context, cmd *exec.Cmd, r *os.File, limit time.Duration, line func(string)) (lines []string, hung bool) {
	read := make(chan string)
	go func() {
		defer close(read)
		s := bufio.NewReader(r)
		for {
			text, err := s.ReadString('\n')
			if text != "" {
				read <- strings.TrimSuffix(strings.ToValidUTF8(text, "?"), "\n")
			}
			if err != nil {
				return
			}
		}
	}()
	timer, done := time.NewTimer(limit), ctx.Done()
	defer timer.Stop()
	for {
		select {
		case text, ok := <-read:
			if !ok {
				return lines, hung
			}
			lines = append(lines, text)
			line(text)
			timer.Reset(limit)
			continue
		case <-timer.C:
			hung = true
		case <-done:
			done = nil
		}
		// The namespace's init takes all with it, but what is frozen.
		for _, dir := range b.cgroup.Dirs() {
			cgroups.Thaw(dir)
		}
		cmd.Process.Kill()
		timer.Reset(time.Second)
	}
}
