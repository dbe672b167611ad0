//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"math/rand"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func TestExec(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	exec := func(args ...string) []string { return append([]string{"exec", vps, "--"}, args...) }

	t.Run("status", func(t *testing.T) {
		in(t, vps, "sh", "-c", `printf '#!/bin/sh\n' >/tmp/not-executable && chmod 644 /tmp/not-executable`)
		for _, c := range []struct {
			want int
			cmd  []string
		}{
			{0, []string{"true"}},
			{1, []string{"false"}},
			{42, []string{"sh", "-c", "exit 42"}},
			{255, []string{"sh", "-c", "exit 255"}},
			{126, []string{"/etc/passwd"}},
			{126, []string{"/etc"}},
			{127, []string{"no-such-command"}},
			{127, []string{"/no/such/command"}},
			{126, []string{"/tmp/not-executable"}},
			{143, []string{"sh", "-c", "kill -TERM $$"}},
			{137, []string{"sh", "-c", "kill -KILL $$"}},
		} {
			if r := try(exec(c.cmd...)...); r.status != c.want {
				t.Errorf("want %d: %s", c.want, r)
			}
		}
		if r := try("exec", "nobody", "--", "true"); r.status != 125 {
			t.Error(r)
		}
		if r := try("exec", vps); r.status != 125 && r.status != 2 {
			t.Error(r)
		}
	})

	t.Run("streams", func(t *testing.T) {
		r := try(exec("sh", "-c", `printf 'o\0ut'; printf 'e\0rr' >&2`)...)
		if r.out != "o\x00ut" || r.errOut != "e\x00rr" {
			t.Error(r)
		}
		if r := croftWithin(usual, "in\x00put\r\n", exec("cat")...); r.out != "in\x00put\r\n" {
			t.Error(r)
		}
		if got := in(t, vps, "cat"); got != "" { // at the end of stdin
			t.Errorf("%q", got)
		}
		if r := try(exec("tty")...); r.status == 0 {
			t.Errorf("a terminal that nobody asked for: %s", r)
		}
	})

	t.Run("100 MB", func(t *testing.T) {
		data := make([]byte, 100<<20)
		rand.New(rand.NewSource(1)).Read(data)
		want := fmt.Sprintf("%x", md5.Sum(data))
		ctx, cancel := context.WithTimeout(t.Context(), usual)
		defer cancel()
		cmd := command(ctx, exec("md5sum")...)
		cmd.Stdin = bytes.NewReader(data)
		if r := finish(cmd, cmd.Args); !strings.HasPrefix(r.out, want) {
			t.Errorf("in: want %s, %s", want, r)
		}
		cmd = command(ctx, exec("cat")...)
		cmd.Stdin = bytes.NewReader(data)
		var out bytes.Buffer
		cmd.Stdout = &out
		if r := finish(cmd, cmd.Args); r.status != 0 || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("in and out: %d bytes came back: %s", out.Len(), r)
		}
	})

	t.Run("environment", func(t *testing.T) {
		if got := in(t, vps, "env"); strings.Contains(got, "of-the-host") || !strings.Contains("\n"+got, "\nHOME=/root") ||
			!strings.Contains("\n"+got, "\nPATH=/") || !strings.Contains("\n"+got, "\nUSER=root") {
			t.Errorf("environment: %s", got)
		}
		for line := range strings.Lines(in(t, vps, "env")) {
			switch key, _, _ := strings.Cut(line, "="); key {
			case "HOME", "PATH", "USER", "TERM", "LANG", "SHLVL", "PWD", "container", "LOGNAME", "SHELL":
			default:
				t.Errorf("leaked in: %s", line)
			}
		}
		out := must(t, "exec", "--env", "A=1,2 = x", "--env", "PATH=/bin", vps, "--", "sh", "-c", `echo "$A|$PATH"`)
		if out != "1,2 = x|/bin" {
			t.Errorf("%q", out)
		}
	})

	t.Run("user and directory", func(t *testing.T) {
		sh(t, vps, "echo ann:x:1234:1234::/home/ann:/bin/sh >>/etc/passwd; echo ann:x:1234: >>/etc/group; mkdir -p /home/ann; chown ann /home/ann")
		for _, c := range []struct {
			options []string
			want    string
		}{
			{nil, "0 0 /root /root"},
			{[]string{"--user", "ann"}, "1234 1234 /home/ann /home/ann"},
			{[]string{"--user", "1234"}, "1234 1234 /home/ann /home/ann"},
			{[]string{"--user", "ann:7"}, "1234 7 /home/ann /home/ann"},
			{[]string{"--cwd", "/etc"}, "0 0 /etc /root"},
			{[]string{"--user", "ann", "--cwd", "/tmp"}, "1234 1234 /tmp /home/ann"},
		} {
			args := append(append([]string{"exec"}, c.options...), vps, "--", "sh", "-c", `echo $(id -u) $(id -g) $(pwd) $HOME`)
			if got := must(t, args...); got != c.want {
				t.Errorf("%v: %q, want %q", c.options, got, c.want)
			}
		}
		if r := try("exec", "--user", "nobody-like-this", vps, "--", "true"); r.status != 125 {
			t.Error(r)
		}
		if r := try("exec", "--cwd", "/no/such/place", vps, "--", "true"); r.status != 125 && r.status != 126 && r.status != 127 {
			t.Error(r)
		}
	})

	t.Run("descriptors", func(t *testing.T) {
		// 3 is the directory that ls itself reads.
		if got := strings.Fields(in(t, vps, "ls", "/proc/self/fd")); strings.Join(got, " ") != "0 1 2 3" {
			t.Errorf("open inside: %v", got)
		}
	})

	t.Run("streams are opened again", func(t *testing.T) {
		for _, options := range [][]string{nil, {"--user", "ann"}, {"--user", "1235:1235"}} {
			args := append(append([]string{"exec"}, options...), vps, "--", "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin")
			if r := croftWithin(usual, "in", args...); r.status != 0 || r.out != "out\nin" || r.errOut != "err\n" {
				t.Errorf("%v: %s", options, r)
			}
		}
	})

	t.Run("fifty at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				want := fmt.Sprintf("number %d\n", i)
				r := croftWithin(usual, want, exec("sh", "-c", fmt.Sprintf("cat; exit %d", i))...)
				if r.status != i || r.out != want {
					t.Errorf("want exit %d and %q: %s", i, want, r)
				}
			})
		}
		all.Wait()
	})

	t.Run("terminal", func(t *testing.T) {
		term := onTerminal(t, "exec", "-t", vps, "--", "sh")
		term.typ("tty; stty size; echo user=$(id -u)\n")
		term.expect("/dev/pts/")
		term.expect("24 80")
		term.expect("user=0")
		term.resize(132, 50)
		term.typ("stty size\n")
		term.expect("50 132")
		term.typ("sleep 1000\n")
		eventually(t, "it runs", func() bool { return strings.Contains(in(t, vps, "ps"), " sleep 1000") })
		term.typ("\x03")
		eventually(t, "Ctrl-C ends it", func() bool { return !strings.Contains(in(t, vps, "ps"), " sleep 1000") })
		term.typ("exit 5\n")
		if got := term.ended(); got != 5 {
			t.Errorf("exit %d", got)
		}
	})

	t.Run("signals", func(t *testing.T) {
		cmd, wait := background(t, append([]string{"exec", vps, "--"}, "sh", "-c", "trap 'exit 9' TERM; echo ready >/tmp/ready; while :; do sleep 0.1; done")...)
		eventually(t, "the trap is set", func() bool { return try(exec("test", "-e", "/tmp/ready")...).status == 0 })
		cmd.Process.Signal(sigterm)
		if r := wait(); r.status != 9 {
			t.Error(r)
		}
	})

	t.Run("stopped", func(t *testing.T) {
		must(t, "stop", vps)
		if r := try(exec("true")...); r.status != 125 || !strings.Contains(r.errOut, "croft start "+vps) {
			t.Errorf("125 and the command to type are expected: %s", r)
		}
	})
}

