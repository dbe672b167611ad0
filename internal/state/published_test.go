package state

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// A draft's claim counts while its maker is at work, and not when it is gone;
// a VPS's counts whatever else is in the directory.
func TestClaimPortsSeesDrafts(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	others := func(name string) (names []string) {
		t.Helper()
		err := s.ClaimPorts(ctx, name, func(others []VPS) error {
			for _, o := range others {
				names = append(names, o.Name+" "+o.Published[0].Ports)
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
	v := VPS{Template: Template{Name: "t"}, Published: []Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}}
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
