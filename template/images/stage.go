package images

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/removetree"
	"croft/template/layer"
	"croft/template/recipe"
)

// Lock takes the lock of this name exclusively. It waits for another holder until
// ctx is done.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	kind := flock.Template
	if name == StoreLock {
		kind = flock.Store
	}
	unlock, err = flock.Take(ctx, s.Path("locks", name), kind)
	if err != nil {
		return nil, layer.HostError(err)
	}
	return unlock, nil
}

// StoreLock is held while names, blobs and layers are added or removed, and never
// during slow work. A process that needs the lock of a template takes that first.
const StoreLock = "store"

// NameLock is the lock of the template name.
func NameLock(name string) string { return "template-" + name }

// LockName takes the lock for creating the template name. It creates the store if
// it is missing. An invalid name is fail.Usage.
func (s *Store) LockName(ctx context.Context, name string) (unlock func(), err error) {
	if err := recipe.CheckName(name); err != nil {
		return nil, err
	}
	if err := s.Make(); err != nil {
		return nil, err
	}
	return s.Lock(ctx, NameLock(name))
}

// A Stage is a directory of the store in which a command prepares an image. The
// command holds its lock. A stage without a holder belongs to a killed process.
type Stage struct {
	Dir  string
	lock *flock.File
}

// NewStage creates an empty stage, and removes the stages of killed processes. The
// caller removes it.
func (s *Store) NewStage(ctx context.Context) (*Stage, error) {
	unlock, err := s.Lock(ctx, StoreLock) // no other process may remove the stage between mkdir and flock
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.sweepStages(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.Path("tmp"), "stage-")
	if err != nil {
		return nil, layer.HostError(err)
	}
	f, err := lockDir(dir, flock.Stage)
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	return &Stage{Dir: dir, lock: f}, nil
}

// Remove removes the stage and its content.
func (st *Stage) Remove() error {
	defer st.lock.Close()
	return RemoveTree(st.Dir)
}

// Path returns a path inside the stage.
func (st *Stage) Path(name string) string { return filepath.Join(st.Dir, name) }

// sweepStages removes the stages of killed processes, except those that RemoveAbandoned
// needs. The caller has the store's lock.
func (s *Store) sweepStages() error {
	all, err := os.ReadDir(s.Path("tmp"))
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		dir := s.Path("tmp", e.Name())
		if pins, _ := filepath.Glob(filepath.Join(dir, pinPrefix+"*")); len(pins) > 0 {
			continue
		}
		f, err := lockDir(dir, flock.Stage)
		if fail.Is(err, fail.Busy) || errors.Is(err, fs.ErrNotExist) {
			continue // a command uses it, or has just removed it
		}
		if err != nil {
			return err
		}
		err = RemoveTree(dir)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// lockDir takes the lock of a directory or a file without waiting. It is fail.Busy
// if another process holds it.
func lockDir(dir string, kind flock.Kind) (*flock.File, error) {
	f, err := flock.OpenAny(dir, kind)
	if err != nil {
		return nil, layer.HostError(err)
	}
	got, err := f.Try()
	if err == nil && got {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, err
	}
	return nil, fail.New(fail.Busy, "%s is in use", dir)
}

// RemoveTree removes dir with its content. No-op if it is missing.
func RemoveTree(dir string) error {
	return layer.HostError(removetree.Remove(context.Background(), dir, ""))
}
