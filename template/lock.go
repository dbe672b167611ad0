package template

import (
	"context"
	"os"
	"path/filepath"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/removetree"
	"croft/template/layer"
	"croft/template/recipe"
)

// lock takes the lock of this name for the caller alone, waiting until ctx is
// done.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	kind := flock.Template
	if name == storeLock {
		kind = flock.Store
	}
	unlock, err = flock.Take(ctx, s.path("locks", name), kind)
	if err != nil {
		return nil, layer.HostError(err)
	}
	return unlock, nil
}

// The names of the locks. Order: a template's, then the store's.
const storeLock = "store" // held while names, blobs and layers are put in or taken out; never across slow work

func nameLock(name string) string { return "template-" + name }

// lockName keeps others from making a template of this name until the caller
// calls unlock. The store is made if it is not there. What is no name is
// fail.Usage.
func (s *Store) lockName(ctx context.Context, name string) (unlock func(), err error) {
	if err := recipe.CheckName(name); err != nil {
		return nil, err
	}
	if err := s.make(); err != nil {
		return nil, err
	}
	return s.lock(ctx, nameLock(name))
}

// A stage is a directory in the store in which something is made ready. It is
// locked: one whose lock is free belongs to a process that died.
type stage struct {
	dir  string
	lock *flock.File
}

// newStage makes an empty stage, and sweeps away those of the dead.
func (s *Store) newStage(ctx context.Context) (*stage, error) {
	unlock, err := s.lock(ctx, storeLock) // between mkdir and flock it would look dead
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.sweepStages(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.path("tmp"), "stage-")
	if err != nil {
		return nil, layer.HostError(err)
	}
	f, err := lockDir(dir, flock.Stage)
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	return &stage{dir: dir, lock: f}, nil
}

// remove removes the stage with all that is in it.
func (st *stage) remove() error {
	defer st.lock.Close()
	return removeTree(st.dir)
}

func (st *stage) path(name string) string { return filepath.Join(st.dir, name) }

// sweepStages removes what interrupted commands left. The caller has the
// store's lock.
func (s *Store) sweepStages() error {
	all, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return layer.HostError(err)
	}
	for _, e := range all {
		dir := s.path("tmp", e.Name())
		f, err := lockDir(dir, flock.Stage)
		if fail.Is(err, fail.Busy) {
			continue // somebody is at work in it
		}
		if err != nil {
			return err
		}
		err = removeTree(dir)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// lockDir takes the lock of a directory, or of a file, without waiting. Another
// holder is fail.Busy.
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

// removeTree removes dir with its content. No-op if it is missing.
func removeTree(dir string) error {
	return layer.HostError(removetree.Remove(context.Background(), dir, ""))
}
