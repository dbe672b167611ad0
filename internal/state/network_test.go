package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

func TestNetworks(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	if got, err := s.Network("default"); err != nil || got.Settings != nil || got.Claims != nil {
		t.Fatalf("absent: %+v, %v", got, err)
	}
	update := func(settings, claims string, c NetworkChange, err error) error {
		t.Helper()
		return s.UpdateNetwork(ctx, "default", func(got NetworkTable) (NetworkChange, error) {
			if string(got.Settings) != settings || (got.Settings == nil) != (settings == "") || string(got.Claims) != claims {
				t.Errorf("the table was %q and %q, want %q and %q", got.Settings, got.Claims, settings, claims)
			}
			return c, err
		})
	}
	one, two := []byte(`{"schema":1}`), []byte(`{"schema":2}`)
	if err := update("", "", NetworkChange{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := update("", "", NetworkChange{Settings: one, Claims: []byte("a\n")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := update(string(one), "a\n", NetworkChange{Settings: two, Append: []byte("b\n")}, fail.New(fail.Taken, "no")); !fail.Is(err, fail.Taken) {
		t.Fatalf("got %v", err)
	}
	wantKind(t, update(string(one), "a\n", NetworkChange{Settings: []byte(`{"schema":`), Claims: []byte("c\n")}, nil), fail.Internal)
	if err := update(string(one), "a\n", NetworkChange{Append: []byte("b\n")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := update(string(one), "a\nb\n", NetworkChange{Settings: two}, nil); err != nil {
		t.Fatal(err)
	}
	if err := update(string(two), "a\nb\n", NetworkChange{Claims: []byte("d\n")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := update(string(two), "d\n", NetworkChange{}, nil); err != nil {
		t.Fatal(err)
	}
	write(t, s.NetworkFile("dmz"), string(one))
	write(t, filepath.Join(s.Root, "networks", ".default.json.new"), "{")
	if names, err := s.Networks(); err != nil || strings.Join(names, " ") != "default dmz" {
		t.Errorf("Networks() = %v, %v", names, err)
	}
	for range 2 {
		if err := s.RemoveNetwork(ctx, "default", func(NetworkTable) (bool, error) { return false, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Network("default"); err != nil || got.Settings != nil {
		t.Errorf("removed: %+v, %v", got, err)
	}
	if exists(s.ClaimsFile("default")) {
		t.Error("its claims are still there")
	}
	wantKind(t, s.UpdateNetwork(ctx, "../x", nil), fail.Usage)
	wantKind(t, s.RemoveNetwork(ctx, "../x", nil), fail.Usage)
	_, err := s.Network("../x")
	wantKind(t, err, fail.Usage)
}

// Changes of one table by several at once are all in it afterwards. What is
// read meanwhile are both files of one network, though it is removed and made
// again all the time.
func TestNetworkUpdatesDoNotGetLost(t *testing.T) {
	s, _ := newStore(t)
	const n = 40
	create := func(s *Store, id string) error {
		return s.UpdateNetwork(soon(t), "default", func(NetworkTable) (NetworkChange, error) {
			return NetworkChange{Settings: []byte(`"` + id + `"`), Claims: []byte(id + "\n")}, nil
		})
	}
	if err := create(s, "0"); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, n)
	for range n {
		go func() {
			errs <- s.UpdateNetwork(soon(t), "default", func(old NetworkTable) (NetworkChange, error) {
				return NetworkChange{Append: []byte(strconv.Itoa(strings.Count(string(old.Claims), "\n")) + "\n")}, nil
			})
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	got, err := s.Network("default")
	lines := strings.Fields(string(got.Claims))
	if err != nil || len(lines) != n+1 {
		t.Errorf("got %q, %v", got.Claims, err)
	}
	for i, line := range lines {
		if line != strconv.Itoa(i) {
			t.Errorf("line %d is %s", i, line)
		}
	}
	done := make(chan error)
	go func() {
		for i := range 200 {
			err := s.RemoveNetwork(soon(t), "default", func(NetworkTable) (bool, error) { return false, nil })
			if err = errors.Join(err, create(s, strconv.Itoa(i))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got, err := s.Network("default")
		id, _, _ := strings.Cut(string(got.Claims), "\n")
		if err != nil || got.Settings != nil && `"`+id+`"` != string(got.Settings) {
			t.Fatalf("settings of %s, claims of %q, %v", got.Settings, id, err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// A change that does not fit on the disk is not there in part afterwards.
func TestAppendThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims")
	write(t, path, "one\n")
	// In a process of its own: the limit is for every file that a process writes.
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STATE_ROLE=append", "STATE_DIR="+path)
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(said), "true ") || !strings.Contains(string(said), "file too large") {
		t.Errorf("the append: %s, %v", said, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one\n" {
		t.Errorf("it holds %q, %v", got, err)
	}
}

// appendTooMuch appends more to the file than the process may write.
func appendTooMuch(path string) error {
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 6, Max: 6}); err != nil {
		return err
	}
	err := appendFile(path, []byte("two\n"))
	fmt.Println(fail.KindOf(err) == fail.Host, err)
	return nil
}
