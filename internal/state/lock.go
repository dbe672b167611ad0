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

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
)

// There are seven sorts of lock. Whoever takes several takes them in this
// order: op, life, networks, then one of names, pool, ports or network; the last three are held
// for a read and a write, never across a wait; what changes a name in vps/
// takes pool, then ports. So no cycle is possible.
//
//	op       RUN/locks/NAME           by the command that changes the VPS
//	life     RUN/locks/NAME.life      by its monitor, as long as it lives
//	names    RUN/locks/_names         while VPSs are told of each other's names
//	pool     /run/croft-roots/_pool   while an id range is chosen, by all roots
//	                                  of the host (Share)
//	ports    RUN/locks/_ports         while ports of the host are claimed
//	networks RUN/locks/_networks      while a network is made
//	network  RUN/locks/_network.NAME  while a network's table is changed
//
// Lock files are never removed: a waiter could hold the removed one and the
// next comer a new one, and both would have "the" lock.
//
// The op, networks, names, pool, ports and network locks are flock(2)s. Life is an open file
// description lock (fcntl(2), F_OFD_SETLK; Linux 3.15), which is inherited and
// dropped just like a flock, but can be asked about (F_OFD_GETLK) without
// taking it: a probe by a passing flock would make a start at the same moment
// believe that the VPS runs.

// Locked is a VPS's op lock, held. Only its holder may change the VPS.
type Locked struct {
	store   *Store
	name    string
	file    *os.File
	cleanup runtime.Cleanup
}

// Lock takes the op lock of name, waiting up to wait; 0 does not wait. It is
// fail.Busy if another holds it for longer, naming who. The VPS need not exist:
// so a name can be held while it is made. command, as in "croft start web", is
// what another who finds it busy is told.
func (s *Store) Lock(ctx context.Context, name, command string, wait time.Duration) (*Locked, error) {
	if _, err := vps.ParseName(name); err != nil {
		return nil, err
	}
	path := s.LockFile(name)
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	limit, got := time.Now().Add(wait), false
	err = poll(ctx, func() (bool, error) {
		got, err = tryFlock(f)
		return got || !time.Now().Before(limit), err
	})
	if err == nil && !got {
		err = busy(f, name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	sign(f, command)
	l := &Locked{store: s, name: name, file: f}
	l.cleanup = runtime.AddCleanup(l, func(name string) {
		panic("state: " + name + " was locked, forgotten and never unlocked")
	}, name)
	return l, nil
}

// Name is the VPS's name.
func (l *Locked) Name() string { return l.name }

// Unlock lets others have the VPS. Doing it twice is harmless. Forgetting it
// is not: the process panics with the VPS's name when the Locked is garbage.
func (l *Locked) Unlock() {
	if l.file == nil {
		return
	}
	l.cleanup.Stop()
	// The lock goes with its last descriptor; a child that has it by accident
	// would keep it, so drop it in so many words.
	_ = unix.Flock(int(l.file.Fd()), unix.LOCK_UN)
	_ = l.file.Close()
	l.file = nil
}

// Life takes the life lock without waiting. The file that it returns is the
// lock: it is held until every descriptor of it is closed, in this process and
// in those that inherited it. It is fail.State if a monitor holds it.
func (l *Locked) Life() (*os.File, error) {
	f, err := openLock(l.store.LifeFile(l.name))
	if err != nil {
		return nil, err
	}
	got, err := tryLife(f)
	if err == nil && !got {
		err = fail.New(fail.State, "%s is running", l.name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// WaitLife is Life that waits until the monitor is gone or ctx is done; then
// the error wraps ctx's.
func (l *Locked) WaitLife(ctx context.Context) (*os.File, error) {
	f, err := openLock(l.store.LifeFile(l.name))
	if err != nil {
		return nil, err
	}
	if err := poll(ctx, func() (bool, error) { return tryLife(f) }); err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for the monitor of %s: %w", l.name, err)
	}
	return f, nil
}

// LifeHeld reports whether a monitor of name lives, at this moment. It takes
// no lock, so it is in nobody's way.
func (s *Store) LifeHeld(name string) (bool, error) {
	if _, err := vps.ParseName(name); err != nil {
		return false, err
	}
	path := s.LifeFile(name)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, hostError("open", path, err)
	}
	defer f.Close()
	lock := wholeFile(unix.F_WRLCK)
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, hostError("ask about the lock", path, err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

// Naming calls tell with the names lock held, waiting for it as long as ctx
// allows: what tell reads and writes nobody else reads and writes meanwhile,
// so that the last one to tell knew most. tell may wait for VPSs, though not
// long. Its error is returned.
func (s *Store) Naming(ctx context.Context, tell func() error) error {
	return exclusively(ctx, s.namesFile(), tell)
}

// MakingNetworks calls choose while nobody else makes a network, so that no two have
// the same prefix. Its error is returned.
func (s *Store) MakingNetworks(ctx context.Context, choose func() error) error {
	return exclusively(ctx, s.networksFile(), choose)
}

// exclusively calls do with the flock of path held, waiting for it as long as
// ctx allows. do must not wait for anything else.
func exclusively(ctx context.Context, path string, do func() error) error {
	f, err := openLock(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := poll(ctx, func() (bool, error) { return tryFlock(f) }); err != nil {
		return fmt.Errorf("wait for %s: %w", path, err)
	}
	return do()
}

// openLock opens a lock file, made if it is absent.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, hostError("open", path, err)
	}
	return f, nil
}

func tryFlock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return gotLock(f, err)
}

func tryLife(f *os.File) (bool, error) {
	lock := wholeFile(unix.F_WRLCK)
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	return gotLock(f, err)
}

func gotLock(f *os.File, err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINTR):
		return false, nil
	}
	return false, hostError("lock", f.Name(), err)
}

// wholeFile is the lock of type t from the first byte to the last, of any length.
func wholeFile(t int16) unix.Flock_t { return unix.Flock_t{Type: t} }

// poll calls try until it says true or fails, or ctx is done. It polls, since
// a blocked flock(2) cannot be called off: its thread would still wait, and
// take the lock, when nobody wants it any more.
func poll(ctx context.Context, try func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ok, err := try(); ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// sign writes into a held lock file who holds it: "PID COMMAND". This is for
// people and must not fail a command, on a full disk for one.
func sign(f *os.File, command string) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+" "+command+"\n"), 0)
	}
}

// busy says who holds the lock f of name, as far as the holder has signed it.
func busy(f *os.File, name string) error {
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
