package runtime

import (
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// The next command removes a VPS whose creator was killed before it was complete, also if
// the edits have protected it. One whose creator lives is left as it is.
func TestIncompleteIsRemoved(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	me, err := m.thisRunner()
	if err != nil {
		t.Fatal(err)
	}
	dead := me
	dead.HostBoot = "another"
	for name, creator := range map[vps.Name]vps.Runner{"web": me, "db": dead} {
		if _, err := m.Create(background, name, CreateOptions{Template: "t", Protected: true}); err != nil {
			t.Fatal(err)
		}
		l, err := m.lock(background, name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := l.VPS()
		if v.Creator = creator; err == nil {
			err = l.Put(v)
		}
		if err == nil {
			err = l.ListEphemeral()
		}
		l.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := m.List(background)
	if err != nil || len(all) != 1 || all[0].Name != "web" {
		t.Errorf("there are %+v, %v", all, err)
	}
	onlyOwner(t, m, "web")
	if left, err := m.store.Ephemerals(); err != nil || len(left) != 1 {
		t.Errorf("the list has %v, %v", left, err)
	}
}

// A clone and an import whose edits are refused leave nothing, also if the edits have
// protected the VPS.
func TestRefusedEditsLeaveNothing(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	for _, do := range []func(*faulty) error{createWeb, exportWeb} {
		if err := do(f); err != nil {
			t.Fatal(err)
		}
	}
	edits := []vps.Edit{vps.SetProtected{Protected: true}, vps.RemoveAddress{}}
	_, err := f.m.Clone(background, "db", CloneOptions{From: "web", Edits: edits})
	if err == nil || fail.Is(err, fail.Internal) {
		t.Errorf("clone: %v", err)
	}
	onlyOwner(t, f.m, "web")
	if names, err := f.m.Names(); err != nil || len(names) != 1 {
		t.Errorf("there are %v, %v", names, err)
	}
}
