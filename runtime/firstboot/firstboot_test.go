package firstboot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func stateOf(t *testing.T, dir string, alive bool) State {
	t.Helper()
	r, err := Load(dir, alive)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		return ""
	}
	return r.State
}

// A script is taken once, and what ended while it ran was interrupted.
func TestTake(t *testing.T) {
	dir := t.TempDir()
	if got := stateOf(t, dir, false); got != "" {
		t.Errorf("without a script: %q", got)
	}
	if _, err := Put(dir, []byte("true")); err != nil || stateOf(t, dir, true) != Pending {
		t.Fatalf("%v, %s", err, stateOf(t, dir, true))
	}
	if info, err := os.Stat(filepath.Join(dir, scriptFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if script, err := Take(dir, 3); err != nil || string(script) != "true" {
		t.Errorf("%q, %v", script, err)
	}
	if script, err := Take(dir, 4); err != nil || script != nil {
		t.Errorf("the second time: %q, %v", script, err)
	}
	if a, b := stateOf(t, dir, true), stateOf(t, dir, false); a != Running || b != Interrupted {
		t.Errorf("%s, %s", a, b)
	}
	if err := Save(dir, Record{State: Failed, Boot: 3, Status: 7, Detail: "exit status 7"}); err != nil {
		t.Fatal(err)
	}
	if r, err := Load(dir, false); err != nil || !r.Bad() || r.String() != "first-boot script failed: exit status 7" {
		t.Errorf("%v, %v", r, err)
	}
}

// undo restores the former script, or removes the new one.
func TestPutUndone(t *testing.T) {
	dir := t.TempDir()
	for _, before := range []string{"", "one"} {
		if _, err := Put(dir, []byte(before)); err != nil {
			t.Fatal(err)
		}
		for _, now := range []string{"two", ""} {
			undo, err := Put(dir, []byte(now))
			if err != nil || Waits(dir) != (now != "") {
				t.Fatal(now, err)
			}
			if err := undo(); err != nil {
				t.Fatal(err)
			}
			if text, _ := os.ReadFile(filepath.Join(dir, scriptFile)); string(text) != before {
				t.Errorf("%q, then %q: %q is there after the undo", before, now, text)
			}
		}
	}
}

// The log has the output up to a bound, the record its last lines.
func TestOutput(t *testing.T) {
	log := filepath.Join(t.TempDir(), "boot-1.log")
	if err := os.WriteFile(log, []byte("login: "), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &Output{Log: log}
	for n := range 30 {
		fmt.Fprintf(o, "line %d\n", n)
	}
	if got := o.Tail(); !strings.HasPrefix(got, "line 10\n") || !strings.HasSuffix(got, "\nline 29") {
		t.Errorf("the tail is %q", got)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(text), "login: line 0\r\nline 1\r\n") {
		t.Errorf("%q, %v", text, err)
	}
	for range 3 {
		if n, err := o.Write(make([]byte, logBytes)); n != logBytes || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if info, err := os.Stat(log); err != nil || info.Size() > logBytes+1000 {
		t.Errorf("the log has %d bytes, %v", info.Size(), err)
	}
	if len(o.Tail()) > tailBytes {
		t.Errorf("the tail has %d bytes", len(o.Tail()))
	}
}
