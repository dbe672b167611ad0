package cli

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/runtime"
)

func TestArrange(t *testing.T) {
	root := commands((&command.App{}))
	for typed, want := range map[string]string{
		"list":                              "croft list --",
		"--debug list -q":                   "croft --debug list --quiet --",
		"list --root /x -q":                 "croft --root=/x list --quiet --",
		"start web --wait db":               "croft start --wait=booted -- web db",
		"start --wait=network web":          "croft start --wait=network -- web",
		"start --wait web":                  "croft start --wait=booted -- web",
		"start -- --wait":                   "croft start -- --wait",
		"logs web -fn5":                     "croft logs --follow --lines=5 -- web",
		"logs -n 5 web -b -1":               "croft logs --lines=5 --boot=-1 -- web",
		"logs web -n=5":                     "croft logs --lines=5 -- web",
		"exec web ls -la":                   "croft exec -- web ls -la",
		"exec web --env A=b -- ls --env":    "croft exec --env=A=b -- web ls --env",
		"exec --env A=b web sh -- -x":       "croft exec --env=A=b -- web sh -- -x",
		"run --rm ls --rm -- x":             "croft run --rm -- ls --rm -- x",
		"run --rm --":                       "croft run --rm --",
		"template import x - --replace":     "croft template import --replace -- x -",
		"wait --until booted web":           "croft wait --for=booted -- web",
		"create --label= web":               "croft create --label= -- web",
		"create --env A=b --env=C=d,e=f we": "croft create --env=A=b --env=C=d,e=f -- we",
	} {
		l, err := cmdline.Read(root, strings.Fields(typed))
		if got := strings.Join(l.Arranged(), " "); err != nil || got != want {
			t.Errorf("%s:\n %s, %v\nwant\n %s", typed, got, err, want)
		}
	}
	for _, typed := range []string{"help", "--help", "help start", "start --help web", "start -h", "template build --help"} {
		if l, err := cmdline.Read(root, strings.Fields(typed)); err != nil || !l.Help {
			t.Errorf("%s: help %v, %v", typed, l.Help, err)
		}
	}
	if l, err := cmdline.Read(root, strings.Fields("exec web -- ls --help")); err != nil || l.Help {
		t.Errorf("--help of the command inside is taken for croft's: %v", err)
	}
}

// However a line looks, it is arranged, or it is a usage error with a hint.
func FuzzArrange(f *testing.F) {
	for _, s := range []string{"start web --wait", "exec web -- x", "-", "--", "--=", "-\xff", "create -eA=b x", "help help", "start\x00-h", "-hx"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		root := commands((&command.App{}))
		l, err := cmdline.Read(root, strings.Split(typed, " "))
		if err != nil {
			if !fail.Is(err, fail.Usage) {
				t.Fatalf("%q: %v", typed, err)
			}
			return
		}
		if l.Help || l.Verb == root || l.Verb.Inside { // there "--" is before the name
			return
		}
		// Arranging an arranged line changes nothing.
		again, err := cmdline.Read(root, l.Arranged()[1:])
		if err != nil || !slices.Equal(again.Arranged(), l.Arranged()) {
			t.Fatalf("%q: %q, then %q, %v", typed, l.Arranged(), again.Arranged(), err)
		}
	})
}

// The exit statuses of interrupted commands, to the number.
func TestSignals(t *testing.T) {
	// Catch the signals here. Children then have the default action. croft would
	// not catch a signal that was ignored before, as by nohup(1).
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(caught)
	for _, c := range []struct {
		signals []syscall.Signal
		refuse  string
		want    int
	}{
		{[]syscall.Signal{syscall.SIGINT}, "", 130},
		{[]syscall.Signal{syscall.SIGTERM}, "", 143},
		{[]syscall.Signal{syscall.SIGHUP}, "", 129},
		{[]syscall.Signal{syscall.SIGINT, syscall.SIGINT}, "Undo: stuck", 130},
	} {
		calls := filepath.Join(t.TempDir(), "calls")
		cmd := exec.Command("croft", "start", "never", "db")
		cmd.Env = append(os.Environ(), "FAKE_CALLS="+calls, "FAKE_REFUSE="+c.refuse)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for n, s := range c.signals {
			waitFor(t, calls, []string{"Start never", "Undo never"}[n])
			if err := cmd.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != c.want {
			t.Errorf("%v: %v, want %d", c.signals, err, c.want)
		}
		// croft does not start the next VPS.
		if text, err := os.ReadFile(calls); err != nil || strings.Contains(string(text), "Start db") {
			t.Errorf("%v: %s%v", c.signals, text, err)
		}
	}
}

func waitFor(t *testing.T, file, text string) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), text) {
			return
		}
	}
	t.Fatalf("%s never held %q", file, text)
}

// pty opens a terminal and returns both ends; croft uses the slave.
func pty(t *testing.T) (slave, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave, master
}

// The command inside gets a terminal if all three streams of croft are terminals,
// or with -t if stdin is one; never with -T.
func TestTerminal(t *testing.T) {
	term, _ := pty(t)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		stdio  runtime.Stdio
		option string
		want   bool
		status int
	}{
		{runtime.Stdio{In: term, Out: term, Err: term}, "", true, 0},
		{runtime.Stdio{In: term, Out: term, Err: term}, "-T", false, 0},
		{runtime.Stdio{In: term, Out: null, Err: term}, "", false, 0},
		{runtime.Stdio{In: term, Out: term, Err: null}, "", false, 0},
		{runtime.Stdio{In: null, Out: term, Err: term}, "", false, 0},
		{runtime.Stdio{In: term, Out: null, Err: null}, "-t", true, 0},
		{runtime.Stdio{In: null, Out: term, Err: null}, "-t", false, 125},
	} {
		for _, verb := range [][]string{{"exec", "web"}, {"run", "--template", "busybox"}} {
			calls := filepath.Join(t.TempDir(), "calls")
			getenv := func(key string) string {
				if key == "FAKE_CALLS" {
					return calls
				}
				return ""
			}
			a := &command.App{
				Stdio:   c.stdio,
				Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, getenv) },
				Getenv:  getenv, Now: time.Now,
			}
			args := append([]string{"croft"}, verb...)
			if c.option != "" {
				args = append(args, c.option)
			}
			if got := execute(a, append(args, "true")); got != c.status {
				t.Errorf("%v: status %d, want %d", args, got, c.status)
			}
			text, err := os.ReadFile(calls)
			if err != nil && c.status == 0 {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), `"Terminal":true`); got != c.want {
				t.Errorf("%v: terminal %v, want %v", args, got, c.want)
			}
		}
	}
}

// On a terminal progress is drawn in place; NO_COLOR has nothing to take away,
// and a dumb terminal gets lines.
func TestScreenOfATerminal(t *testing.T) {
	term, _ := pty(t)
	for kind, want := range map[string]bool{"xterm": true, "": false, "dumb": false} {
		s := display.NewScreen(term, func(key string) string { return map[string]string{"TERM": kind}[key] }, time.Now)
		if got := s.Width > 0; got != want {
			t.Errorf("TERM=%s: in place %v, want %v", kind, got, want)
		}
	}
}
