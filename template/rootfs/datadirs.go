package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"croft/internal/removetree"
	"croft/template/layer"
)

// dataDirs are the directories that a VPS does not see through the overlay.
// Container engines mount overlays of their own there, and overlayfs refuses an
// upper directory that is on an overlay (ovl_dentry_weird).
var dataDirs = []string{"var/lib/docker", "var/lib/containerd", "var/lib/containers"}

// DataPaths returns the paths of directories that a VPS does not see through the overlay,
// without a leading slash.
func DataPaths() []string { return slices.Clone(dataDirs) }

// packageFiles are files of package managers. In a VPS without one a container
// engine cannot be installed later: only its template can contain one.
var packageFiles = []string{"var/lib/dpkg", "var/lib/rpm", "usr/lib/sysimage/rpm", "lib/apk", "usr/lib/apk", "var/lib/pacman", "etc/portage"}

// xattrData marks a data directory in the upper directory: dataReady, or
// dataFilling while it is being filled. Root of a VPS cannot set it.
const (
	xattrData   = "trusted.croft.data"
	dataReady   = "y"
	dataFilling = "filling"
)

// A DataDir is a directory of a VPS's own files that it sees directly, and not
// through the overlay.
type DataDir struct {
	Path string   // inside the VPS
	Tree *os.File // a detached mount of it, for move_mount(2)
}

// DataDirs opens the data directories of r that Mount has created. The caller
// closes their trees. A directory that the VPS has replaced, by a link for
// example, is left out. On an error nothing stays open.
func (r Rootfs) DataDirs() (_ []DataDir, err error) {
	if r.Plain() {
		return nil, nil // the VPS sees all its files directly
	}
	upper, err := layer.OpenTree(r.Upper())
	if err != nil {
		return nil, layer.HostError(err)
	}
	defer upper.Close()
	var all []DataDir
	defer func() {
		if err != nil {
			for _, d := range all {
				d.Tree.Close()
			}
		}
	}()
	for _, dir := range dataDirs {
		fd, err := upper.OpenPlain(dir)
		if err != nil {
			continue
		}
		if dataState(fd) != dataReady {
			unix.Close(fd)
			continue
		}
		tree, err := r.detached(fd)
		unix.Close(fd)
		if err != nil {
			return all, fmt.Errorf("clone /%s: %w", dir, err)
		}
		all = append(all, DataDir{Path: "/" + dir, Tree: os.NewFile(uintptr(tree), dir)})
	}
	return all, nil
}

// detached returns a detached mount of the directory fd, with the flags of the
// VPS's root filesystem.
func (r Rootfs) detached(fd int) (int, error) {
	tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return -1, err
	}
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if r.flags()&unix.MS_NODEV != 0 {
		attr.Attr_set = unix.MOUNT_ATTR_NODEV
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(tree)
		return -1, err
	}
	return tree, nil
}

// makeDataDirs creates the missing data directories in the upper directory and
// fills them from lowers, the layers mounted with the VPS's ids. A directory in
// which the VPS has files already stays on the overlay, because the upper
// directory may have only some of the files that the overlay shows. The overlay
// must not be mounted yet.
func (r Rootfs) makeDataDirs(lowers []string) error {
	upper, err := layer.OpenLayers(r.Upper(), lowers)
	if err != nil {
		return layer.HostError(err)
	}
	defer upper.Close()
	packages := slices.ContainsFunc(packageFiles, func(name string) bool { return hasDir(upper, name) })
	for _, dir := range dataDirs {
		if !hasDir(upper, path.Dir(dir)) || !packages && !hasDir(upper, dir) {
			continue // this system does not use such a directory
		}
		if err := r.makeDataDir(upper, dir); err != nil {
			return layer.HostError(fmt.Errorf("make /%s: %w", dir, err))
		}
	}
	return nil
}

// hasDir reports whether name is a directory in t or a layer below. A path with a
// symbolic link does not count.
func hasDir(t *layer.Tree, name string) bool {
	for _, at := range append([]*layer.Tree{t}, t.Below...) {
		fd, err := at.OpenPlain(name)
		if err == nil {
			unix.Close(fd)
			return true
		}
		if !errors.Is(err, unix.ENOENT) {
			return false // a link, a file, or a whiteout
		}
	}
	return false
}

func (r Rootfs) makeDataDir(upper *layer.Tree, dir string) error {
	fd, err := upper.OpenPlain(dir)
	made := errors.Is(err, unix.ENOENT)
	if made {
		if _, target := upper.LookBelow(dir); target != "" {
			return nil // the template has a link there
		}
		if fd, err = upper.MakeAll(dir); err == nil {
			unix.Close(fd)
			fd, err = upper.OpenPlain(dir)
		}
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EEXIST) {
		return nil // the VPS has put something else there
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if made {
		if like, _ := upper.LookBelow(dir); like == nil {
			if err := unix.Fchown(fd, int(r.First), int(r.First)); err != nil {
				return err
			}
		}
	}
	switch state := dataState(fd); {
	case state == dataReady:
		return nil
	case state == dataFilling:
		if err := clearDir(fd); err != nil { // an earlier start was interrupted
			return err
		}
	case hasEntries(fd):
		return nil
	case isOpaque(fd): // the VPS has removed the files of the layers there
		return setData(fd, dataReady)
	}
	return fillDataDir(upper, fd, dir)
}

// fillDataDir copies the content of dir in the layers below t, the lowest first,
// into the empty directory fd, which is dir in t. Then it hides the lower ones.
func fillDataDir(t *layer.Tree, fd int, dir string) error {
	var sources []int
	defer func() {
		for _, s := range sources {
			unix.Close(s)
		}
	}()
	for _, b := range t.Below {
		source, err := b.OpenPlain(dir)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			break
		}
		sources = append(sources, source)
		if isOpaque(source) {
			break
		}
	}
	if err := setData(fd, dataFilling); err != nil {
		return err
	}
	c := copier{root: fd, links: map[layer.FileID]string{}}
	for _, s := range slices.Backward(sources) {
		if err := c.directory(s, fd, ""); err != nil {
			return err
		}
	}
	if len(sources) > 0 {
		if err := layer.SetOpaque(fd); err != nil {
			return err
		}
	}
	return setData(fd, dataReady)
}

func setData(fd int, state string) error {
	if err := unix.Fsetxattr(fd, xattrData, []byte(state), 0); err != nil {
		return fmt.Errorf("set %s: %w", xattrData, err)
	}
	return nil
}

func dataState(fd int) string { return readXattr(fd, xattrData) }

func isOpaque(fd int) bool { return readXattr(fd, layer.XattrOpaque) == "y" }

func readXattr(fd int, name string) string {
	value := make([]byte, 16)
	n, err := unix.Fgetxattr(fd, name, value)
	if err != nil {
		return ""
	}
	return string(value[:n])
}

func hasEntries(fd int) bool {
	names, err := namesIn(fd)
	return err != nil || len(names) > 0
}

// clearDir removes the content of the directory fd.
func clearDir(fd int) error {
	names, err := namesIn(fd)
	for _, name := range names {
		if err != nil {
			break
		}
		err = removetree.At(context.Background(), fd, name)
	}
	return err
}

// namesIn returns the names in the directory fd. It does not change fd's offset.
func namesIn(fd int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), ".")
	defer dir.Close()
	return dir.Readdirnames(-1)
}
