package layer

import (
	"archive/tar"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A Difference is a name, relative to the root, at which two trees differ.
type Difference struct {
	Name string
	Was  bool // the old tree has it
	Is   bool // the new tree has it
}

// PackDifferences writes an archive that makes the tree root of the old one, as a layer
// above it. each calls its argument for each difference, a directory before its content.
// An archive cannot have sockets and device nodes. If the old tree has something else
// there, that is removed. The new tree is a merged one, without whiteouts.
func (p *Packer) PackDifferences(root *os.File, each func(add func(Difference) error) error) error {
	p.Standalone = true
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return fmt.Errorf("read the root directory: %w", err)
	}
	h := p.header("./", &st)
	h.Typeflag = tar.TypeDir
	if err := p.tar.WriteHeader(h); err != nil {
		return err
	}
	d := differences{Packer: p, root: root, dirs: map[string]bool{"": true}}
	defer d.leave()
	if err := each(d.add); err != nil {
		return err
	}
	return p.tar.Close()
}

// differences packs differences.
type differences struct {
	*Packer
	root *os.File
	dirs map[string]bool // directories that are in the archive
	dir  string          // that is open
	open *os.File        // nil: none
}

func (d *differences) leave() {
	if d.open != nil {
		d.open.Close()
	}
	d.open = nil
}

func (d *differences) add(one Difference) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	name := strings.Trim(one.Name, "/")
	dir, base := path.Split(name)
	parent, err := d.enter(strings.TrimSuffix(dir, "/"))
	if err == nil {
		err = d.pack(parent, name, base, one)
	}
	if err != nil {
		return fmt.Errorf("pack /%s: %w", name, err)
	}
	return nil
}

func (d *differences) pack(parent int, name, base string, one Difference) error {
	whiteout := func() error {
		if !one.Was {
			return nil
		}
		return d.whiteout(strings.TrimSuffix(name, base) + whiteoutPrefix + base)
	}
	if !one.Is {
		return whiteout()
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return d.directoryAlone(name)
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFSOCK:
		return whiteout()
	}
	return d.entry(parent, name, base)
}

// enter opens the directory dir, and packs it and its parents, unless the archive has
// them already. So they keep their attributes.
func (d *differences) enter(dir string) (int, error) {
	if d.open != nil && d.dir == dir {
		return int(d.open.Fd()), nil
	}
	d.leave()
	if err := d.directoryAlone(dir); err != nil {
		return -1, err
	}
	fd, err := d.openDir(dir)
	if err != nil {
		return -1, err
	}
	d.dir, d.open = dir, os.NewFile(uintptr(fd), dir)
	return fd, nil
}

// directoryAlone packs a directory without its content, after its parents. No-op if the
// archive has it.
func (d *differences) directoryAlone(dir string) error {
	if d.dirs[dir] {
		return nil
	}
	above := path.Dir(dir)
	if above == "." {
		above = ""
	}
	if err := d.directoryAlone(above); err != nil {
		return err
	}
	fd, err := d.openDir(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	h := d.header(dir+"/", &st)
	h.Typeflag = tar.TypeDir
	if err := d.attributes(fd, h); err != nil {
		return err
	}
	d.dirs[dir] = true
	return d.tar.WriteHeader(h)
}

func (d *differences) openDir(dir string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	if dir == "" {
		dir = "."
	}
	return unix.Openat2(int(d.root.Fd()), dir, &how)
}