func TestEnter(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	term := onTerminal(t, "enter", vps)
	term.typ("hostname; pwd; echo $((6*7))\n")
	term.expect(vps)
	term.expect("/root")
	term.expect("42")
	term.typ("exit 3\n")
	if got := term.ended(); got != 3 {
		t.Errorf("exit %d", got)
	}
}

func TestRun(t *testing.T) {
	hostAsBefore(t)
	if got := must(t, "run", "--rm", "--template", "busybox", "--", "echo", "hello"); got != "hello" {
		t.Errorf("%q", got)
	}
	if r := try("run", "--rm", "--template", "busybox", "--", "sh", "-c", "exit 42"); r.status != 42 {
		t.Error(r)
	}
	if got := must(t, "run", "--rm", "--template", "busybox", "--", "grep", "^overlay / ", "/proc/mounts"); !strings.Contains(got, "volatile") {
		t.Errorf("its programs wait until files are on the disk: %s", got)
	}
	if r := try("run", "--rm", "--template", "busybox", "--", "no-such-command"); r.status != 127 {
		t.Error(r)
	}
	if r := try("run", "--rm", "--template", "no-such-template", "--", "true"); r.status != 125 {
		t.Error(r)
	}
	if r := croftWithin(usual, "typed", "run", "--rm", "--wait", "--template", "busybox", "--", "cat"); r.out != "typed" {
		t.Error(r)
	}
	if left := list(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A run --rm does not wait for the end of its VPS, yet its name is free at once, its exit
// status is that of its command, and nothing is left: one after the other, and many at once.
func TestManyRuns(t *testing.T) {
	hostAsBefore(t)
	vps := name(t, "run")
	run := func(vps string, status int) result {
		return try("run", "--rm", "--name", vps, "--template", "busybox", "--", "sh", "-c", fmt.Sprintf("hostname; exit %d", status))
	}
	for i := range 20 {
		if r := run(vps, i); r.status != i || r.out != vps+"\n" {
			t.Fatalf("run %d: %s", i, r)
		}
		if i%5 == 0 {
			if left := list(t); len(left) > 0 {
				t.Errorf("run %d left: %v", i, left)
			}
		}
	}
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			own := fmt.Sprintf("%s-%d", vps, i)
			if r := run(own, i); r.status != i || r.out != own+"\n" {
				t.Errorf("run %d at once: %s", i, r)
			}
		})
	}
	all.Wait()
	// By a command that waits for no lock, as users type it.
	if out, err := exec.Command(world.croft, append(where(world.root, world.run), "list", "-q")...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("left: %s, %v", out, err)
	}
	if left := list(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// What it had is free at once.
	must(t, "network", "create", vps+"n", "--mode", "routed", "--ipv4", "10.98.0.0/24")
	must(t, "volume", "create", vps+"v")
	must(t, "run", "--rm", "--network", vps+"n", "--mount", vps+"v:/srv", "--template", "busybox", "--", "true")
	must(t, "network", "remove", vps+"n")
	must(t, "volume", "remove", vps+"v")
}

