package state

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// keep destroys web so that it is kept for the given time.
func keep(t *testing.T, s *Store, d time.Duration) {
	t.Helper()
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	defer l.Unlock()
	if err := l.Keep(time.Now().Add(d), Remains{Destroyed: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func keptOnes(t *testing.T, s *Store) []Trashed {
	t.Helper()
	all, err := s.Kept()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func empty(t *testing.T, s *Store) {
	t.Helper()
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestKeep(t *testing.T) {
	s, _ := newStore(t)
	keep(t, s, time.Hour)
	keep(t, s, 2*time.Hour)
	keep(t, s, -time.Hour) // a clock that was set
	empty(t, s)
	all := keptOnes(t, s)
	if len(all) != 2 || all[0].Expires.Before(all[1].Expires) || all[0].Err != nil || all[0].Name != "web" || all[0].ID == all[1].ID {
		t.Fatalf("%+v", all)
	}
	if left, _ := readNames(s.TrashDir()); len(left) != 2 {
		t.Errorf("what is expired is left: %v", left)
	}
	held, err := s.HoldTrashed(all[0])
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.HoldTrashed(all[0])
	wantKind(t, err, fail.Busy)
	if err := held.GiveUp(); err != nil {
		t.Fatal(err)
	}
	empty(t, s)
	if left, _ := readNames(s.TrashDir()); len(left) != 2 {
		t.Errorf("what another command holds is deleted: %v", left)
	}
	held.Close()
	held.Close()
	empty(t, s)
	_, err = s.HoldTrashed(all[0])
	wantKind(t, err, fail.NotFound)
	if all = keptOnes(t, s); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestRestore(t *testing.T) {
	s, _ := newStore(t)
	keep(t, s, time.Hour)
	one := keptOnes(t, s)[0]
	held, err := s.HoldTrashed(one)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	settle := func([]vps.VPS) (vps.VPS, error) {
		v := one.VPS
		v.Hostname = "other"
		return v, nil
	}
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	defer l.Unlock()
	wantKind(t, l.Restore(held, settle), fail.Taken)
	if now := keptOnes(t, s); len(now) != 1 || now[0].VPS.Hostname != one.VPS.Hostname {
		t.Errorf("a restore that is refused changes %+v", now)
	}
	to := lock(t, s, "db")
	defer to.Unlock()
	if err := os.WriteFile(filepath.Join(one.Dir, "running"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := to.Restore(held, settle); err != nil {
		t.Fatal(err)
	}
	v, err := to.VPS()
	if err != nil || v.Hostname != "other" || v.Name != "db" {
		t.Errorf("%+v, %v", v, err)
	}
	if should, err := s.ShouldRun("db"); should || err != nil {
		t.Errorf("it should run: %v", err)
	}
	if len(keptOnes(t, s)) > 0 || exists(filepath.Join(s.VPSDir("db"), trashFileName)) {
		t.Error("it is in the trash, or says so")
	}
}

// Names of other things in the trash are not those of kept VPSs.
func TestParseKept(t *testing.T) {
	for _, name := range []string{"web.0123456789ab", "web.until-.0123", "web.until-12.", ".web.until-12.01", "Web.until-12.01", "web.until-12.01.02", "web", "web.until-x.01"} {
		if got, ok := parseKept(name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got, ok := parseKept("web.until-12.0a")
	if !ok || got.Name != "web" || got.ID != "0a" || got.Expires.Unix() != 12 {
		t.Errorf("%+v, %v", got, ok)
	}
}

// One whose files are damaged is not hidden, and not restored.
func TestKeptButBroken(t *testing.T) {
	s, _ := newStore(t)
	keep(t, s, time.Hour)
	one := keptOnes(t, s)[0]
	write(t, filepath.Join(one.Dir, trashFileName), "{")
	if all := keptOnes(t, s); len(all) != 1 || !fail.Is(all[0].Err, fail.State) {
		t.Errorf("%+v", all)
	}
}
