package state

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// A destroyed VPS can be kept in the trash for a time. Its directory there has
// the name NAME.until-SECONDS.ID, so EmptyTrash need not read its files. What the VPS had in the tables of networks is in trash.json. The
// directory keeps its ids, and so the ids keep their owner.

// untilMark is between the name of a kept VPS and the time when it expires.
const untilMark = "until-"

// A Remains is the content of trash.json: what vps.json does not have.
type Remains struct {
	Schema     int             `json:"schema"`
	Destroyed  time.Time       `json:"destroyed"`
	Interfaces []HeldInterface `json:"interfaces"`
}

// A HeldInterface is what an interface of a VPS owned in the table of a network.
type HeldInterface struct {
	Name        string       `json:"name"`
	Network     string       `json:"network"`
	MAC         string       `json:"mac,omitempty"`
	Addresses   []netip.Addr `json:"addresses"`
	Connections int64        `json:"connections,omitempty"`
}

// A Trashed is a destroyed VPS that can be restored.
type Trashed struct {
	Name    vps.Name // that it had
	ID      string   // made up when it was destroyed
	Expires time.Time
	Dir     string
	VPS     vps.VPS
	Remains Remains
	Err     error // why its files cannot be read
}

// FSDir has the own files of t.
func (t Trashed) FSDir() string { return filepath.Join(t.Dir, "fs") }

// Keep moves the directory of the locked VPS into the trash, durably and at
// once, from where it can be restored until the given time. No-op if the VPS is
// missing. If there is an error the VPS is where it was.
func (l *Locked) Keep(until time.Time, r Remains) error {
	dir := l.store.VPSDir(l.name)
	if !exists(dir) {
		return nil
	}
	r.Schema = Schema
	path := filepath.Join(dir, trashFileName)
	data, err := encode(r, nil)
	if err != nil {
		return fail.New(fail.Internal, "encode %s: %w", path, err)
	}
	if err := replaceFile(path, data); err != nil {
		return err
	}
	_, err = l.store.moveToTrash(dir, fmt.Sprintf("%s.%s%d.%s", l.name, untilMark, until.Unix(), suffix()))
	return err
}

// parseKept reads the name of a directory in the trash. ok is false for what
// is there to be deleted.
func parseKept(file string) (t Trashed, ok bool) {
	parts := strings.Split(file, ".")
	if len(parts) != 3 || !strings.HasPrefix(parts[1], untilMark) || parts[2] == "" {
		return Trashed{}, false
	}
	name, err := vps.ParseName(parts[0])
	seconds, err2 := strconv.ParseInt(parts[1][len(untilMark):], 10, 64)
	if err != nil || err2 != nil {
		return Trashed{}, false
	}
	return Trashed{Name: name, ID: parts[2], Expires: time.Unix(seconds, 0)}, true
}

// keptUntilLater reports whether the entry of the trash is not to be deleted
// yet.
func keptUntilLater(file string) bool {
	t, ok := parseKept(file)
	return ok && t.Expires.After(time.Now())
}

// Kept returns the VPSs in the trash that have not expired, by name, the newest
// of a name first. One that cannot be read is there too, with its error.
func (s *Store) Kept() ([]Trashed, error) {
	if s.unused || !exists(s.TrashDir()) {
		return nil, nil
	}
	files, err := readNames(s.TrashDir())
	if err != nil {
		return nil, err
	}
	var all []Trashed
	for _, file := range files {
		if !keptUntilLater(file) {
			continue
		}
		t, _ := parseKept(file)
		t.Dir = filepath.Join(s.TrashDir(), file)
		t.read()
		if t.Err == nil || exists(t.Dir) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b Trashed) int {
		if a.Name != b.Name {
			return strings.Compare(string(a.Name), string(b.Name))
		}
		if c := b.Remains.Destroyed.Compare(a.Remains.Destroyed); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

// read reads the files of t.
func (t *Trashed) read() {
	path := filepath.Join(t.Dir, vpsFileName)
	data, err := os.ReadFile(path)
	if err == nil {
		t.VPS, err = decodeVPS(data, t.Name, path)
	} else {
		err = hostError("read", path, err)
	}
	if err == nil {
		path = filepath.Join(t.Dir, trashFileName)
		if data, err = os.ReadFile(path); err == nil {
			err = decode(data, path, &t.Remains)
		} else {
			err = hostError("read", path, err)
		}
	}
	t.Err = err
}

// A HeldTrash is a VPS in the trash that nothing deletes or restores but its
// holder.
type HeldTrash struct {
	Trashed
	store *Store
	lock  *flock.File
}

// HoldTrashed locks t, without waiting. It is fail.NotFound if t is not there
// any more, and fail.Busy if another command deletes or restores it.
func (s *Store) HoldTrashed(t Trashed) (*HeldTrash, error) {
	lock, err := lockDir(t.Dir, flock.Rubbish)
	if err != nil {
		return nil, err
	}
	if lock == nil && exists(t.Dir) {
		return nil, fail.New(fail.Busy, "another command deletes or restores it")
	}
	if lock == nil {
		return nil, fail.New(fail.NotFound, "it is not in the trash any more").WithHint("croft trash list")
	}
	return &HeldTrash{t, s, lock}, nil
}

// Close lets other commands have the VPS. Doing it twice is harmless.
func (h *HeldTrash) Close() {
	if h.lock != nil {
		_ = h.lock.Close()
		h.lock = nil
	}
}

// GiveUp makes the VPS rubbish, durably and at once: it cannot be restored, and
// EmptyTrash deletes it.
func (h *HeldTrash) GiveUp() error {
	to := filepath.Join(h.store.TrashDir(), string(h.Name)+"."+h.ID)
	if err := unix.Renameat2(unix.AT_FDCWD, h.Dir, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return hostError("rename "+h.Dir+" to", to, err)
	}
	return syncDir(h.store.TrashDir())
}

// Restore makes the VPS h the locked one, durably and at once. It is fail.Taken
// if there is a VPS of that name. settle returns its settings, given the
// published ports of all other VPSs: no other process claims any meanwhile. It
// must not wait, and its error is returned. After an error the VPS is in the
// trash as it was; only if the error is about syncing a directory it is restored.
func (l *Locked) Restore(h *HeldTrash, settle func(others []vps.VPS) (vps.VPS, error)) error {
	final := l.store.VPSDir(l.name)
	// Who looks for free ids and ports sees the VPS here or there (Draft.Commit).
	err := l.store.withNoRenames(func() error {
		others, err := l.store.publishers(true)
		if err != nil {
			return err
		}
		v, err := settle(others)
		if err != nil {
			return err
		}
		return h.moveTo(final, l.name, v)
	})
	if err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(final, trashFileName)) // the next Keep replaces one that is left
	return errors.Join(syncDir(l.store.vpsDirs()), syncDir(l.store.TrashDir()))
}

// moveTo gives h its new settings and the directory final. It does not run, so
// it does not have the mark of VPSs that should.
func (h *HeldTrash) moveTo(final string, name vps.Name, v vps.VPS) error {
	if exists(final) {
		return taken(name)
	}
	if err := os.Remove(filepath.Join(h.Dir, runningFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", filepath.Join(h.Dir, runningFileName), err)
	}
	v.Name = name
	path := filepath.Join(h.Dir, vpsFileName)
	if err := putVPS(path, v); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, h.Dir, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	err = hostError("rename "+h.Dir+" to", final, err)
	return errors.Join(err, putVPS(path, h.VPS))
}
