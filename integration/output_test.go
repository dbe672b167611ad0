//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// On a terminal of 80 columns no line of a table wraps, and nothing is lost
// with --wide and in a pipe.
func TestTablesOnATerminal(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--label", "a-label="+strings.Repeat("long", 20))
	must(t, "start", "--wait", vps)
	list := []string{"list", "-c", "name,status,uptime,addresses,template,digest,labels", vps}
	for _, args := range [][]string{list, {"status"}, {"stats", "--interval", "0"}, {"top", vps}, {"template", "list"}, {"network", "list"}} {
		term := onTerminal(t, args...)
		if status := term.ended(); status != 0 {
			t.Errorf("%v: status %d: %s", args, status, term.text())
		}
		for line := range strings.Lines(term.text()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > 80 {
				t.Errorf("%v: a line of %d columns: %s", args, n, line)
			}
		}
	}
	whole := address(t, vps, 1)
	if text := must(t, list...); !strings.Contains(text, whole) || !strings.Contains(text, "sha256:") {
		t.Errorf("in a pipe something is shortened:\n%s", text)
	}
	term := onTerminal(t, append(list, "--wide")...)
	if term.ended(); !strings.Contains(term.text(), whole) {
		t.Errorf("with --wide something is shortened:\n%s", term.text())
	}
	if text := must(t, "list", "--format", "{{.name}} {{len .interfaces}} {{(index .interfaces 0).name}}", vps); text != vps+" 1 eth0" {
		t.Errorf("a template: %q", text)
	}
}

// logs -f of a VPS that writes nothing ends when its reader is gone.
func TestFollowingEndsWithTheReader(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none")
	for _, args := range [][]string{{"logs", "-f", vps}, {"logs", "-f", "--monitor", vps}} {
		cmd := command(t.Context(), args...)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		write.Close()
		if _, err := read.Read(make([]byte, 1)); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		read.Close()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if status := exitStatus(err); status != 141 {
				t.Errorf("%v: exit status %d", args, status)
			}
		case <-time.After(usual):
			cmd.Process.Kill()
			t.Errorf("%v goes on without a reader", args)
		}
	}
}
