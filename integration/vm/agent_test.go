//go:build vm

package vm

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The agent and the tests talk through a port of virtio-serial: a request is
// answered by any number of messages with output, and one with an end.
const portName = "croft"

// A request asks the agent to run a script of sh.
type request struct {
	Script string `json:"script"`
}

// A message is what the agent sends.
type message struct {
	Ready  bool   `json:"ready,omitempty"` // the first one after a boot
	Output []byte `json:"output,omitempty"`
	Ended  bool   `json:"ended,omitempty"`
	Status int    `json:"status,omitempty"` // 128+n if a signal ended it
}

// agent runs scripts inside the machine, one after the other, until the port
// is closed. It returns the exit status of this process.
func agent() int {
	port, err := openPort()
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	out := &sender{to: json.NewEncoder(port)}
	out.send(message{Ready: true})
	in := json.NewDecoder(port)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			return 1
		}
		out.send(message{Ended: true, Status: runScript(r.Script, out)})
	}
}

// openPort opens the port by its name: what it is numbered depends on QEMU.
func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(text)) != portName {
			continue
		}
		// Not os.OpenFile: its non-blocking mode makes writes of a full port fail.
		fd, err := syscall.Open(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open port %s: %w", portName, err)
		}
		return os.NewFile(uintptr(fd), portName), nil
	}
	return nil, fmt.Errorf("no port %q among %v", portName, names)
}

// runScript runs a script in a session of its own, as an administrator who
// logs in would, and sends what it prints to out.
func runScript(script string, out io.Writer) int {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = "/croft"
	cmd.Env = append(os.Environ(), "HOME=/root", "LC_ALL=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A pipe of our own, because what the script leaves running may hold it
	// open for ever: the script's end is the end.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(out, "agent:", err)
		return 1
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		fmt.Fprintln(out, "agent:", err)
		return 1
	}
	copied := make(chan struct{})
	go func() {
		io.Copy(out, r)
		close(copied)
	}()
	cmd.Wait()
	// A deadline lets what is in the pipe be read, and ends the wait for more.
	r.SetReadDeadline(time.Now().Add(time.Second))
	<-copied
	state := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if state.Signaled() {
		return 128 + int(state.Signal())
	}
	return state.ExitStatus()
}

// A sender sends messages, and what is written to it as output.
type sender struct {
	mu sync.Mutex
	to *json.Encoder
}

func (s *sender) send(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Encode(m)
}

func (s *sender) Write(p []byte) (int, error) {
	if err := s.send(message{Output: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}
