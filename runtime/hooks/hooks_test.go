package hooks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
)

// hook writes a hook that is a shell script.
func hook(t *testing.T, path, script string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dir returns a directory for hooks that only this user can write to.
func dir(t *testing.T) Dir {
	t.Helper()
	d := Dir{Path: filepath.Join(t.TempDir(), "hooks.d")}
	if err := os.Mkdir(d.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

func call(at Point) Call {
	return Call{Point: at, Name: "web", Env: []string{"CROFT_X=a b"}, Stdin: func() []byte { return []byte("{}\n") }, Limit: time.Minute}
}

// Hooks for all run before those of the VPS, in the order of their names; what is no hook
// does not run.
func TestOrder(t *testing.T) {
	d := dir(t)
	log := filepath.Join(t.TempDir(), "log")
	tell := `echo "$(basename $0) $* $CROFT_X $(cat) $PWD" >>` + log
	for _, name := range []string{"20-b", "10-a.sh", "web/05-own", "db/05-other", ".hidden", "30-c~", "40-d.bak", "50-e.dpkg-old"} {
		hook(t, filepath.Join(d.Path, name), tell)
	}
	hook(t, filepath.Join(d.Path, "60-off"), tell)
	if err := os.Chmod(filepath.Join(d.Path, "60-off"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := d.Run(context.Background(), call(PreStart)); err != nil || out != "" {
		t.Fatal(out, err)
	}
	got, err := os.ReadFile(log)
	want := "10-a.sh pre-start web a b {} /\n20-b pre-start web a b {} /\n05-own pre-start web a b {} /\n"
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, and not %s", got, err, want)
	}
}

// Without hooks nothing is read, and the VPS is not looked at.
func TestNone(t *testing.T) {
	c := call(PreStart)
	c.Stdin = func() []byte { t.Error("asked"); return nil }
	for _, d := range []Dir{{}, {Path: "/nonexistent/hooks.d"}, dir(t)} {
		if out, err := d.Run(context.Background(), c); err != nil || out != "" {
			t.Error(d, out, err)
		}
	}
}

// The first hook that fails ends the run. Its output is returned, and at most its end.
func TestFailure(t *testing.T) {
	d := dir(t)
	hook(t, filepath.Join(d.Path, "10-ok"), "echo fine")
	hook(t, filepath.Join(d.Path, "20-bad"), "cat >/dev/null; seq 10000; echo no >&2; exit 3")
	hook(t, filepath.Join(d.Path, "30-never"), "touch "+d.Path+"/ran")
	out, err := d.Run(context.Background(), call(PreStop))
	if !fail.Is(err, fail.Hook) || !strings.Contains(err.Error(), "20-bad failed: exit status 3") {
		t.Error(err)
	}
	if !strings.HasSuffix(out, "\n10000\nno\n") || len(out) > tailSize {
		t.Errorf("%d bytes, %q", len(out), out[max(0, len(out)-30):])
	}
	if _, err := os.Lstat(d.Path + "/ran"); err == nil {
		t.Error("the next one ran")
	}
	if err := os.WriteFile(filepath.Join(d.Path, "05-text"), []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Run(context.Background(), call(PreStop)); !fail.Is(err, fail.Hook) || !strings.Contains(err.Error(), "05-text") {
		t.Error(err)
	}
}

// A hook that others can change is refused, before any hook runs.
func TestOthersCanWrite(t *testing.T) {
	for what, spoil := range map[string]func(d Dir) error{
		"the group can write to the hook":      func(d Dir) error { return os.Chmod(d.Path+"/20-b", 0o775) },
		"all can write to the hook":            func(d Dir) error { return os.Chmod(d.Path+"/20-b", 0o757) },
		"all can write to the directory":       func(d Dir) error { return os.Chmod(d.Path, 0o777) },
		"the group can write to the one above": func(d Dir) error { return os.Chmod(filepath.Dir(d.Path), 0o775) },
		"all can write to that of the VPS":     func(d Dir) error { return os.Chmod(d.Path+"/web", 0o777) },
		"a link": func(d Dir) error {
			return errors.Join(os.Rename(d.Path+"/20-b", d.Path+"/.b"), os.Symlink(".b", d.Path+"/20-b"))
		},
		"another owner": func(d Dir) error {
			if os.Geteuid() != 0 {
				return os.Chmod(d.Path+"/20-b", 0o777)
			}
			return os.Chown(d.Path+"/20-b", 1234, 0)
		},
	} {
		d := dir(t)
		for _, name := range []string{"10-a", "20-b", "web/30-c"} {
			hook(t, filepath.Join(d.Path, name), "touch "+d.Path+"/.ran")
		}
		if err := spoil(d); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Run(context.Background(), call(PreStart)); !fail.Is(err, fail.Hook) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(d.Path + "/.ran"); err == nil {
			t.Errorf("%s: a hook ran", what)
		}
	}
}

// A hook that takes too long is killed with its children; so is one whose command is
// interrupted. A process in the background does not delay the command.
func TestEndOfHooks(t *testing.T) {
	d := dir(t)
	hook(t, filepath.Join(d.Path, "a"), "echo working; sleep 86400 & wait")
	c := call(PreStart)
	c.Limit = 300 * time.Millisecond
	out, err := d.Run(context.Background(), c)
	if !fail.Is(err, fail.Hook) || !strings.Contains(err.Error(), "did not end within 300ms") || out != "" && out != "working\n" {
		t.Errorf("%q, %v", out, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hook(t, filepath.Join(d.Path, "a"), "sleep 86400")
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := d.Run(ctx, call(PreStart)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	hook(t, filepath.Join(d.Path, "a"), "sleep 3 & exit 0")
	if out, err := d.Run(context.Background(), call(PreStart)); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
}
