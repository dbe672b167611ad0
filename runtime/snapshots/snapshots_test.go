package snapshots

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
)

var at = time.Date(2026, 3, 1, 10, 12, 7, 0, time.UTC)

func web() vps.VPS {
	return vps.VPS{
		Name: "web", UUID: "u1", Created: at, Hostname: "web", Template: vps.Template{Name: "debian-12", Digest: "sha256:aa"},
		IDs: vps.IDRange{First: 700000, Size: 65536}, Limits: vps.Limits{Memory: 1 << 30}, Protected: true,
		Frozen:      []vps.Frozen{{ID: "b"}, {ID: "a"}},
		Interfaces:  []vps.Interface{{Name: "eth0", Network: "croft0", MAC: "02:00:00:00:00:07", Addresses: []netip.Addr{netip.MustParseAddr("10.90.0.2")}}},
		Published:   []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}},
		Credentials: []vps.Credential{{}}, RenamedFrom: "old", Reinstalled: true, Restored: vps.RestoredStarted, Detached: []vps.Interface{{Name: "eth1"}}, Runner: vps.Runner{PID: 7},
	}
}

func TestNameAt(t *testing.T) {
	if got := NameAt(at); got != "20260301-101207" || vps.CheckSnapshot(got) != nil {
		t.Errorf("it is %q", got)
	}
}

func TestExpired(t *testing.T) {
	all := []state.Snapshot{
		{Name: "never"}, {Name: "later", Expires: new(at.Add(time.Second))}, {Name: "now", Expires: new(at)},
		{Name: "broken", Expires: new(at), Err: errBroken{}},
	}
	if got := Expired(all, at); len(got) != 1 || got[0].Name != "now" || len(all) != 4 || all[2].Name != "now" {
		t.Errorf("expired: %+v", got)
	}
}

type errBroken struct{}

func (errBroken) Error() string { return "broken" }

// A restore changes the files and the template of a VPS, and nothing else.
func TestRestored(t *testing.T) {
	n := state.Snapshot{VPS: web()}
	n.VPS.Frozen, n.VPS.Template = []vps.Frozen{{ID: "a"}}, vps.Template{Name: "older"}
	n.VPS.Limits.Memory = 7
	want := web()
	want.Frozen, want.Template = n.VPS.Frozen, n.VPS.Template
	if got := Restored(web(), n); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// Its settings are those of the snapshot, but not what says which VPS it is.
func TestSettings(t *testing.T) {
	n := state.Snapshot{VPS: web()}
	n.VPS.Limits.Memory, n.VPS.Hostname, n.VPS.Protected = 7, "former", false
	n.VPS.Name, n.VPS.UUID, n.VPS.IDs, n.VPS.RenamedFrom = "former", "u0", vps.IDRange{First: 1, Size: 2}, ""
	n.VPS.Interfaces[0].Addresses, n.VPS.Frozen, n.VPS.Credentials = nil, nil, nil
	want := web()
	want.Limits.Memory, want.Hostname, want.Protected = 7, "former", false
	if got := Settings(web(), n); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A clone has the files and settings, and an identity of its own.
func TestCloned(t *testing.T) {
	later := at.Add(time.Hour)
	got, without := Cloned(web(), "db", "u2", later)
	want := vps.VPS{
		Name: "db", UUID: "u2", Created: later, Hostname: "db", Template: web().Template,
		IDs: vps.IDRange{Size: 65536}, Limits: web().Limits, Frozen: web().Frozen,
		Interfaces: []vps.Interface{{Name: "eth0", Network: "croft0"}},
	}
	want = want.Clone()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(without) != 2 {
		t.Errorf("it does not get %v", without)
	}
	other := web()
	other.Hostname = "www.example"
	if got, _ := Cloned(other, "db", "u2", later); got.Hostname != "www.example" {
		t.Errorf("its host name is %q", got.Hostname)
	}
}
