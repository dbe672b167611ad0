package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	for text, want := range map[string]Host{
		"ssh://host":                       {Name: "host"},
		"host":                             {Name: "host"},
		"root@host":                        {User: "root", Name: "host"},
		"ssh://root@host.example.com:2222": {User: "root", Name: "host.example.com", Port: 2222},
		"ssh://host/":                      {Name: "host"},
		"ssh://root@[2001:db8::1]:22":      {User: "root", Name: "2001:db8::1", Port: 22},
		"[2001:db8::1]":                    {Name: "2001:db8::1"},
		"192.0.2.1:22":                     {Name: "192.0.2.1", Port: 22},
	} {
		got, err := ParseHost(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseHost(got.String()); err != nil || again != got {
			t.Errorf("%s becomes %s: %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "ssh://", "https://host", "-oProxyCommand=x", "ssh://-oProxyCommand=x", "ssh://-x@host", "root@-x", "host/dir", "ssh://host/dir", "host?x",
		"host:0", "host:65536", "host:ssh", "a b", "a;b", "$(a)", "a%20b", "root:secret@host", "@", "root@", "a\nb", "ssh://[fe80::1%25eth0]",
	} {
		if got, err := ParseHost(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestLine(t *testing.T) {
	h := Host{User: "root", Name: "host", Port: 2222}
	got := h.Line(Command{Words: []string{"list"}, Version: "croft 1", Missing: 8, Invalid: 2})
	want := []string{"ssh", "-T", "-l", "root", "-p", "2222", "--", "host"}
	if len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) || !strings.HasSuffix(got[len(want)], " host 'croft 1' 8 2 list") {
		t.Errorf("%q", got)
	}
	got = Host{Name: "host"}.Line(Command{Options: []string{"ConnectTimeout=20"}})
	if want := []string{"ssh", "-T", "-o", "ConnectTimeout=20", "--", "host"}; !slices.Equal(got[:len(got)-1], want) {
		t.Errorf("with an option: %q", got)
	}
	got = Host{Name: "host"}.Line(Command{Terminal: true})
	if want := []string{"ssh", "-t", "-o", "LogLevel=ERROR", "--", "host"}; !slices.Equal(got[:len(got)-1], want) {
		t.Errorf("with a terminal: %q", got)
	}
}

// The words of CROFT_SSH are for a shell, and those of the line are not.
func TestOtherClient(t *testing.T) {
	h := there{t, t.TempDir()}
	h.has("my-ssh", `printf '%s|' "$@"`)
	line := Host{Name: "far"}.Line(Command{Words: []string{"list"}, SSH: "my-ssh -F '/my config' -o User=$WHO"})
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = []string{"PATH=" + h.dir + ":/usr/bin:/bin", "WHO=ann"}
	out, err := cmd.Output()
	if want := "-F|/my config|-o|User=ann|-T|--|far|sh -c 'here="; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
	if got := (Host{User: "root", Name: "fd00::1", Port: 22}).Try(""); got != "ssh -p 22 root@fd00::1 true" {
		t.Errorf("to try: %q", got)
	}
	if got := (Host{Name: "far"}).Try("my-ssh -F x"); got != "my-ssh -F x far true" {
		t.Errorf("to try: %q", got)
	}
}

// A there is a host, as sshd(8) runs a command: with the shell of the user.
type there struct {
	t   *testing.T
	dir string // the PATH
}

func (h there) has(name, script string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		h.t.Fatal(err)
	}
}

func (h there) run(shell string, c Command) (status int, out, errOut string) {
	h.t.Helper()
	line := Host{Name: "far"}.Line(c)
	cmd := exec.Command(shell, "-c", line[len(line)-1])
	cmd.Env = []string{"PATH=" + h.dir + ":/usr/bin:/bin", "CROFT_HOST=ssh://far"}
	var err strings.Builder
	cmd.Stderr, cmd.Stdin = &err, strings.NewReader("input")
	b, _ := cmd.Output()
	return cmd.ProcessState.ExitCode(), string(b), err.String()
}

// Words, standard input and exit status arrive unchanged, with any shell.
func TestCommandThere(t *testing.T) {
	h := there{t, t.TempDir()}
	h.has("croft", `printf '%s|' "$CROFT_HOST" "$@"; cat`)
	words := []string{"exec", "web", "--", "sh", "-c", `echo "$HOME" 'a' \b`, "", "two\nlines", "*", "~", "-n", "ä\x01"}
	for _, shell := range []string{"sh", "bash"} {
		status, out, errOut := h.run(shell, Command{Words: words, Invalid: 2})
		if want := "|" + strings.Join(words, "|") + "|input"; out != want || errOut != "" || status != 0 {
			t.Errorf("%s: %d, %q, %q, want %q", shell, status, out, errOut, want)
		}
	}
	for _, want := range []int{0, 1, 5, 130, 255} {
		h.has("croft", "exit "+strconv.Itoa(want))
		if status, out, errOut := h.run("sh", Command{Invalid: 2}); status != want || out+errOut != "" {
			t.Errorf("exit %d is %d, %q, %q", want, status, out, errOut)
		}
	}
	h.has("croft", "kill -9 $$")
	if status, _, _ := h.run("sh", Command{}); status != 137 {
		t.Errorf("a killed croft is status %d", status)
	}
}

// A host without croft, or with another version, is named.
func TestOtherVersionThere(t *testing.T) {
	h := there{t, t.TempDir()}
	if status, out, errOut := h.run("sh", Command{Missing: 8}); status != 8 || out != "" || !strings.HasPrefix(errOut, "croft: far has no croft: ") {
		t.Errorf("without croft: %d, %q, %q", status, out, errOut)
	}
	h.has("croft", `case $1 in version) echo "croft 1 linux/amd64";; *) echo "croft: no option --new" >&2; exit 2;; esac`)
	c := Command{Words: []string{"list", "--new"}, Version: "croft 2 linux/amd64", Invalid: 2}
	status, _, errOut := h.run("sh", c)
	if status != 2 || errOut != "croft: no option --new\ncroft: warning: far has another version: croft 1 linux/amd64; this host has croft 2 linux/amd64\n" {
		t.Errorf("an older one: %d, %q", status, errOut)
	}
	c.Version = "croft 1 linux/amd64"
	if status, _, errOut := h.run("sh", c); status != 2 || errOut != "croft: no option --new\n" {
		t.Errorf("the same version: %d, %q", status, errOut)
	}
}
