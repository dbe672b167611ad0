package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
)

func TestLockExcludes(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	if l.Name() != "web" {
		t.Errorf("Name() = %q", l.Name())
	}
	_, err := s.Lock(context.Background(), "web", "croft stop web", 0)
	wantKind(t, err, fail.Busy)
	if want := regexp.MustCompile(`^web is busy: croft test web \(pid \d+\) holds it$`); !want.MatchString(err.Error()) {
		t.Errorf("got %q", err)
	}
	lock(t, s, "db") // another name is another lock
	l.Unlock()
	l.Unlock() // twice is harmless
	lock(t, s, "web")
}

func TestLockWaits(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	got := make(chan error, 1)
	go func() {
		l2, err := s.Lock(context.Background(), "web", "croft stop web", time.Minute)
		if err == nil {
			l2.Unlock()
		}
		got <- err
	}()
	l.Unlock()
	select {
	case err := <-got:
		if err != nil {
			t.Fatal(err)
		}
	case <-soon(t).Done():
		t.Fatal("a free lock was not got")
	}
}

func TestLockWaitEnds(t *testing.T) {
	s, _ := newStore(t)
	lock(t, s, "web")
	start := time.Now()
	_, err := s.Lock(context.Background(), "web", "x", 30*time.Millisecond)
	wantKind(t, err, fail.Busy)
	if d := time.Since(start); d < 30*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Lock(ctx, "web", "x", time.Hour)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestLockOfKilledProcess(t *testing.T) {
	s, dir := newStore(t)
	p := startSecond(t, "op", dir)
	_, err := s.Lock(context.Background(), "web", "x", 0)
	wantKind(t, err, fail.Busy)
	if !strings.Contains(err.Error(), "croft start web (pid ") {
		t.Errorf("does not say who: %q", err)
	}
	p.kill()
	lock(t, s, "web")
	if _, err := os.Stat(s.LockFile("web")); err != nil {
		t.Errorf("the lock file must stay: %v", err)
	}
}

func TestBusyWithoutSignature(t *testing.T) {
	s, _ := newStore(t)
	for _, text := range []string{"", "\n", "nonsense", "x y\n", "\xff\xff \xfe"} {
		l := lock(t, s, "web")
		if err := os.WriteFile(s.LockFile("web"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Lock(context.Background(), "web", "x", 0)
		wantKind(t, err, fail.Busy)
		if want := "web is busy: another command holds it"; err.Error() != want {
			t.Errorf("with %q: got %q, want %q", text, err, want)
		}
		l.Unlock()
	}
}

func TestForgottenUnlockPanics(t *testing.T) {
	_, dir := newStore(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "STATE_ROLE=forget", "STATE_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("panic: state: web was locked, forgotten")) {
		t.Errorf("got %v:\n%s", err, out)
	}
}

func wantLife(t *testing.T, s *Store, want bool) {
	t.Helper()
	got, err := s.LifeHeld("web")
	if err != nil || got != want {
		t.Fatalf("LifeHeld = %v, %v; want %v", got, err, want)
	}
}

func TestLife(t *testing.T) {
	s, _ := newStore(t)
	wantLife(t, s, false)
	l := lock(t, s, "web")
	life, err := l.Life()
	if err != nil {
		t.Fatal(err)
	}
	wantLife(t, s, true)
	_, err = l.Life()
	wantKind(t, err, fail.State)
	life.Close()
	wantLife(t, s, false)
}

// A monitor that starts must not be told that it runs because somebody looks.
func TestLookingDisturbsNobody(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = s.LifeHeld("web")
			}
		}
	}()
	for range 2000 {
		life, err := l.Life()
		if err != nil {
			t.Error(err)
			break
		}
		life.Close()
	}
	close(stop)
	<-done
}

func TestLifeOfKilledProcess(t *testing.T) {
	s, dir := newStore(t)
	p := startSecond(t, "life", dir)
	wantLife(t, s, true)
	p.kill()
	wantLife(t, s, false)
}

// start ends; the monitor that it gave the lock lives on with it.
func TestLifeIsInherited(t *testing.T) {
	s, dir := newStore(t)
	p := startSecond(t, "bequest", dir)
	if err := p.cmd.Wait(); err != nil { // from here the one that took it is gone
		t.Fatal(err)
	}
	wantLife(t, s, true)
	l := lock(t, s, "web")
	_, err := l.Life()
	wantKind(t, err, fail.State)
	p.in.Close() // lets the heir go
	life, err := l.WaitLife(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	life.Close()
}

func TestWaitLifeIsBounded(t *testing.T) {
	s, dir := newStore(t)
	startSecond(t, "bequest", dir)
	l := lock(t, s, "web")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.WaitLife(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	wantLife(t, s, true)
}
