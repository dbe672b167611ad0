package state

import (
	"os"
	"testing"

	"croft/internal/fail"
)

func TestMarkOfWhatShouldRun(t *testing.T) {
	s, _ := newStore(t)
	if err := s.MarkRunning("web"); !fail.Is(err, fail.NotFound) {
		t.Errorf("a VPS that does not exist is marked: %v", err)
	}
	if err := s.UnmarkRunning("web"); err != nil {
		t.Errorf("unmark a VPS that does not exist: %v", err)
	}
	if err := os.Mkdir(s.VPSDir("web"), 0o700); err != nil {
		t.Fatal(err)
	}
	is := func(want bool) {
		t.Helper()
		// Another process, after a reboot of the host.
		other := &Store{Root: s.Root, RunRoot: t.TempDir()}
		if got, err := other.ShouldRun("web"); got != want || err != nil {
			t.Errorf("it should run: %v, %v", got, err)
		}
	}
	is(false)
	for range 2 {
		if err := s.MarkRunning("web"); err != nil {
			t.Fatal(err)
		}
		is(true)
	}
	for range 2 {
		if err := s.UnmarkRunning("web"); err != nil {
			t.Fatal(err)
		}
		is(false)
	}
}
