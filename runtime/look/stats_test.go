package look

import (
	"os"
	"testing"
	"time"

	"croft/internal/proc"
	"croft/internal/vps"
)

func TestStatsSince(t *testing.T) {
	look := func(second int, used uint64) Stats {
		return Stats{Name: "web", Time: time.Unix(int64(second), 0), CPU: CPUStats{Used: used}}
	}
	if got := look(12, 4e9).Since(look(10, 1e9)).CPU.Percent; got == nil || *got != 150 {
		t.Errorf("3 s of CPU time in 2 s: %v", got)
	}
	other := look(10, 1e9)
	other.Name = "db"
	gone := look(10, 1e9)
	gone.Err = os.ErrNotExist
	for what, was := range map[string]Stats{
		"no look before": {}, "another's": other, "before a reboot": look(10, 5e9), "the same instant": look(12, 1e9), "a failed one": gone,
	} {
		if got := look(12, 4e9).Since(was).CPU.Percent; got != nil {
			t.Errorf("%s: %v", what, *got)
		}
	}
}

func TestParseProcess(t *testing.T) {
	p := processInfo(77, proc.Stat{Command: "a b) (c", State: 'S', Parent: 1, CPU: 2 * time.Second, Threads: 3, Resident: 256}, 4096)
	v := vps.VPS{IDs: vps.IDRange{First: 100000, Size: 65536}}
	p.parseStatus("Name:\tx\nUid:\t100000\t100033\t100033\t100033\nNSpid:\t77\t9\t2\n", v)
	want := ProcessInfo{PID: 9, HostPID: 77, Parent: 1, User: 33, State: "S", Threads: 3, CPU: 2e9, Memory: 1 << 20, Command: "[a b) (c]"}
	if p != want {
		t.Errorf("%+v, want %+v", p, want)
	}
	stranger := ProcessInfo{User: -1}
	stranger.parseStatus("Uid:\t0\t0\t0\t0\nNSpid:\t78\n", v)
	if stranger.User != -1 || stranger.PID != 0 {
		t.Errorf("one of the host's: %+v", stranger)
	}
	v.Privileged = true
	stranger.parseStatus("Uid:\t0\t0\t0\t0\n", v)
	if stranger.User != 0 {
		t.Errorf("one of a privileged VPS's: %+v", stranger)
	}
}
