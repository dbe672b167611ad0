package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"croft/internal/vps"
)

// A draft's claim counts while its maker is at work, and not when it is gone;
// a VPS's counts whatever else is in the directory.
func TestClaimPortsSeesDrafts(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	others := func(name vps.Name) (names []string) {
		t.Helper()
		err := s.ClaimPorts(ctx, name, func(others []vps.VPS) error {
			for _, o := range others {
				names = append(names, string(o.Name)+" "+o.Published[0].Ports)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	l := lock(t, s, "web")
	draft, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	v := vps.VPS{Template: vps.Template{Name: "t"}, Published: []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}}
	if err := draft.Put(v); err != nil {
		t.Fatal(err)
	}
	if got := others("db"); len(got) != 1 || got[0] != "web 8080" {
		t.Errorf("while it is made: %v", got)
	}
	dir := draft.Dir
	if err := os.CopyFS(filepath.Join(filepath.Dir(dir), ".dead.0123"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if got := others("db"); len(got) != 1 {
		t.Errorf("with a dead draft: %v", got)
	}
	if err := draft.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := others("db"); len(got) != 1 || got[0] != "web 8080" {
		t.Errorf("when it is made: %v", got)
	}
	if got := others("web"); len(got) != 0 {
		t.Errorf("its own: %v", got)
	}
}

// Who claims ports sees those of a VPS that comes into being meanwhile, as a
// draft or as itself: 60 of them, one after the other.
func TestPortsOfADraftAreNeverMissed(t *testing.T) {
	s, _ := newStore(t)
	var drafted atomic.Int64 // how many have published, so far
	done := make(chan error)
	go func() {
		for i := range 60 {
			l := lock(t, s, fmt.Sprintf("v%d", i))
			d, err := l.Begin()
			if err == nil {
				port := fmt.Sprint(1000 + i)
				err = d.Put(vps.VPS{Schema: Schema, Published: []vps.Publication{{Protocol: "tcp", Ports: port, To: port}}})
			}
			drafted.Add(1)
			if err == nil {
				err = d.Commit()
			}
			l.Unlock()
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		least := drafted.Load()
		err := s.ClaimPorts(t.Context(), "other", func(others []vps.VPS) error {
			if int64(len(others)) < least {
				t.Errorf("%d of %d are seen", len(others), least)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		case <-time.After(2 * time.Millisecond): // or nobody else gets the lock
		}
	}
}
