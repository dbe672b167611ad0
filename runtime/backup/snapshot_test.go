package backup

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// snapshotOfWeb is the document of a snapshot of web, which had another network then.
func snapshotOfWeb(name string) Document {
	v := web()
	v.Interfaces, v.Hostname, v.UUID = []vps.Interface{{Name: "eth0", Network: "old"}}, "web", "an old one"
	d := Of(v, nil, at)
	expires := at.Add(time.Hour)
	d.Snapshot, d.Running, d.Started = name, true, true
	d.Taken = &Taken{Created: at.Add(-time.Hour), Expires: &expires, Description: "before", PauseMilliseconds: 7}
	return d
}

func named(t *testing.T, d Document) Named {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return Named{Name: d.Snapshot, Document: b}
}

func TestSnapshots(t *testing.T) {
	c := Choice{Name: "db", Networks: map[string]string{"lan": "other"}}
	r, err := document().Restore(c)
	if err != nil {
		t.Fatal(err)
	}
	first := snapshotOfWeb("first")
	second := snapshotOfWeb("second")
	second.Started, second.Taken.Expires, second.VPS.Interfaces = false, nil, []vps.Interface{{Name: "eth0", Network: "lan"}}
	got, err := r.Snapshots([]Named{named(t, first), named(t, second)}, c)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	n := got[0]
	want := state.Snapshot{Name: "first", Created: first.Taken.Created, Expires: first.Taken.Expires, Description: "before", Running: true, PauseMilliseconds: 7, VPS: n.VPS}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("%+v", n)
	}
	if v := n.VPS; v.Name != "db" || v.Hostname != "db" || v.UUID != web().UUID || v.Interfaces[0].Network != "old" || v.Frozen != nil || v.Credentials != nil {
		t.Errorf("its settings are %+v", v)
	}
	if n := got[1]; !n.NeverStarted || n.Expires != nil || n.VPS.Interfaces[0].Network != "other" {
		t.Errorf("%+v", n)
	}
}

func TestDamagedSnapshots(t *testing.T) {
	r, err := document().Restore(Choice{})
	if err != nil {
		t.Fatal(err)
	}
	whole := named(t, snapshotOfWeb("first"))
	other, bad := snapshotOfWeb("first"), snapshotOfWeb("../first")
	other.VPS.Privileged, other.VPS.IDs = true, vps.IDRange{}
	for what, all := range map[string][]Named{
		"twice": {whole, whole}, "damaged": {{Name: "first", Document: []byte("[")}}, "damaged: they": {{Name: "second", Document: whole.Document}},
		"they are not": {named(t, other)}, "snapshot": {named(t, bad)}, "of the snapshot": {{Name: "first", Document: named(t, document()).Document}},
	} {
		if _, err := r.Snapshots(all, Choice{}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
