package state

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/trace"
	"croft/internal/vps"
)

// A Draft is a VPS that is being made: a directory beside the finished ones,
// laid out as they are, under a name that no VPS has. Its maker holds a flock
// on it, so that a draft whose maker was killed can be told from one at work
// (EmptyTrash).
type Draft struct {
	Dir string // what VPSDir will be

	store *Store
	name  vps.Name
	lock  *flock.File // of Dir; nil once committed or aborted
}

// Begin makes an empty draft of the locked VPS. It is fail.Taken if the VPS
// exists. Commit or Abort ends it; a killed process's draft is rubbish.
func (l *Locked) Begin() (*Draft, error) {
	if _, err := os.Lstat(l.store.VPSDir(l.name)); err == nil {
		return nil, taken(l.name)
	}
	for {
		dir := filepath.Join(l.store.vpsDirs(), "."+string(l.name)+"."+suffix())
		err := os.Mkdir(dir, private)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, hostError("make directory", dir, err)
		}
		lock, err := lockDir(dir, flock.Draft)
		if err != nil {
			_ = os.Remove(dir)
			return nil, err
		}
		// Between the two lines above the directory looked like rubbish, and
		// another process may have removed it.
		if lock != nil {
			return &Draft{Dir: dir, store: l.store, name: l.name, lock: lock}, nil
		}
	}
}

func taken(name vps.Name) error {
	return fail.New(fail.Taken, "a VPS named %q exists", name).WithHint("croft inspect %s", name)
}

// Drafts returns the settings of the drafts whose makers are at work, as far as
// they have put any. Put comes before Commit: who calls it while no VPS comes
// into being (AllConsistent) sees every VPS as one or the other.
func (s *Store) Drafts() ([]vps.VPS, error) {
	names, err := readNames(s.vpsDirs())
	if err != nil {
		return nil, err
	}
	var all []vps.VPS
	for _, name := range names {
		dir := filepath.Join(s.vpsDirs(), name)
		if !strings.HasPrefix(name, ".") || !isDir(dir) || !isLocked(dir) {
			continue
		}
		path := filepath.Join(dir, vpsFileName)
		data, err := os.ReadFile(path)
		if err != nil {
			continue // none yet, or it has ended
		}
		var v vps.VPS
		if err := decode(data, path, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Put makes v the settings of the draft.
func (d *Draft) Put(v vps.VPS) error {
	defer trace.Span("write the settings")()
	v.Name = d.name
	return putVPS(filepath.Join(d.Dir, vpsFileName), v)
}

// Commit makes the draft the VPS, durably, at one instant. It is fail.Taken,
// and the draft stays one, if the VPS exists. What was written into the draft
// by others than Put is theirs to sync.
func (d *Draft) Commit() error {
	defer trace.Span("save the new VPS")()
	if d.lock == nil {
		return fail.New(fail.Internal, "commit the draft of %s: it has ended", d.name)
	}
	if err := d.lock.Sync(); err != nil {
		return hostError("sync", d.Dir, err)
	}
	final := d.store.VPSDir(d.name)
	// Who reads vps/ while a name in it changes may see neither the old nor the
	// new one, and give these ids or these ports away again.
	err := d.store.withNoRenames(func() error {
		err := unix.Renameat2(unix.AT_FDCWD, d.Dir, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			return taken(d.name)
		}
		if err != nil {
			return hostError("rename "+d.Dir+" to", final, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_ = d.lock.Close()
	d.lock = nil
	return syncDir(d.store.vpsDirs())
}

// Abort removes the draft. After Commit, or done twice, it does nothing, so it
// can be deferred.
func (d *Draft) Abort() {
	if d.lock == nil {
		return
	}
	// Files that cannot be removed now are rubbish after the close, and a later
	// command removes them.
	rubbish, err := d.store.trash(d.Dir)
	_ = d.lock.Close()
	d.lock = nil
	if err == nil && rubbish != "" {
		_ = d.store.deleteTrash(context.Background(), rubbish)
	}
}

// lockDir takes the lock of a directory without waiting. It is nil without an
// error if another holds it or the directory is no longer at that path.
func lockDir(dir string, kind flock.Kind) (*flock.File, error) {
	f, err := flock.OpenDir(dir, kind)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("open", dir, err)
	}
	got, err := f.Try()
	if err == nil && got && f.At(dir) {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, hostError("lock", dir, err)
	}
	return nil, nil
}

// suffix is what makes a temporary name unlike any other.
func suffix() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
