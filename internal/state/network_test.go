package state

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestNetworks(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	if data, err := s.Network("default"); err != nil || data != nil {
		t.Fatalf("absent: %q, %v", data, err)
	}
	update := func(old, table string, err error) error {
		return s.UpdateNetwork(ctx, "default", func(got []byte) ([]byte, error) {
			if string(got) != old || (got == nil) != (old == "") {
				t.Errorf("old table %q, want %q", got, old)
			}
			if table == "" {
				return nil, err
			}
			return []byte(table), err
		})
	}
	const one, two = `{"schema":1}`, `{"schema":1,"claims":[]}`
	if err := update("", "", nil); err != nil {
		t.Fatal(err)
	}
	if err := update("", one, nil); err != nil {
		t.Fatal(err)
	}
	if err := update(one, two, fail.New(fail.Taken, "no")); !fail.Is(err, fail.Taken) {
		t.Fatalf("got %v", err)
	}
	wantKind(t, update(one, `{"schema":`, nil), fail.Internal)
	if err := update(one, two, nil); err != nil {
		t.Fatal(err)
	}
	write(t, s.NetworkFile("dmz"), one)
	write(t, filepath.Join(s.Root, "networks", ".default.json.new"), "{")
	if names, err := s.Networks(); err != nil || strings.Join(names, " ") != "default dmz" {
		t.Errorf("Networks() = %v, %v", names, err)
	}
	for range 2 {
		if err := s.RemoveNetwork(ctx, "default", func([]byte) (bool, error) { return false, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := s.Network("default"); err != nil || data != nil {
		t.Errorf("removed: %q, %v", data, err)
	}
	wantKind(t, s.UpdateNetwork(ctx, "../x", nil), fail.Usage)
	wantKind(t, s.RemoveNetwork(ctx, "../x", nil), fail.Usage)
	_, err := s.Network("../x")
	wantKind(t, err, fail.Usage)
}

// Changes of one table by several at once are all in it afterwards.
func TestNetworkUpdatesDoNotGetLost(t *testing.T) {
	s, _ := newStore(t)
	const n = 40
	errs := make(chan error, n)
	for range n {
		go func() {
			errs <- s.UpdateNetwork(soon(t), "default", func(old []byte) ([]byte, error) {
				if old == nil {
					return []byte("[1]"), nil
				}
				return append(old[:len(old)-1:len(old)-1], ",1]"...), nil
			})
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	data, err := s.Network("default")
	if err != nil || strings.Count(string(data), "1") != n {
		t.Errorf("got %s, %v", data, err)
	}
}
