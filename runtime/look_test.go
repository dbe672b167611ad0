package runtime

import (
	"context"
	"reflect"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

// Stats returns the usage of all running VPSs, or of the named ones. A stopped VPS has
// none.
func TestStats(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	for _, name := range []string{"db", "web"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := m.Stats(ctx, nil, StatsOptions{}); err != nil || all == nil || len(all) != 0 {
		t.Errorf("nothing runs: %v, %v", all, err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	all, err := m.Stats(ctx, nil, StatsOptions{})
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
	all, err = m.Stats(ctx, []vps.Name{"web", "db", "none"}, StatsOptions{OpenFiles: true, Disk: true})
	if err != nil || len(all) != 3 {
		t.Fatalf("of three names: %+v, %v", all, err)
	}
	if all[0].Err != nil || !fail.Is(all[1].Err, fail.State) || !fail.Is(all[2].Err, fail.NotFound) {
		t.Errorf("of three names: %v, %v, %v", all[0].Err, all[1].Err, all[2].Err)
	}
}
