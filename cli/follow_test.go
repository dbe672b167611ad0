package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A command that follows something ends when its reader is gone, although there
// is nothing more to write.
func TestFollowersEndWithTheirReader(t *testing.T) {
	for _, args := range [][]string{
		{"logs", "-f", "never"},
		{"logs", "-f", "--monitor", "never"},
		{"stats", "--watch", "--interval", "24h"},
		{"events", "-f", "--filter", "uuid=none"},
	} {
		calls := filepath.Join(t.TempDir(), "calls")
		cmd := exec.Command("croft", args...)
		cmd.Env = append(os.Environ(), "FAKE_CALLS="+calls)
		var said bytes.Buffer
		cmd.Stderr = &said
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = write
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		write.Close()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		waitFor(t, calls, map[string]string{"logs": "Logs never", "stats": `"Look":1`, "events": "Events"}[args[0]])
		read.Close()
		select {
		case err = <-ended:
		case <-time.After(2 * time.Minute):
			_ = cmd.Process.Kill()
			t.Fatalf("%v goes on without a reader", args)
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 141 || said.Len() != 0 {
			t.Errorf("%v: %v, and not status 141; it said %s", args, err, &said)
		}
	}
}
