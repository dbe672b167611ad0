//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A result is what a user sees of one command.
type result struct {
	args        []string
	status      int // 128+n if a signal ended it
	out, errOut string
	took        time.Duration
}

func (r result) String() string {
	s := fmt.Sprintf("croft %s: exit %d after %v", strings.Join(r.args, " "), r.status, r.took.Round(time.Millisecond))
	if r.out != "" {
		s += "\nstdout: " + shorten(r.out)
	}
	if r.errOut != "" {
		s += "\nstderr: " + shorten(r.errOut)
	}
	return s
}

func shorten(s string) string {
	const most = 1600
	if len(s) > most {
		return s[:most/2] + "\n…\n" + s[len(s)-most/2:]
	}
	return s
}

// where are the options that say which VPSs are meant.
func where(root, run string) []string { return []string{"--root", root, "--run-dir", run} }

// command is croft with args, in an environment of its own.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, world.croft, append(where(world.root, world.run), patient(args)...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "FOO=of-the-host", "TERM=vt100", "CROFT_CONFIG_DIR=" + world.root + "-etc"}
	cmd.Dir = "/"
	cmd.WaitDelay = slow(30 * time.Second) // a process left behind may hold our pipes: an error, no hang
	return cmd
}

// croftWithin runs croft with stdin and returns what came of it.
func croftWithin(limit time.Duration, stdin string, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return finish(cmd, args)
}

// finish runs cmd to its end.
func finish(cmd *exec.Cmd, args []string) result {
	var out, errOut bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errOut
	start := time.Now()
	err := cmd.Run()
	r := result{args: args, status: exitStatus(err), out: out.String(), errOut: errOut.String(), took: time.Since(start)}
	if r.status < 0 {
		r.errOut += "\n" + err.Error()
	}
	return r
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return -1
	case exit.ExitCode() < 0:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
	}
	return exit.ExitCode()
}

// try runs croft and returns what came of it.
func try(args ...string) result { return croftWithin(usual, "", args...) }

