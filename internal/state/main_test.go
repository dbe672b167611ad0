package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// The test binary is also the second process of the tests: with STATE_ROLE set
// it plays that role on the store in STATE_DIR instead of testing.
func TestMain(m *testing.M) {
	switch role := os.Getenv("STATE_ROLE"); role {
	case "":
		os.Exit(runInOrder(m))
	case "heir": // has inherited a lock, and takes none
		fmt.Println("ready")
		_, _ = io.ReadAll(os.Stdin)
	case "append":
		if err := appendTooMuch(os.Getenv("STATE_DIR")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	default:
		if err := play(role, os.Getenv("STATE_DIR")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
}

// runInOrder runs the tests, and fails if any took locks against their order.
func runInOrder(m *testing.M) int {
	var wrong atomic.Int32
	flock.Watch(func(line string) {
		fmt.Fprintln(os.Stderr, line)
		wrong.Add(1)
	})
	if status := m.Run(); status != 0 || wrong.Load() == 0 {
		return status
	}
	return 1
}

func play(role, dir string) error {
	s, err := Open(filepath.Join(dir, "root"), filepath.Join(dir, "run"))
	if err != nil {
		return err
	}
	s.subIDFiles = nil
	l, err := s.Lock(context.Background(), "web", "croft start web", 0)
	if err != nil {
		return err
	}
	switch role {
	case "op": // holds the op lock
	case "life": // holds the life lock
		life, err := l.Life()
		if err != nil {
			return err
		}
		defer runtime.KeepAlive(life)
	case "bequest": // a child holds the life lock, and this process ends
		life, err := l.Life()
		if err != nil {
			return err
		}
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), "STATE_ROLE=heir")
		child.ExtraFiles = []*os.File{life}
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		l.Unlock() // before the child says that it is ready
		return child.Start()
	case "draft": // is making web
		d, err := l.Begin()
		if err != nil {
			return err
		}
		v := vps.VPS{}
		if err := d.AllocateIDs(context.Background(), &v, 0); err != nil {
			return err
		}
		fmt.Println("draft", d.Dir, v.IDs.First)
		defer runtime.KeepAlive(d)
	case "forget": // loses the lock without unlocking it
		l = nil
		runtime.GC()
		<-time.After(2 * time.Minute) // the cleanup panics long before
		return errors.New("the lock was forgotten and nothing happened")
	}
	fmt.Println("ready")
	_, _ = io.ReadAll(os.Stdin) // until it is killed or the test lets go
	l.Unlock()
	return nil
}

// A second is a second process, in one of the roles of play.
type second struct {
	cmd   *exec.Cmd
	in    *os.File // it, and its heir, live until this is closed
	lines []string // what it said before "ready"
}

// startSecond starts a second process and returns when it is ready.
func startSecond(t *testing.T, role, dir string) *second {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "STATE_ROLE="+role, "STATE_DIR="+dir)
	cmd.Stderr = os.Stderr
	// Not a StdinPipe: Wait would close it, and end the heir with it.
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	cmd.Stdin = stdin
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &second{cmd: cmd, in: in}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return p
		}
		p.lines = append(p.lines, lines.Text())
	}
	t.Fatalf("the second process (%s) never got ready: %s", role, strings.Join(p.lines, "\n"))
	return nil
}

// kill ends the process at once, as a SIGKILL by the user would.
func (p *second) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.in.Close()
}

// newStore returns a store in a directory of its own, and that directory.
func newStore(t testing.TB) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "root"), filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	s.subIDFiles = nil
	s.userRuns = func(uint32) bool { return false } // others may run VPSs here
	return s, dir
}

// lock locks name for the rest of the test.
func lock(t testing.TB, s *Store, name string) *Locked {
	t.Helper()
	l, err := s.Lock(context.Background(), vps.Name(name), "croft test "+name, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Unlock)
	return l
}

// makeVPS makes a VPS with an id range of its own.
func makeVPS(t testing.TB, s *Store, name string) vps.VPS {
	t.Helper()
	l := lock(t, s, name)
	defer l.Unlock()
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	v := vps.VPS{Hostname: name, UUID: "4e7e1d2c-0000-4000-8000-000000000001"}
	if err := d.AllocateIDs(context.Background(), &v, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	return v
}

// wantKind fails the test unless err was classified as kind.
func wantKind(t testing.TB, err error, kind fail.Kind) {
	t.Helper()
	if !fail.Is(err, kind) {
		t.Fatalf("got %v (kind %d), want kind %d", err, fail.KindOf(err), kind)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

// soon is a context that a test may wait with: what takes longer has failed.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
