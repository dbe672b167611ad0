// Package trace writes what the processes of a command do, and when, as events for the
// viewers of Chrome and Perfetto (the "Trace Event Format", as a JSON array).
package trace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Variable is the environment variable that names the file of a trace.
const Variable = "CROFT_TRACE"

// trace is the file of this process; nil without a trace.
var trace atomic.Pointer[os.File]

// An event is one line of a trace. Times are microseconds of CLOCK_MONOTONIC, which is the
// same for all processes of a host.
type event struct {
	Name     string            `json:"name"`
	Phase    string            `json:"ph"` // X: it has a duration; i: an instant; M: about the process
	Time     float64           `json:"ts"`
	Duration float64           `json:"dur,omitempty"`
	Process  int               `json:"pid"`
	Thread   int               `json:"tid"`
	Scope    string            `json:"s,omitempty"`
	Args     map[string]string `json:"args,omitempty"`
}

// Begin has the events of this process written to the file that the environment names, and
// names the process. The file is created if it is missing, with the mode 0600; events of
// several processes are added at its end. No-op without the variable.
func Begin(process string) error {
	path := os.Getenv(Variable)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		_, _ = f.WriteString("[\n") // viewers need no end of the array
	}
	trace.Store(f)
	write(event{Name: "process_name", Phase: "M", Args: map[string]string{"name": process}})
	Instant("main begins")
	return nil
}

// End has this process write no more events, and processes that it starts or becomes neither.
func End() {
	trace.Store(nil)
	_ = os.Unsetenv(Variable) // the name is valid
}

// On reports whether this process writes a trace.
func On() bool { return trace.Load() != nil }

// Environment returns the variables that a process of the same command needs to add to the
// trace. It can have another working directory.
func Environment() []string {
	f := trace.Load()
	if f == nil {
		return nil
	}
	path, err := filepath.Abs(f.Name())
	if err != nil {
		return nil
	}
	return []string{Variable + "=" + path}
}

// Span begins an event, which ends when the caller calls end. It has the CPU time of the
// process meanwhile: the rest is waiting.
func Span(words ...string) (end func()) {
	if trace.Load() == nil {
		return func() {}
	}
	began, thread, used := now(), unix.Gettid(), cpuTime()
	return func() {
		write(event{
			Name: strings.Join(words, " "), Phase: "X", Time: began, Duration: now() - began, Thread: thread,
			Args: map[string]string{"cpu": fmt.Sprintf("%.2f ms", (cpuTime()-used)/1e3)},
		})
	}
}

// cpuTime returns what all threads of this process have used, in microseconds.
func cpuTime() float64 {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e3
}

// Instant writes an event without a duration.
func Instant(words ...string) {
	write(event{Name: strings.Join(words, " "), Phase: "i", Scope: "p", Time: now(), Thread: unix.Gettid()})
}

// write appends e to the trace. An error is ignored: the command goes on.
func write(e event) {
	f := trace.Load()
	if f == nil {
		return
	}
	e.Process = os.Getpid()
	if line, err := json.Marshal(e); err == nil {
		_, _ = f.Write(append(line, ",\n"...)) // one write(2): lines of processes do not mix
	}
}

func now() float64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return float64(t.Sec)*1e6 + float64(t.Nsec)/1e3
}
