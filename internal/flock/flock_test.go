package flock

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, path string, kind Kind) *File {
	t.Helper()
	f, err := Open(path, kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b := open(t, path, VPS), open(t, path, VPS)
	if got, err := a.Try(); !got || err != nil {
		t.Fatal(got, err)
	}
	if got, err := b.Try(); got || err != nil {
		t.Fatal(got, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	go a.Drop()
	if err := b.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	b.Drop()
	c, d := open(t, path, Cgroups), open(t, path, Cgroups)
	if err := errors.Join(c.WaitShared(context.Background()), d.WaitShared(context.Background())); err != nil {
		t.Error(err)
	}
	if got, err := open(t, path, Cgroups).Try(); got || err != nil {
		t.Error("a shared lock lets another alone", got, err)
	}
}

// A life lock is inherited, and asking about it takes nothing.
func TestLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "life")
	a, b := open(t, path, Life), open(t, path, Life)
	if held, err := b.LifeHeld(); held || err != nil {
		t.Error(held, err)
	}
	if got, err := a.TryLife(); !got || err != nil {
		t.Fatal(got, err)
	}
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{a.File}
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if held, err := b.LifeHeld(); !held || err != nil {
		t.Error("a child does not hold it", held, err)
	}
	if got, err := b.TryLife(); got || err != nil {
		t.Error(got, err)
	}
	stdin.Close()
	_ = child.Wait()
	if err := b.WaitLife(context.Background()); err != nil {
		t.Error(err)
	}
}

// A dropped lock is free, although a child has a copy of its descriptor: as one of
// another thread has until it executes its program.
func TestDropLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "life")
	a, b := open(t, path, Life), open(t, path, Life)
	if got, err := a.TryLife(); !got || err != nil {
		t.Fatal(got, err)
	}
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{a.File}
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	DropLife(a.File)
	if got, err := b.TryLife(); !got || err != nil {
		t.Error("it is still held", got, err)
	}
	stdin.Close()
	_ = child.Wait()
}

func TestAt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := OpenDir(path, Draft)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := f.Try(); !got || err != nil || !f.At(path) {
		t.Error(got, err)
	}
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if f.At(path) || !f.At(path+"2") {
		t.Error("it is not where it was")
	}
}

func TestWatch(t *testing.T) {
	var said []string
	Watch(func(line string) { said = append(said, line) })
	defer Watch(nil)
	dir := t.TempDir()
	ctx := context.Background()
	take := func(kind Kind, name string) *File {
		f := open(t, filepath.Join(dir, name), kind)
		if err := f.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, p := take(VPS, "a"), take(Ports, "ports")
	take(VPS, "b")
	if len(said) != 1 || !strings.Contains(said[0], "waits for the vps lock") || !strings.Contains(said[0], "holds the ports lock") {
		t.Errorf("%q", said)
	}
	p.Close()
	a.Close()
	take(VPS, "c").Close() // several VPSs in a row
	if len(said) != 1 {
		t.Errorf("%q", said)
	}
	if len(Order()) != 20 {
		t.Errorf("%d kinds are in the order", len(Order()))
	}
}
