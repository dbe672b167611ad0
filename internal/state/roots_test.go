package state

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// sharing are two roots of one host.
func sharing(t *testing.T) (a, b *Store, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "roots")
	a, _ = newStore(t)
	b, _ = newStore(t)
	for _, s := range []*Store{a, b} {
		if err := s.Share(dir); err != nil {
			t.Fatal(err)
		}
	}
	return a, b, dir
}

// addVPS makes a VPS with ids of its own.
func addVPS(t *testing.T, s *Store, name string) vps.IDRange {
	t.Helper()
	l := lock(t, s, name)
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var v vps.VPS
	if err := d.AllocateIDs(context.Background(), &v, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	return v.IDs
}

// Roots of one host give away different ids, also for what is in the trash,
// and know a root that is gone for gone.
func TestRootsShareNoIDs(t *testing.T) {
	a, b, dir := sharing(t)
	var all []vps.IDRange
	for i, s := range []*Store{a, b, a, b} {
		ids := addVPS(t, s, "web"+string(rune('a'+i)))
		for _, o := range all {
			if ids.Overlaps(o) {
				t.Errorf("%+v and %+v", ids, o)
			}
		}
		all = append(all, ids)
	}
	forgetIndex(t, a)
	c, _ := newStore(t)
	if err := c.Share(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.VPSFile("weba"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := lock(t, c, "db")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var v vps.VPS
	wantKind(t, d.AllocateIDs(context.Background(), &v, 0), fail.State) // weba may have any
	if err := os.RemoveAll(a.Root); err != nil {
		t.Fatal(err)
	}
	if err := d.AllocateIDs(context.Background(), &v, 0); err != nil {
		t.Fatal(err)
	}
	if v.IDs != all[0] {
		t.Errorf("%+v, though %+v went with its root", v.IDs, all[0])
	}
	names, err := readNames(dir)
	if err != nil || len(names) != 3 { // two roots and the lock
		t.Errorf("the register has %v, %v", names, err)
	}
}

// A name is given by one root, and a VPS does not start beside one that runs
// with the same ids.
func TestRootsAreApart(t *testing.T) {
	a, b, dir := sharing(t)
	ctx := context.Background()
	ids := addVPS(t, a, "web")
	if err := a.Apart(ctx, "web", ids); err != nil {
		t.Errorf("its own: %v", err)
	}
	err := b.Apart(ctx, "web", vps.IDRange{})
	wantKind(t, err, fail.Taken)
	if err == nil || !strings.Contains(err.Error(), a.Root) {
		t.Errorf("it does not name the root: %v", err)
	}
	if err := b.Apart(ctx, "db", ids); err != nil {
		t.Errorf("web does not run: %v", err)
	}
	l := lock(t, a, "web")
	life, err := l.Life()
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Apart(ctx, "db", ids), fail.Taken)
	life.Close()

	link := filepath.Join(t.TempDir(), "link") // one directory by two names
	if err := os.Symlink(a.Root, link); err != nil {
		t.Fatal(err)
	}
	again, err := Open(link, a.RunRoot)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Share(dir); err != nil {
		t.Fatal(err)
	}
	if err := again.Apart(ctx, "web", ids); err != nil {
		t.Errorf("by another name: %v", err)
	}
}