// Ctrl-C at any time of a run leaves nothing.
func TestRunIsInterrupted(t *testing.T) {
	hostAsBefore(t)
	for _, after := range []string{"at once", "when it is listed", "when it runs"} {
		cmd, wait := background(t, "run", "--rm", "--name", name(t, "run"), "--template", "busybox", "--", "sleep", "1000")
		switch after {
		case "when it is listed":
			eventually(t, "it is there", func() bool { return len(list(t)) > 0 })
		case "when it runs":
			eventually(t, "it runs", func() bool {
				for vps := range list(t) {
					r := try("exec", vps, "--", "ps")
					return strings.Contains(r.out, "sleep 1000")
				}
				return false
			})
		}
		cmd.Process.Signal(sigint)
		if r := wait(); r.status != 130 {
			t.Errorf("%s: %s", after, r)
		}
		if left := list(t); len(left) > 0 {
			t.Errorf("%s: left: %v", after, left)
			for vps := range left {
				must(t, "destroy", "--force", vps)
			}
		}
	}
}

// A login session is one of logind's where the VPS has that, with the user's own
// manager.
func TestLogin(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "debian-12")
	sh(t, vps, "useradd --create-home --shell /bin/bash ann")
	if got := must(t, "exec", "--login", "--user", "ann", "--env", "A=it's", "--cwd", "/etc", vps, "--",
		"sh", "-c", `echo "$(id -un) $XDG_RUNTIME_DIR $A $PWD $HOME"`); got != "ann /run/user/1000 it's /etc /home/ann" {
		t.Error(got)
	}
	must(t, "exec", "--login", "-u", "ann", vps, "--", "systemctl", "--user", "list-units")
	if r := try("exec", "--login", "-u", "ann", vps, "--", "sh", "-c", "exit 42"); r.status != 42 {
		t.Error(r)
	}
	refused(t, 125, "no account", "exec", "--login", "--user", "1234", vps, "--", "true")
	term := onTerminal(t, "enter", "--login", "--user", "ann", vps)
	term.typ("echo $USER:$XDG_RUNTIME_DIR; tty\n")
	term.expect("ann:/run/user/1000")
	term.expect("/dev/pts/")
	term.typ("exit 3\n")
	if got := term.ended(); got != 3 {
		t.Errorf("exit %d", got)
	}
	term = onTerminal(t, "enter", "--user", "ann", vps)
	term.typ("echo $((6*7)):$HOME\n")
	term.expect("42:/home/ann")
	term.typ("exit\n")
	term.ended()

	small := boot(t, "busybox")
	if got := must(t, "exec", "--login", small, "--", "echo", "works"); got != "works" {
		t.Error(got)
	}
}
