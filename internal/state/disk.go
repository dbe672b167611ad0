package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/vps"
)

// NewFSDir is where the own files of the VPS come together before they become FSDir, and
// where a new image is mounted meanwhile.
func (s *Store) NewFSDir(name vps.Name) string { return s.FSDir(name) + ".new" }

// ExchangeFS makes NewFSDir of the locked VPS its FSDir, durably and at one instant, and
// the other way round.
func (l *Locked) ExchangeFS() error {
	from, to := l.store.NewFSDir(l.name), l.store.FSDir(l.name)
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE); err != nil {
		return hostError("rename "+from+" to", to, err)
	}
	return syncDir(l.store.VPSDir(l.name))
}

// DiscardDisks moves what the locked VPS v does not use into the trash: images and
// directories with a quota other than its own, files that were copied for a change of its disk, and with an image what is
// below that. No-op without them. FSDir must not be mounted.
func (l *Locked) DiscardDisks(v vps.VPS) error {
	dir := l.store.VPSDir(l.name)
	fsNew := l.store.NewFSDir(l.name)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return hostError("read", dir, err)
	}
	var all []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if isDiskImage(e.Name()) && e.Name() != v.Disk.Image || path == fsNew {
			all = append(all, path)
		}
	}
	if v.Disk.Image != "" && !isEmpty(l.store.FSDir(l.name)) {
		if err := l.takeFiles(fsNew); err != nil {
			return err
		}
		all = append(all, fsNew)
	}
	for _, path := range all {
		if _, err := l.store.trash(path); err != nil {
			return err
		}
	}
	return nil
}

// isEmpty reports whether the directory dir has no entries, or is missing.
func isEmpty(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return len(entries) == 0
}

// takeFiles moves what is in FSDir into the directory to. What is there already stays:
// it is rubbish too.
func (l *Locked) takeFiles(to string) error {
	if err := os.Mkdir(to, private); err != nil && !errors.Is(err, fs.ErrExist) {
		return hostError("make directory", to, err)
	}
	from := l.store.FSDir(l.name)
	entries, err := os.ReadDir(from)
	if err != nil {
		return hostError("read", from, err)
	}
	for _, e := range entries {
		path := filepath.Join(to, e.Name()+"."+suffix())
		if err := os.Rename(filepath.Join(from, e.Name()), path); err != nil {
			return hostError("rename to", path, err)
		}
	}
	return syncDir(from)
}

// AnyDiskImage returns an image in the directory of the VPS, whatever its settings say;
// "" if there is none.
func (s *Store) AnyDiskImage(name vps.Name) string {
	entries, _ := os.ReadDir(s.VPSDir(name))
	for _, e := range entries {
		if isDiskImage(e.Name()) {
			return filepath.Join(s.VPSDir(name), e.Name())
		}
	}
	return ""
}

func isDiskImage(name string) bool {
	return strings.HasPrefix(name, diskImagePrefix) && (strings.HasSuffix(name, diskImageSuffix) || strings.HasSuffix(name, diskDirSuffix))
}
