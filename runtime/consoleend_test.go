package runtime

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"croft/runtime/observe"
)

// A monitor that is killed closes its connections before it has ended: it is not one
// that refuses another client.
func TestMonitorThatIsEnding(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	cmd := exec.Command("sleep", "86400")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ending, err := observe.ProcessOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	m.sleep = func(time.Duration) {
		cmd.Process.Kill()
		cmd.Wait()
	}
	if m.staysAlive(t.Context(), ending) {
		t.Error("a process that ends counts as one that stays")
	}
	self, err := observe.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !m.staysAlive(t.Context(), self) {
		t.Error("a process that stays counts as one that ends")
	}
}
