package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/removetree"
	"croft/internal/vps"
)

// A Volume is a named directory for files that outlive VPSs: volumes/NAME/data. No
// file describes it: its directory has its name and the time of its creation.
type Volume struct {
	Name    string
	Created time.Time
	Path    string     // the directory with its files
	UsedBy  []vps.Name // VPSs whose settings have it, sorted
}

// VolumeData returns the directory with the files of the volume name.
func (s *Store) VolumeData(name string) string { return filepath.Join(s.volumeDir(name), "data") }

// CreateVolume creates the empty volume name, owned by root, which is root of each
// VPS that mounts it. An existing one is fail.Taken. If the process is killed there
// is the whole volume or none.
func (s *Store) CreateVolume(ctx context.Context, name string) error {
	if err := vps.CheckVolume(name); err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	return s.withVolumes(ctx, func() error {
		if err := s.removeUnfinishedVolumes(ctx); err != nil {
			return err
		}
		draft := filepath.Join(s.volumesDir(), "."+name+".new")
		if err := makeVolume(draft); err != nil {
			return err
		}
		dir := s.volumeDir(name)
		err := unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
		if err == nil {
			return syncDir(s.volumesDir())
		}
		if rerr := s.removeUnfinishedVolumes(ctx); rerr != nil {
			return rerr
		}
		if errors.Is(err, unix.EEXIST) {
			return fail.New(fail.Taken, "a volume named %q exists", name).WithHint("croft volume inspect %s", name)
		}
		return hostError("make directory", dir, err)
	})
}

func makeVolume(dir string) error {
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(dir, private); err != nil {
		return hostError("make directory", dir, err)
	}
	err := os.Mkdir(data, 0o755)
	if err == nil {
		err = os.Chmod(data, 0o755) // whatever the umask is
	}
	if err != nil {
		return hostError("make directory", data, err)
	}
	return syncDir(dir)
}

// removeUnfinishedVolumes removes what killed creates have left. No volume has a
// dot in its name.
func (s *Store) removeUnfinishedVolumes(ctx context.Context) error {
	names, err := readNames(s.volumesDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, ".") {
			continue
		}
		if err := removetree.Remove(ctx, filepath.Join(s.volumesDir(), name), ""); err != nil {
			return hostError("remove", name, err)
		}
	}
	return nil
}

// Volume returns the volume name; fail.NotFound if there is none.
func (s *Store) Volume(ctx context.Context, name string) (Volume, error) {
	all, err := s.Volumes(ctx)
	if err != nil {
		return Volume{}, err
	}
	at := slices.IndexFunc(all, func(v Volume) bool { return v.Name == name })
	if at < 0 {
		return Volume{}, noVolume(fail.NotFound, name)
	}
	return all[at], nil
}

func noVolume(kind fail.Kind, name string) error {
	return fail.New(kind, "no volume named %q", name).WithHint("croft volume list")
}

// Volumes returns all volumes, sorted by name. A VPS whose settings cannot be read
// is not among their users.
func (s *Store) Volumes(ctx context.Context) ([]Volume, error) {
	all := []Volume{}
	entries, err := os.ReadDir(s.volumesDir())
	if s.unused || errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, hostError("read", s.volumesDir(), err)
	}
	users, err := s.volumeUsers(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || vps.CheckVolume(e.Name()) != nil || !isDir(s.VolumeData(e.Name())) {
			continue // removed meanwhile, or no volume
		}
		all = append(all, Volume{Name: e.Name(), Created: info.ModTime().UTC(), Path: s.VolumeData(e.Name()), UsedBy: users.of(e.Name())})
	}
	return all, nil
}

// RemoveVolume moves the volume name to the trash, which EmptyTrash deletes. It is
// fail.NotFound if there is none, and fail.State if a VPS has it in its settings, also
// one that can be restored from the trash, or may have it because its settings cannot
// be read.
func (s *Store) RemoveVolume(ctx context.Context, name string) error {
	if err := vps.CheckVolume(name); err != nil || !isDir(s.volumeDir(name)) {
		return noVolume(fail.NotFound, name)
	}
	return s.withVolumes(ctx, func() error {
		users, err := s.volumeUsers(ctx)
		if err != nil {
			return err
		}
		if users.broken != nil {
			return fail.New(fail.State, "a VPS that cannot be read may have volume %s: %w", name, users.broken)
		}
		if by := users.of(name); len(by) > 0 {
			return fail.New(fail.State, "%s has volume %s", by[0], name).WithHint("croft inspect %s", by[0])
		}
		for _, t := range users.kept {
			if t.VPS.UsesVolume(name) {
				return fail.New(fail.State, "%s in the trash has volume %s", t.Name, name).WithHint("croft trash list %s", t.Name)
			}
		}
		to := filepath.Join(s.TrashDir(), "volume_"+name+"."+suffix())
		err = unix.Renameat2(unix.AT_FDCWD, s.volumeDir(name), unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.ENOENT) {
			return noVolume(fail.NotFound, name)
		}
		if err != nil {
			return hostError("rename "+s.volumeDir(name)+" to", to, err)
		}
		return errors.Join(syncDir(s.TrashDir()), syncDir(s.volumesDir()))
	})
}

// UseVolumes calls save, which writes the settings of a VPS that has the volumes
// names. None of them is removed before it returns. A missing volume is fail.State,
// and save is not called. save must not wait.
func (s *Store) UseVolumes(ctx context.Context, names []string, save func() error) error {
	if len(names) == 0 {
		return save()
	}
	return s.withVolumes(ctx, func() error {
		for _, name := range names {
			if !isDir(s.VolumeData(name)) {
				return fail.New(fail.State, "no volume named %q", name).WithHint("croft volume create %s", name)
			}
		}
		return save()
	})
}

func (s *Store) withVolumes(ctx context.Context, do func() error) error {
	return exclusively(ctx, s.volumesFile(), flock.Volumes, do)
}

// volumeUsers are the VPSs, and the drafts of those that are being created, with
// volumes; kept are those in the trash.
type volumeUsers struct {
	all    []vps.VPS
	kept   []Trashed
	broken error // a VPS cannot be read
}

func (u volumeUsers) of(name string) []vps.Name {
	names := []vps.Name{}
	for _, v := range u.all {
		if v.UsesVolume(name) && !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *Store) volumeUsers(ctx context.Context) (u volumeUsers, err error) {
	err = exclusively(ctx, s.poolFile(), flock.IDs, func() error { // as AllConsistent
		entries, err := s.All()
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Err != nil {
				u.broken = fmt.Errorf("%s: %w", e.Name, e.Err)
			}
			u.all = append(u.all, e.VPS)
		}
		drafts, err := s.Drafts()
		u.all = append(u.all, drafts...)
		if err != nil {
			return err
		}
		u.kept, err = s.Kept() // after the others: a VPS may be destroyed meanwhile, but none is restored
		return err
	})
	return u, err
}
