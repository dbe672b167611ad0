package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/trace"
	"croft/internal/vps"
)

// Locked is a VPS's op lock, held. Only its holder may change the VPS.
type Locked struct {
	store   *Store
	name    vps.Name
	file    *flock.File
	cleanup runtime.Cleanup
}

// Lock takes the op lock of name, waiting up to wait; 0 does not wait. It is
// fail.Busy if another holds it for longer, naming who. The VPS need not exist:
// so a name can be held while it is made. command, as in "croft start web", is
// what another who finds it busy is told.
func (s *Store) Lock(ctx context.Context, name vps.Name, command string, wait time.Duration) (*Locked, error) {
	defer trace.Span("lock the VPS")()
	path := s.LockFile(name)
	f, err := openLock(path, flock.VPS)
	if err != nil {
		return nil, err
	}
	if err := waitFor(ctx, f, name, wait); err != nil {
		f.Close()
		return nil, err
	}
	writeOwner(f, command)
	l := &Locked{store: s, name: name, file: f}
	l.cleanup = runtime.AddCleanup(l, func(name vps.Name) {
		panic("state: " + string(name) + " was locked, forgotten and never unlocked")
	}, name)
	return l, nil
}

// waitFor takes the lock f of name within the time wait, or without waiting if
// that is 0. Another holder is fail.Busy.
func waitFor(ctx context.Context, f *flock.File, name vps.Name, wait time.Duration) error {
	got, err := f.Try()
	if err == nil && !got && wait > 0 {
		limited, cancel := context.WithTimeout(ctx, wait)
		err = f.Wait(limited)
		cancel()
		got = err == nil
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = nil
		}
	}
	switch {
	case got:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return hostError("lock", f.Name(), err)
	}
	return busy(f, name)
}

// Name is the VPS's name.
func (l *Locked) Name() vps.Name { return l.name }

// Unlock lets others have the VPS. Doing it twice is harmless. Forgetting it
// is not: the process panics with the VPS's name when the Locked is garbage.
func (l *Locked) Unlock() {
	if l.file == nil {
		return
	}
	l.cleanup.Stop()
	l.file.Drop()
	l.file = nil
}

// Life takes the life lock without waiting. The file that it returns is the
// lock: it is held until every descriptor of it is closed, in this process and
// in those that inherited it. It is fail.State if a monitor holds it.
func (l *Locked) Life() (*os.File, error) {
	f, err := openLock(l.store.LifeFile(l.name), flock.Life)
	if err != nil {
		return nil, err
	}
	got, err := f.TryLife()
	if err != nil {
		err = hostError("lock", f.Name(), err)
	} else if !got {
		err = fail.New(fail.State, "%s is running", l.name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f.File, nil
}

// WaitLife is Life that waits until the monitor is gone or ctx is done; then
// the error wraps ctx's.
func (l *Locked) WaitLife(ctx context.Context) (*os.File, error) {
	f, err := openLock(l.store.LifeFile(l.name), flock.Life)
	if err != nil {
		return nil, err
	}
	if err := f.WaitLife(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for the monitor of %s: %w", l.name, err)
	}
	return f.File, nil
}

// ReleaseLife drops a life lock that no monitor has inherited, and closes it. It is free
// at once, also while another thread of croft starts a program: until that has replaced
// its copy of croft, it has a descriptor of the lock too.
func ReleaseLife(life *os.File) { flock.DropLife(life) }

// LifeHeld reports whether a monitor of name lives, at this moment. It takes no
// lock.
func (s *Store) LifeHeld(name vps.Name) (bool, error) {
	return lifeHeld(s.LifeFile(name))
}

// TryFirstBoot returns the open lock of the process that runs the first-boot script of
// name. It is held if it was free; otherwise such a process of an earlier boot is about
// to end, and the caller waits. A child inherits the lock with the descriptor. The
// caller closes it.
func (s *Store) TryFirstBoot(name vps.Name) (*os.File, error) {
	f, err := openLock(s.FirstBootFile(name), flock.FirstBoot)
	if err != nil {
		return nil, err
	}
	if _, err := f.TryLife(); err != nil {
		f.Close()
		return nil, hostError("lock", s.FirstBootFile(name), err)
	}
	return f.File, nil
}

// WaitFirstBoot waits until f, of TryFirstBoot, is held. No-op if it is held already.
func (s *Store) WaitFirstBoot(ctx context.Context, f *os.File) error {
	return (&flock.File{File: f}).WaitLife(ctx)
}

// FirstBootHeld reports whether a process lives that runs the first-boot script of
// name, or will. It takes no lock.
func (s *Store) FirstBootHeld(name vps.Name) (bool, error) { return lifeHeld(s.FirstBootFile(name)) }

func lifeHeld(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, hostError("open", path, err)
	}
	defer f.Close()
	held, err := (&flock.File{File: f}).LifeHeld()
	if err != nil {
		return false, hostError("ask about the lock of", path, err)
	}
	return held, nil
}

// WithNamesLock calls do with the names lock held, and returns the error of do.
// It waits for the lock until ctx ends. Under this lock, commands write the lists
// of names into VPSs one after the other, so that the last writer has read the
// newest state. do may wait for VPSs, but only for a short time.
func (s *Store) WithNamesLock(ctx context.Context, do func() error) error {
	return exclusively(ctx, s.namesFile(), flock.Names, do)
}

// WithNetworksLock calls do with the networks lock held, and returns the error
// of do. It waits for the lock until ctx ends. Commands that make a network hold
// this lock, so that two networks never get the same prefix.
func (s *Store) WithNetworksLock(ctx context.Context, do func() error) error {
	return exclusively(ctx, s.networksFile(), flock.Networks, do)
}

// exclusively calls do with the lock at path held. It waits for the lock until
// ctx ends. do must not take a lock that comes before this one (flock.Order).
func exclusively(ctx context.Context, path string, kind flock.Kind, do func() error) error {
	f, err := openLock(path, kind)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Wait(ctx); err != nil {
		return fmt.Errorf("wait for %s: %w", path, err)
	}
	return do()
}

func openLock(path string, kind flock.Kind) (*flock.File, error) {
	f, err := flock.Open(path, kind)
	if err != nil {
		return nil, hostError("open", path, err)
	}
	return f, nil
}

// writeOwner writes the owner into a lock file that is held: "PID COMMAND". Only
// people read it. So errors, such as a full disk, are ignored.
func writeOwner(f *flock.File, command string) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+" "+command+"\n"), 0)
	}
}

// busy returns an error that names the owner of the lock f, if the owner wrote
// its PID and command into the file.
func busy(f *flock.File, name vps.Name) error {
	who := "another command holds it"
	text := make([]byte, 512)
	n, _ := f.ReadAt(text, 0)
	line, _, _ := bytes.Cut(text[:n], []byte("\n"))
	pid, command, ok := strings.Cut(string(line), " ")
	if _, err := strconv.Atoi(pid); ok && err == nil {
		if command == "" {
			command = "another command"
		}
		who = fmt.Sprintf("%s (pid %s) holds it", strings.ToValidUTF8(command, "?"), pid)
	}
	return fail.New(fail.Busy, "%s is busy: %s", name, who)
}