// must runs croft, which has to succeed and to say nothing on stderr that is
// an error, and returns its stdout without the last newline.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := try(args...)
	if r.status != 0 {
		t.Fatal(r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

// refused runs croft, which has to fail with that status, print nothing on
// stdout, and say why in one line that has all of words in it, beside warnings,
// progress and a hint.
func refused(t *testing.T, status int, words string, args ...string) {
	t.Helper()
	checkRefusal(t, try(args...), status, words)
}

func checkRefusal(t *testing.T, r result, status int, words string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit %d expected: %s", status, r)
	}
	if r.out != "" {
		t.Errorf("stdout is for results: %s", r)
	}
	failures := 0
	for line := range strings.Lines(r.errOut) {
		about, ours := strings.CutPrefix(line, "croft: ")
		switch first, _, _ := strings.Cut(about, " "); {
		case !ours:
			failures += 2
		case first != "hint:" && first != "warning:" && first != "importing" && first != "building" && first != "making" && first != "converting" && first != "reading":
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("not one line that says why: %s", r)
	}
	for _, word := range strings.Fields(words) {
		if !strings.Contains(r.errOut, word) {
			t.Errorf("%q is not in it: %s", word, r)
		}
	}
}

var count atomic.Int32

// ours begins the names of this run's VPSs, and tells them from others where
// they stand beside those (cgroups).
func ours() string { return fmt.Sprintf("it%d-", os.Getpid()) }

// name makes a name that no other VPS of this run has or had.
func name(t *testing.T, base string) string {
	t.Helper()
	return fmt.Sprintf("%s%s-%d", ours(), base, count.Add(1))
}

// create makes a VPS that is destroyed at the end of the test.
func create(t *testing.T, template string, options ...string) string {
	t.Helper()
	if strings.HasPrefix(template, "debian") {
		needs(t, template)
	}
	vps := name(t, strings.ReplaceAll(template, ".", "-"))
	must(t, append(append([]string{"create", "--template", template}, options...), vps)...)
	t.Cleanup(func() { destroy(t, vps) })
	return vps
}

// boot makes a VPS and starts it, and returns when it has booted.
func boot(t *testing.T, template string, options ...string) string {
	t.Helper()
	vps := create(t, template, options...)
	must(t, "start", "--wait", vps)
	return vps
}

func destroy(t *testing.T, vps string) {
	t.Helper()
	if t.Failed() {
		if r := try("logs", vps); r.out != "" {
			t.Logf("the console of %s:\n%s", vps, shorten(r.out))
		}
	}
	if r := try("destroy", "--force", "--if-exists", vps); r.status != 0 {
		t.Error(r)
	}
}

// in runs a command inside, which has to succeed, and returns its stdout
// without the last newline.
func in(t *testing.T, vps string, cmd ...string) string {
	t.Helper()
	return must(t, append([]string{"exec", vps, "--"}, cmd...)...)
}

// sh runs a script inside, which has to succeed.
func sh(t *testing.T, vps, script string) string {
	t.Helper()
	return in(t, vps, "sh", "-c", script)
}

// An info is what inspect and list tell about a VPS.
type info struct {
	Name       string
	Status     string
	Booted     bool
	UUID       string
	Template   string
	Boot       int
	PID        int
	MonitorPID int `json:"monitorPid"`
	IDs        struct{ First, Size uint32 }
	Interfaces []struct {
		Name, Network, HostLink, MAC string
		Addresses                    []string
	}
	Hostname string
	Storage  string
	Disk     struct {
		Kind  string
		Bytes int64
	}
	Limits   struct{ MemoryBytes, PIDs int64 }
	Labels   map[string]string
	LastEnd  *end
	Restarts struct {
		Count int
		Last  *end
	}
	MonitorLog string
	Fitted     []string
	Published  []any
	Cgroup     string
	PinnedCPUs string
	Files      string
	Error      string
}

// An end is how a VPS ended.
type end struct {
	Reason, Detail string
	Status         int
	OutOfMemory    bool
}

// inspect returns what croft says about a VPS.
func inspect(t *testing.T, vps string) info {
	t.Helper()
	text := must(t, "inspect", "--json", vps)
	all := []info{}
	var err error
	if strings.HasPrefix(text, "[") {
		err = json.Unmarshal([]byte(text), &all)
	} else {
		all = make([]info, 1)
		err = json.Unmarshal([]byte(text), &all[0])
	}
	if err != nil || len(all) != 1 {
		t.Fatalf("inspect %s: %v\n%s", vps, err, text)
	}
	return all[0]
}

// list returns all VPSs by name.
func list(t *testing.T) map[string]info {
	t.Helper()
	var all []info
	if err := json.Unmarshal([]byte(must(t, "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]info{}
	for _, i := range all {
		byName[i.Name] = i
	}
	return byName
}

func status(t *testing.T, vps string) string {
	t.Helper()
	return inspect(t, vps).Status
}

func wantStatus(t *testing.T, vps, want string) {
	t.Helper()
	if got := status(t, vps); got != want {
		t.Errorf("%s is %s, not %s", vps, got, want)
	}
}

// address returns the n-th address of a VPS without its prefix length.
func address(t *testing.T, vps string, n int) string {
	t.Helper()
	i := inspect(t, vps)
	if len(i.Interfaces) == 0 || len(i.Interfaces[0].Addresses) <= n {
		t.Fatalf("%s has no address number %d: %+v", vps, n, i.Interfaces)
	}
	a, _, _ := strings.Cut(i.Interfaces[0].Addresses[n], "/")
	return a
}

// reboot reboots the VPS from inside, and waits until it has booted again.
func reboot(t *testing.T, vps string) {
	t.Helper()
	number := inspect(t, vps).Boot
	try("exec", vps, "--", "reboot") // it may end before it can answer
	eventually(t, "it has rebooted", func() bool { i := inspect(t, vps); return i.Boot == number+1 && i.Booted })
}

// eventually waits for something that only looking again and again can tell.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(usual); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", usual, what)
		}
	}
}

// readAll reads until the end, in the background.
func readAll(r io.Reader) <-chan string {
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(r)
		all <- string(text)
	}()
	return all
}
