package state

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// The ids of a VPS grow into free ones only, and the index of ids follows.
func TestResizeIDs(t *testing.T) {
	s, _ := newStore(t)
	s.subIDFiles = nil
	ctx := context.Background()
	create := func(name vps.Name) vps.VPS {
		t.Helper()
		l := lock(t, s, string(name))
		defer l.Unlock()
		d, err := l.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Abort()
		v := vps.VPS{Schema: Schema, Name: name, Hostname: string(name)}
		if err := d.AllocateIDs(ctx, &v, IDUnit); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		return v
	}
	resize := func(v vps.VPS, units uint32) error {
		l := lock(t, s, string(v.Name))
		defer l.Unlock()
		was := v.IDs
		v.IDs.Size = units * IDUnit
		return s.ResizeIDs(ctx, v.Name, was, v.IDs, func() error { return l.Put(v) })
	}
	a, b := create("a"), create("b")
	wantKind(t, resize(a, 2), fail.Taken)
	wantKind(t, resize(b, 32768), fail.Taken)
	if err := resize(b, 3); err != nil {
		t.Fatal(err)
	}
	if index := s.readIDIndex(); len(index) != 2 {
		t.Errorf("the index has %v", index)
	}
	if c := create("c"); c.IDs.First != b.IDs.First+3*IDUnit {
		t.Errorf("the next VPS has %+v beside %+v with 3 units", c.IDs, b.IDs)
	}
	s.userRuns = func(uint32) bool { return true }
	b.IDs.Size = 3 * IDUnit
	if err := resize(b, 1); err != nil {
		t.Fatal(err)
	}
	b.IDs.Size = IDUnit
	wantKind(t, resize(b, 2), fail.Taken) // a process has them
	s.userRuns = func(uint32) bool { return false }
	if d := create("d"); d.IDs.First != b.IDs.First+IDUnit {
		t.Errorf("the ids that b lost are not free: %+v", d.IDs)
	}
}
