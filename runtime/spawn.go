package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"

	"croft/internal/fail"
	"croft/internal/inherited"
	"croft/internal/state"
	"croft/runtime/container"
)

// MonitorCommand is the word that makes croft a monitor. It is for croft
// itself: main looks for it before there are flags.
const MonitorCommand = "monitor"

// spawnHow says what a new monitor finds.
type spawnHow string

const (
	spawnBoot  spawnHow = "boot"  // a stopped VPS, to be started
	spawnWait  spawnHow = "wait"  // the same; without an init, it waits for commands
	spawnAdopt spawnHow = "adopt" // a running one, whose monitor was killed
)

// Descriptors that a monitor is handed.
const (
	lifeFD   = 3
	reportFD = 4
)

// A report is what a monitor says down its pipe: one line of JSON, when init
// runs or when it is clear that it will not.
type report struct {
	Kind     fail.Kind `json:"kind,omitempty"` // 0: init runs
	Message  string    `json:"message,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

func reportOf(err error, warnings []string) report {
	if err == nil {
		return report{Warnings: warnings}
	}
	return report{Kind: fail.KindOf(err), Message: err.Error(), Hint: fail.HintOf(err), Warnings: warnings}
}

func (r report) err() error {
	if r.Kind == 0 {
		return nil
	}
	return &fail.Error{Kind: r.Kind, Msg: r.Message, Hint: r.Hint}
}

// A spawner starts monitors as processes: this binary again, in a session and
// a mount namespace of its own.
type spawner struct {
	store   *state.Store
	warn    func(string)
	cgroups container.CgroupManager
}

// startClean starts a process that inherits nothing of how this one runs.
func startClean(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends here
		inherited.DropThread()
		done <- cmd.Start()
	}()
	return <-done
}

func (s spawner) Spawn(ctx context.Context, name string, life *os.File, how spawnHow) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make monitor's pipe: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"croft", MonitorCommand, name, string(how), s.store.Root, s.store.RunRoot, string(s.cgroups)}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // for iptables and modprobe
	cmd.ExtraFiles = []*os.File{life, write}
	// A session of its own: neither the terminal's Ctrl-C nor its end reaches
	// the VPS. A clone, not an unshare, keeps the host's propagation, so that
	// the monitor can choose to follow the host's unmounts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	err = startClean(cmd)
	write.Close()
	if err != nil {
		return fmt.Errorf("start monitor: %w", err)
	}
	// Ctrl-C ends the wait and not the start: a VPS either runs or does not,
	// and a monitor that was cut in the middle would leave it in between.
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		state, _ := cmd.Process.Wait()
		return fail.New(fail.Internal, "the monitor of %s died (%v)", name, state)
	}
	if err != nil {
		return fmt.Errorf("hear from monitor: %w", err)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("understand monitor: %w", err)
	}
	for _, w := range r.Warnings {
		s.warn(w)
	}
	if err := r.err(); err != nil {
		_, _ = cmd.Process.Wait() // it sweeps before it ends
		return err
	}
	return nil
}
