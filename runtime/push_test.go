package runtime

import (
	"os"
	"path/filepath"
	"testing"

	"croft/runtime/paths"
)

// Layers that were pushed stay, so that the next push does not send them again, until there
// are many. A layer that is merged is not the one that was pushed any more.
func TestPushedLayersStay(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	do := func(all ...func(*faulty) error) {
		t.Helper()
		for _, do := range all {
			if err := do(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	layers := func() (ids []string, pushed int) {
		t.Helper()
		v, err := f.m.store.Get("web")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range v.Frozen {
			ids = append(ids, l.ID)
			if paths.Exists(f.m.store.PackedFile(l.ID)) {
				pushed++
			}
		}
		return ids, pushed
	}
	do(createWeb, writeFile, pushWeb)
	one, _ := layers()
	do(writeFile, snapshotWeb("one"), deleteOne, pushWeb)
	if two, pushed := layers(); len(two) != 2 || pushed != 2 || two[1] != one[0] {
		t.Errorf("after the second push it has %q, %d of them pushed, and had %q", two, pushed, one)
	}
	for range 20 {
		do(writeFile, pushWeb)
	}
	many, pushed := layers()
	if len(many) > 17 || len(many) < 10 || pushed != len(many) {
		t.Errorf("after 22 pushes it has %d layers, %d of them pushed", len(many), pushed)
	}
	do(writeFile, snapshotWeb("one"), deleteOne)
	if now, pushed := layers(); len(now) > 17 || pushed > len(now) || pushed == 0 {
		t.Errorf("it has %d layers, %d of them pushed", len(now), pushed)
	}

	// A merge forgets both layers before it changes one.
	v, err := f.m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	upper, lower := v.Frozen[0].ID, v.Frozen[1].ID
	for _, id := range []string{upper, lower} {
		if err := os.WriteFile(f.m.store.PackedFile(id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.m.store.ForgetPacked(upper, lower, "missing"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{upper, lower} {
		left, err := os.ReadDir(filepath.Dir(f.m.store.PackedFile(id)))
		if err != nil || len(left) != 1 || left[0].Name() != "tree" {
			t.Errorf("layer %s has %v, %v", id, left, err)
		}
	}
}

func deleteOne(f *faulty) error { return f.m.DeleteSnapshot(background, "web", "one") }
