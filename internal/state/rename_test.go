package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestRename(t *testing.T) {
	s, _ := newStore(t)
	v := makeVPS(t, s, "web")
	makeVPS(t, s, "db")
	l, to, other := lock(t, s, "web"), lock(t, s, "www"), lock(t, s, "db")
	wantKind(t, l.Rename(other), fail.Taken)
	v.RenamedFrom = "web"
	if err := l.Put(v); err != nil {
		t.Fatal(err)
	}
	if name, err := s.Renamed("web"); err != nil || name != "" {
		t.Errorf("it has its name still: %q, %v", name, err)
	}
	if err := l.Rename(to); err != nil {
		t.Fatal(err)
	}
	wantKind(t, l.Rename(to), fail.NotFound)
	if got := files(t, s); got != "vps/.web.renamed vps/db vps/www" { // the note, until ForgetRename
		t.Errorf("there are %s", got)
	}
	now, err := to.VPS()
	if err != nil || now.Name != "www" || now.IDs != v.IDs || now.UUID != v.UUID {
		t.Errorf("it is %+v, %v", now, err)
	}
	for name, want := range map[vps.Name]vps.Name{"web": "www", "www": "", "db": ""} {
		if got, err := s.Renamed(name); err != nil || got != want {
			t.Errorf("%s is %q now, %v", name, got, err)
		}
	}
}

// Who must see every VPS does, however often one changes its name meanwhile.
func TestRenamedIsNeverMissed(t *testing.T) {
	s, _ := newStore(t)
	v := makeVPS(t, s, "web")
	l, to := lock(t, s, "web"), lock(t, s, "www")
	v.Published = []vps.Publication{{Protocol: "tcp", Ports: "80", To: "80"}}
	if err := l.Put(v); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for range 300 {
			if err := errors.Join(l.Rename(to), to.Rename(l)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if all, err := s.AllConsistent(t.Context()); err != nil || len(all) != 1 || all[0].Err != nil {
			t.Errorf("seen are %+v, %v", all, err)
		}
		err := s.ClaimPorts(t.Context(), "other", func(others []vps.VPS) error {
			if len(others) != 1 {
				t.Errorf("ports have %+v", others)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The former name in a vps.json is part of paths, so a bad one is corrupt.
func TestFormerNameIsChecked(t *testing.T) {
	s, _ := newStore(t)
	v := makeVPS(t, s, "web")
	v.RenamedFrom = "../db"
	l := lock(t, s, "web")
	if err := l.Put(v); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get("web")
	wantKind(t, err, fail.State)
}

func TestMoveRun(t *testing.T) {
	s, _ := newStore(t)
	if err := s.MoveRun("web", "www"); err != nil {
		t.Errorf("nothing is known: %v", err)
	}
	if err := s.PutRun("web", Run{Schema: Schema, HostBoot: s.boot, Boot: 7}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.RunDir("www"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.RunDir("www"), "stale"), "") // of one that was destroyed
	for range 2 {
		if err := s.MoveRun("web", "www"); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Run("www"); err != nil || r.Boot != 7 {
			t.Errorf("known is %+v, %v", r, err)
		}
	}
	for _, path := range []string{s.RunDir("web"), filepath.Join(s.RunDir("www"), "stale")} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
