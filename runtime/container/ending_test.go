package container

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseProcStat(t *testing.T) {
	for text, want := range map[string]procStat{
		"7 (sh) S 3 7 7 0 -1 4194560 1 2":        {State: 'S', CgroupParent: 3},
		"7 (a) R 1) Z 42 7 7 0 -1 4194316 1 2":   {State: 'Z', CgroupParent: 42, Exiting: true},
		"7 (in it) D 1 1 1 0 -1 4 0 0 0 0 0 0 0": {State: 'D', CgroupParent: 1, Exiting: true},
	} {
		if got, err := parseProcStat(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "7 (sh)", "7 (sh) S", "7 (sh) S x 7 7 0 -1 0", "7 (sh) S 1 7 7 0 -1 x"} {
		if got, err := parseProcStat(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// A stopped parent of a process in the list goes on, and one that is in the list
// itself does not.
func TestOutsiders(t *testing.T) {
	parent := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { syscall.Kill(-parent.Process.Pid, syscall.SIGKILL); parent.Wait() }()
	child := 0
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	self := os.Getpid()
	if got := outsiders([]int{child, parent.Process.Pid, self}); len(got) != 1 || got[0].pid != os.Getppid() {
		t.Errorf("outsiders are %v", got)
		release(got)
	}
	if err := parent.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, parent.Process.Pid, &info, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	got := outsiders([]int{child})
	if len(got) != 1 || got[0].pid != parent.Process.Pid {
		t.Fatalf("outsiders are %v", got)
	}
	release(got)
	if err := unix.Waitid(unix.P_PID, parent.Process.Pid, &info, unix.WCONTINUED, nil); err != nil {
		t.Fatal(err)
	}
}

// A process in the namespace of an init that is ending, which this process has
// started and not waited for, does not keep that init from ending.
func TestReleaseOutsidersReapsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a pid namespace")
	}
	init := exec.Command("sleep", "1000")
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := init.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer func() { init.Process.Kill(); <-ended }()
	go func() { init.Wait(); close(ended) }()
	// nsenter(1) forks: its child is in the namespace, and this process's once
	// nsenter has been killed, as the child of a subreaper.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	enter := exec.Command("nsenter", "-t", fmt.Sprint(init.Process.Pid), "-p", "sh", "-c", "echo ready; exec sleep 1000")
	out, err := enter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := enter.Start(); err != nil {
		t.Fatal(err)
	}
	var ready string
	if _, err := fmt.Fscan(out, &ready); err != nil {
		t.Fatal(err)
	}
	enter.Process.Kill()
	enter.Wait()
	if err := init.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		releaseOutsiders(init.Process.Pid)
		select {
		case <-ended:
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("init does not end")
		}
	}
}
