package runtime

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// through runs a shell script on pipes and returns what came out.
func through(t *testing.T, script string, stdin *os.File) (stdout, stderr []byte) {
	t.Helper()
	var files [3]*os.File
	for i := 1; i < 3; i++ {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	p, err := newPipes(Stdio{In: stdin, Out: files[1], Err: files[2]})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.theirs[0], p.theirs[1], p.theirs[2]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.begin()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := p.drain(); err != nil {
		t.Fatal(err)
	}
	var out [3][]byte
	for i := 1; i < 3; i++ {
		if out[i], err = os.ReadFile(files[i].Name()); err != nil {
			t.Fatal(err)
		}
	}
	return out[1], out[2]
}

func TestPipesKeepStreamsApartAndWhole(t *testing.T) {
	file := t.TempDir() + "/in"
	data := bytes.Repeat([]byte("0123456789abcde\x00"), 1<<16)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	stdout, stderr := through(t, "echo err >&2; cat", in)
	if !bytes.Equal(stdout, data) || string(stderr) != "err\n" {
		t.Errorf("%d bytes came out of %d, and %q", len(stdout), len(data), stderr)
	}
}

// What a command leaves running in the background holds its end of the pipe.
func TestPipesDoNotWaitForTheBackground(t *testing.T) {
	release, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()
	stdin, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close() // ends the one in the background
	stdout, _ := through(t, "exec 3<&0; cat <&3 >/dev/null & head -c 200000 /dev/zero", stdin)
	hold.Close()
	if len(stdout) != 200000 {
		t.Errorf("%d bytes came out of 200000", len(stdout))
	}
}

func TestExecEnv(t *testing.T) {
	t.Setenv("SECRET", "x")
	root := t.TempDir()
	a, err := userInside(opened(t, root), "")
	if err != nil {
		t.Fatal(err)
	}
	env := execEnv(a, ExecOptions{Env: []string{"PATH=/x", "A=1", "A=2"}})
	want := []string{"HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "PATH=/x", "A=2"}
	if !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	if term := execEnv(a, ExecOptions{Terminal: true}); !slices.ContainsFunc(term, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		t.Errorf("on a terminal there is no TERM: %q", term)
	}
}

func TestUndoGoesBackwardsAndKeepsTheCause(t *testing.T) {
	var order []string
	run := func(cause error) error {
		var undo undo
		err := cause
		for _, s := range []string{"first", "second"} {
			undo.arm(func() error { order = append(order, s); return nil })
		}
		undo.onError(&err)
		return err
	}
	if err := run(nil); err != nil || len(order) != 0 {
		t.Fatalf("without an error: %v, %v", order, err)
	}
	if err := run(io.EOF); err != io.EOF || !slices.Equal(order, []string{"second", "first"}) {
		t.Fatalf("%v, %v", order, err)
	}
}
