package state

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// addLayer gives the VPS a frozen layer with a file, and returns its id.
func addLayer(t *testing.T, s *Store, name string) string {
	t.Helper()
	l := lock(t, s, name)
	defer l.Unlock()
	layer, err := s.BeginLayer()
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	v, err := l.VPS()
	if err == nil {
		err = os.Mkdir(layer.Tree, 0o755)
	}
	if err == nil {
		v.Frozen = append([]vps.Frozen{{ID: layer.ID, IDs: v.IDs}}, v.Frozen...)
		err = l.Put(v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return layer.ID
}

// putSnapshot makes a snapshot of the VPS as it is.
func putSnapshot(t *testing.T, s *Store, name, snapshot string) {
	t.Helper()
	l := lock(t, s, name)
	defer l.Unlock()
	v, err := l.VPS()
	if err == nil {
		err = l.PutSnapshot(Snapshot{Name: snapshot, Created: time.Now(), VPS: v})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// change changes the settings of the VPS.
func change(t *testing.T, s *Store, name string, do func(v *vps.VPS, l *Locked)) {
	t.Helper()
	l := lock(t, s, name)
	defer l.Unlock()
	v, err := l.VPS()
	if err != nil {
		t.Fatal(err)
	}
	do(&v, l)
	if err := l.Put(v); err != nil {
		t.Fatal(err)
	}
}

func wantLayers(t *testing.T, s *Store, when string, want ...string) {
	t.Helper()
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	got, err := readNames(s.frozenDir())
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(name string) bool { return name == "_unused" })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: layers %v, want %v", when, got, want)
	}
}

// A layer stays as long as a VPS, a snapshot, or one in the trash has it.
func TestLayersStayWhileUsed(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	low := addLayer(t, s, "web")
	putSnapshot(t, s, "web", "first")
	top := addLayer(t, s, "web")
	if err := s.MarkUnused(); err != nil {
		t.Fatal(err)
	}
	wantLayers(t, s, "all are used", low, top)

	change(t, s, "web", func(v *vps.VPS, l *Locked) { v.Frozen = nil })
	wantLayers(t, s, "without a mark nothing is looked for", low, top)
	if err := s.MarkUnused(); err != nil {
		t.Fatal(err)
	}
	wantLayers(t, s, "the snapshot has one", low)

	l := lock(t, s, "web")
	if err := l.Keep(time.Now().Add(time.Hour), Remains{Destroyed: time.Now()}); err != nil {
		t.Fatal(err)
	}
	l.Unlock()
	if err := s.MarkUnused(); err != nil {
		t.Fatal(err)
	}
	wantLayers(t, s, "it is in the trash", low)
	held, err := s.HoldTrashed(keptOnes(t, s)[0])
	if err == nil {
		err = held.GiveUp()
	}
	if err != nil {
		t.Fatal(err)
	}
	held.Close()
	wantLayers(t, s, "it is deleted")
}

func TestRemovedSnapshotFreesItsLayer(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	addLayer(t, s, "web")
	putSnapshot(t, s, "web", "first")
	change(t, s, "web", func(v *vps.VPS, l *Locked) { v.Frozen = nil })
	l := lock(t, s, "web")
	for range 2 {
		if err := l.RemoveSnapshot("first"); err != nil {
			t.Fatal(err)
		}
	}
	l.Unlock()
	wantLayers(t, s, "its only user is removed")
	_, err := s.Snapshot("web", "first")
	wantKind(t, err, fail.NotFound)
	_, err = s.Snapshot("web", "../x")
	wantKind(t, err, fail.Usage)
}

// A layer that is being filled is no rubbish, though nothing uses it yet.
func TestLayerBeingFilled(t *testing.T) {
	s, _ := newStore(t)
	layer, err := s.BeginLayer()
	if err == nil {
		err = s.MarkUnused()
	}
	if err != nil {
		t.Fatal(err)
	}
	wantLayers(t, s, "while it is filled", layer.ID)
	layer.Close()
	layer.Close()
	if err := s.MarkUnused(); err != nil {
		t.Fatal(err)
	}
	wantLayers(t, s, "its creator has ended")
}

// Who cannot be read may use any layer.
func TestNothingIsRemovedWithoutKnowing(t *testing.T) {
	s, _ := newStore(t)
	for _, name := range []string{"web", "db"} {
		makeVPS(t, s, name)
	}
	id := addLayer(t, s, "web")
	change(t, s, "web", func(v *vps.VPS, l *Locked) { v.Frozen = nil })
	err := errors.Join(s.MarkUnused(), os.WriteFile(s.VPSFile("db"), []byte("{"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantKind(t, s.EmptyTrash(context.Background()), fail.State)
		if !exists(s.FrozenTree(id)) {
			t.Fatal("it is removed")
		}
	}
}

// Layers that a reader holds stay, although they lose their last user, and are removed
// after that. Several can read them, and no command can change them meanwhile.
func TestHeldLayersStay(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	layer := addLayer(t, s, "web")
	layers := []vps.Frozen{{ID: layer}}
	one, err := s.HoldLayers(t.Context(), layers)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.HoldLayers(t.Context(), layers)
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := s.TryLayers("", layer); got || err != nil {
		t.Errorf("of a layer that is read: %v, %v", got, err)
	}
	if err := s.MarkUnused(); err != nil {
		t.Fatal(err)
	}
	change(t, s, "web", func(v *vps.VPS, _ *Locked) { v.Frozen = nil })
	wantLayers(t, s, "while two read it", layer)
	one()
	wantLayers(t, s, "while one reads it", layer)
	two()
	release, got, err := s.TryLayers("", layer)
	if !got || err != nil {
		t.Fatalf("of a layer that no one reads: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.HoldLayers(ctx, layers); !errors.Is(err, context.Canceled) {
		t.Errorf("while it is changed: %v", err)
	}
	release()
	wantLayers(t, s, "after all")
	if _, err := s.HoldLayers(t.Context(), layers); err == nil {
		t.Error("a missing layer is held")
	}
}

// Snapshots are in the order of their times, and those of one second in that of their names.
func TestOrderOfSnapshots(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	v, err := l.VPS()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, n := range []Snapshot{{Name: "c", Created: now}, {Name: "b", Created: now}, {Name: "a", Created: now}, {Name: "z", Created: now.Add(-time.Second)}} {
		n.VPS = v
		if err := l.PutSnapshot(n); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Snapshots("web")
	if err != nil || len(all) != 4 || all[0].Name+all[1].Name+all[2].Name+all[3].Name != "zabc" {
		t.Errorf("%v, %v", all, err)
	}
}
