package streams

import (
	"bytes"
	"os"
	"os/exec"
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
	p, err := NewPipes(stdin, files[1], files[2])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.inside[0], p.inside[1], p.inside[2]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Start()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := p.Finish(); err != nil {
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

// A process that writes without end keeps Finish waiting until Cut.
func TestCut(t *testing.T) {
	p, err := NewPipes(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cmd := exec.Command("yes")
	cmd.Stdout, cmd.Stderr = p.Inside()[1], p.Inside()[2]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.Start()
	finished := make(chan error, 1)
	go func() { finished <- p.Finish() }()
	p.Cut()
	if err := <-finished; err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // its next write ends it
}
