package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/flock"
	"croft/internal/removetree"
	"croft/internal/vps"
)

// Trash moves the directory of the locked VPS out of sight at once, whatever
// its size; EmptyTrash deletes it. No-op if the VPS is missing.
func (l *Locked) Trash() error {
	_, err := l.store.trash(l.store.VPSDir(l.name))
	return err
}

// CheckTrash reports why the VPS name cannot be moved into the trash, as far as
// that can be known beforehand: a read-only file system is fail.Host. It
// changes nothing.
func (s *Store) CheckTrash(name vps.Name) error {
	for _, dir := range []string{s.vpsDirs(), s.VPSDir(name), s.TrashDir()} {
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return hostError("change", dir, err)
		}
	}
	return nil
}

// trash renames dir into trash/, durably, and returns its path there; none,
// and no error, if it is absent.
func (s *Store) trash(dir string) (string, error) {
	return s.moveToTrash(dir, strings.TrimPrefix(filepath.Base(dir), ".")+"."+suffix())
}

// moveToTrash is trash for an entry of the given name.
func (s *Store) moveToTrash(dir, name string) (string, error) {
	to := filepath.Join(s.TrashDir(), name)
	err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", hostError("rename "+dir+" to", to, err)
	}
	if err := syncDir(s.TrashDir()); err != nil {
		return to, err
	}
	return to, syncDir(filepath.Dir(dir))
}

// EmptyTrash deletes the content of trash/ but VPSs that are kept until later
// (Keep), and the drafts of killed processes.
// It never crosses a mount point and never follows a link. It may be
// interrupted, by ctx or by a kill, and several may run at once: each leaves
// alone what another works on. It deletes what it can, and returns the first
// error. Layers that have lost their last user are deleted too.
func (s *Store) EmptyTrash(ctx context.Context) error {
	first := s.trashDrafts()
	if err := s.deleteAllTrash(ctx); err != nil && first == nil {
		first = err
	}
	if !exists(s.unusedMark()) || ctx.Err() != nil {
		return first
	}
	err := s.RemoveUnused(ctx)
	if err == nil {
		err = s.deleteAllTrash(ctx)
	}
	if first == nil {
		first = err
	}
	return first
}

func (s *Store) deleteAllTrash(ctx context.Context) (first error) {
	entries, err := os.ReadDir(s.TrashDir())
	if err != nil {
		return hostError("read", s.TrashDir(), err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if keptUntilLater(e.Name()) {
			continue
		}
		path := filepath.Join(s.TrashDir(), e.Name())
		if err := s.deleteTrash(ctx, path); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// trashDrafts moves the drafts that no process holds into trash/.
func (s *Store) trashDrafts() error {
	entries, err := listDirs(s.vpsDirs(), func(name []byte) bool { return name[0] == '.' })
	if err != nil {
		return err
	}
	var first error
	for _, e := range entries {
		dir := filepath.Join(s.vpsDirs(), e.name)
		if !isDir(dir) {
			continue
		}
		lock, err := lockDir(dir, flock.Rubbish)
		if err == nil && lock != nil {
			_, err = s.trash(dir)
			lock.Close()
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// deleteTrash deletes one entry of trash/, unless another is at it. Its
// vps.json goes last: while there are files of the VPS, its ids are not given
// away (AllocateIDs).
func (s *Store) deleteTrash(ctx context.Context, path string) error {
	lock, err := lockDir(path, flock.Rubbish)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		// A file or a link that does not belong here is removed as it is.
	case err != nil || lock == nil:
		return err
	default:
		defer lock.Close()
		if err := s.markLayersOf(path); err != nil {
			return err
		}
	}
	return removeTree(ctx, path, vpsFileName)
}

// markLayersOf is MarkUnused if the VPS in dir, or a snapshot of it, has frozen layers.
func (s *Store) markLayersOf(dir string) error {
	all, err := stacksIn(dir)
	if err != nil || slices.ContainsFunc(all, func(s Stack) bool { return len(s.Frozen) > 0 }) {
		return s.MarkUnused()
	}
	return nil
}

// removeTree is removetree.Remove with classified errors.
func removeTree(ctx context.Context, path, last string) error {
	err := removetree.Remove(ctx, path, last)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return hostError(failed.Op, failed.Path, failed.Err)
	}
	return err
}

// RemoveRun removes RUN/vps/NAME, the state of the VPS. No-op if it is missing.
// Only the holder of the life lock may call it.
func (s *Store) RemoveRun(name vps.Name) error {
	return removeTree(context.Background(), s.RunDir(name), "")
}
