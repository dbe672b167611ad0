package main

import (
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\n": "1.8.1",
		"podman version 4.3.1\n":                 "4.3.1",
		"5.0.2\n":                                "5.0.2",
		"systemd 252 (252.39-1~deb12u2)\n+PAM\n": "252.39-1~deb12u2",
		"systemd 258\n":                          "258",
		"croft 381d68f-dirty\n":                  "381d68f-dirty",
		"":                                       "",
	} {
		if got := version(text); got != want {
			t.Errorf("%q has %q, not %q", text, got, want)
		}
	}
}

func TestMachine(t *testing.T) {
	m := machine{Kernel: "6.18", CPU: strings.Repeat("x", 50), CPUs: 2, Load: 0.04, Programs: []program{{"croft", "1.2"}, {"lxc", ""}}}
	text := m.text(7)
	words := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{"Linux 6.18, 2 CPUs", "load average 0.04, 7 rounds", "croft 1.2, lxc (not installed)."} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > columns+1 {
			t.Errorf("wider than %d columns: %s", columns, line)
		}
	}
}
