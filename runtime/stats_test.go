package runtime

import (
	"context"
	"os"
	"reflect"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/proc"
	"croft/internal/vps"
	"croft/network"
)

// All that run are looked at, or those that are named; of those that do not
// run there is nothing to tell.
func TestStats(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	for _, name := range []string{"db", "web"} {
		if _, err := m.Create(ctx, name, CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := m.Stats(ctx, nil); err != nil || all == nil || len(all) != 0 {
		t.Errorf("nothing runs: %v, %v", all, err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	all, err := m.Stats(ctx, nil)
	if err != nil || len(all) != 1 || all[0].Name != "web" || all[0].Err != nil {
		t.Fatalf("web runs: %+v, %v", all, err)
	}
	web := all[0]
	if web.CPU.Used != 5 || web.Memory.Used != 1<<20 || web.PIDs.Current != 3 || web.IO.ReadBytes != 7 || !web.IO.Counted || web.Time.IsZero() {
		t.Errorf("its cgroups say otherwise: %+v", web)
	}
	want := []InterfaceStats{{Name: "eth0", Network: network.DefaultName, ReceivedBytes: 10, SentBytes: 20, Dropped: map[string]uint64{"mac": 2}}}
	if !reflect.DeepEqual(web.Interfaces, want) {
		t.Errorf("its interfaces: %+v", web.Interfaces)
	}
	all, err = m.Stats(ctx, []string{"web", "db", "none"})
	if err != nil || len(all) != 3 {
		t.Fatalf("of three names: %+v, %v", all, err)
	}
	if all[0].Err != nil || !fail.Is(all[1].Err, fail.State) || !fail.Is(all[2].Err, fail.NotFound) {
		t.Errorf("of three names: %v, %v, %v", all[0].Err, all[1].Err, all[2].Err)
	}
}

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
