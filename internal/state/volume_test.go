package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestVolumes(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	if all, err := s.Volumes(ctx); err != nil || len(all) != 0 {
		t.Errorf("a new store has %v, %v", all, err)
	}
	if err := s.CreateVolume(ctx, "Bad.name"); !fail.Is(err, fail.Usage) {
		t.Errorf("a bad name: %v", err)
	}
	// What a killed create has left does not matter.
	if err := os.MkdirAll(filepath.Join(s.Root, "volumes", ".data.new", "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data", "cache"} {
		if err := s.CreateVolume(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CreateVolume(ctx, "data"); !fail.Is(err, fail.Taken) {
		t.Errorf("again: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(s.Root, "volumes")); err != nil || len(left) != 2 {
		t.Errorf("volumes/ has %v, %v", left, err)
	}
	if info, err := os.Stat(s.VolumeData("data")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	v, err := s.Volume(ctx, "data")
	if err != nil || v.Name != "data" || v.Created.IsZero() || v.Path != s.VolumeData("data") {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := s.Volume(ctx, "absent"); !fail.Is(err, fail.NotFound) {
		t.Errorf("an absent one: %v", err)
	}
	if err := s.RemoveVolume(ctx, "data"); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVolume(ctx, "data"); !fail.Is(err, fail.NotFound) {
		t.Errorf("again: %v", err)
	}
	if _, _, err := s.usedIDs(""); err != nil {
		t.Errorf("a volume in the trash: %v", err)
	}
	if err := s.EmptyTrash(ctx); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(s.TrashDir()); err != nil || len(left) > 0 {
		t.Errorf("the trash has %v, %v", left, err)
	}
}

// A volume that a VPS has is not removed, also while that is being created, and a
// volume that is not there is not used.
func TestVolumesInUse(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	if err := s.CreateVolume(ctx, "data"); err != nil {
		t.Fatal(err)
	}
	refused := func(who string) {
		t.Helper()
		if err := s.RemoveVolume(ctx, "data"); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), who) {
			t.Errorf("%s has it: %v", who, err)
		}
	}
	l := lock(t, s, "web")
	draft, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	v := vps.VPS{Template: vps.Template{Name: "t"}, Mounts: []vps.Mount{{Kind: vps.MountVolume, Source: "data", Target: "/srv"}}}
	saved := false
	if err := s.UseVolumes(ctx, []string{"data", "absent"}, func() error { saved = true; return nil }); !fail.Is(err, fail.State) || saved {
		t.Errorf("an absent one: %v, saved %v", err, saved)
	}
	if err := s.UseVolumes(ctx, []string{"data"}, func() error { return draft.Put(v) }); err != nil {
		t.Fatal(err)
	}
	refused("web")
	if err := draft.Commit(); err != nil {
		t.Fatal(err)
	}
	refused("web")
	if got, err := s.Volume(ctx, "data"); err != nil || !slices.Equal(got.UsedBy, []vps.Name{"web"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := os.WriteFile(s.VPSFile("web"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("web") // which may have it
	l.Unlock()
}

// A volume of a VPS that can be restored stays.
func TestVolumeOfAKeptVPS(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	if err := s.CreateVolume(ctx, "data"); err != nil {
		t.Fatal(err)
	}
	l := lock(t, s, "web")
	defer l.Unlock()
	draft, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	v := vps.VPS{Template: vps.Template{Name: "t"}, Mounts: []vps.Mount{{Kind: vps.MountVolume, Source: "data", Target: "/srv"}}}
	if err := errors.Join(draft.Put(v), draft.Commit(), l.Keep(time.Now().Add(time.Hour), Remains{})); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVolume(ctx, "data"); !fail.Is(err, fail.State) || fail.HintOf(err) != "croft trash list web" {
		t.Errorf("%v, hint %q", err, fail.HintOf(err))
	}
	kept, err := s.Kept()
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	held, err := s.HoldTrashed(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := errors.Join(held.GiveUp(), s.RemoveVolume(ctx, "data")); err != nil {
		t.Errorf("after the trash was emptied: %v", err)
	}
}
