package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/accounts"
	"croft/runtime/seeds"
)

// Change makes the changes that c asks for in a root filesystem, all or none. undo
// makes the files what they were; it is nil after an error. It is fail.State if the
// files of the VPS do not allow it, and fail.Busy if a program inside keeps the lock of
// the account files until ctx is done.
func (Access) Change(ctx context.Context, root *inside.Root, v vps.VPS, c vps.Inside) (undo func(*inside.Root) error, err error) {
	w := &changer{root: root, first: v.IDs.First}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.undo(root))
			undo = nil
		}
	}()
	if c.Access.Any() {
		if err := w.access(ctx, c.Access); err != nil {
			return nil, err
		}
	}
	files, err := seeds.For(root.FS(), seeds.Host{UUID: v.UUID, Zone: hostZone}, c)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := w.seed(f); err != nil {
			return nil, fail.New(fail.State, "cannot write %s inside: %w", f.Path, err)
		}
	}
	return w.undo, nil
}

// hostZone reads the file of a time zone of the host.
func hostZone(name string) ([]byte, error) { return os.ReadFile("/usr/share/zoneinfo/" + name) }

// A changer changes files of one root filesystem and keeps what they were.
type changer struct {
	root  *inside.Root
	first uint32
	done  []written
}

// A written is one step that was made, and who made it.
type written struct {
	former inside.Former
	by     inside.Owner
	dir    string // that was made; "" for a file
}

// undo undoes in reverse order. A directory that has files of others stays.
func (w *changer) undo(root *inside.Root) (failed error) {
	for n := len(w.done) - 1; n >= 0; n-- {
		d := w.done[n]
		if d.dir != "" {
			_ = root.RemoveEmpty(d.dir, d.by)
			continue
		}
		if err := root.Restore(d.former, d.by); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot restore %s inside: %w", d.former.Path, err))
		}
	}
	w.done = nil
	return failed
}

// access carries out a plan of accounts.
func (w *changer) access(ctx context.Context, a vps.Access) error {
	unlock, err := w.root.LockAccounts(ctx, w.first)
	if errors.Is(err, inside.ErrLocked) {
		return fail.New(fail.Busy, "cannot change accounts inside: %w", err)
	}
	if err != nil {
		return fail.New(fail.State, "cannot change accounts inside: %w", err)
	}
	defer unlock()
	plan, err := accounts.For(w.root.FS(), a, time.Now())
	if err != nil {
		return err
	}
	for _, s := range plan.Steps {
		if err := w.step(s); err != nil {
			return fail.New(fail.State, "cannot write %s inside: %w", s.Path, err)
		}
	}
	return nil
}

func (w *changer) step(s accounts.Step) error {
	by := inside.Owner{UID: w.first + s.UID, GID: w.first + s.GID}
	if s.Directory {
		maker := by
		if s.ByRoot {
			maker = inside.Owner{UID: w.first, GID: w.first}
		}
		made, err := w.root.MakeOwned(s.Path, s.Mode, maker, by)
		if made {
			w.done = append(w.done, written{dir: s.Path, by: maker})
		}
		return err
	}
	former, err := w.root.Rewrite(s.Path, s.Mode, s.Content, by)
	if err != nil {
		return err
	}
	w.done = append(w.done, written{former: former, by: by})
	return nil
}

// seed writes a file of root, and makes the directories above it that are missing.
func (w *changer) seed(f seeds.File) error {
	root := inside.Owner{UID: w.first, GID: w.first}
	if err := w.parents(path.Dir(f.Path), root); err != nil {
		return err
	}
	var former inside.Former
	var err error
	if f.Link {
		former, err = w.root.Relink(f.Path, string(f.Content), root)
	} else {
		former, err = w.root.Overwrite(f.Path, f.Mode, f.Content, root)
	}
	if err == nil {
		w.done = append(w.done, written{former: former, by: root})
	}
	return err
}

func (w *changer) parents(dir string, root inside.Owner) error {
	if dir == "/" {
		return nil
	}
	if err := w.parents(path.Dir(dir), root); err != nil {
		return err
	}
	made, err := w.root.MakeOwned(dir, 0o755, root, root)
	if made {
		w.done = append(w.done, written{dir: dir, by: root})
	}
	return err
}
