package template

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"croft/internal/initkind"
	"croft/template/layer"
	"croft/template/rootfs"
)

// describeLayers reads from the files of an image's layers, lowest first, what
// it is. They lie in the stage, or in the store.
func (s *Store) describeLayers(st *stage, layers []digest.Digest) (Image, error) {
	var dirs []string // the topmost first
	seen := map[digest.Digest]bool{}
	for i := len(layers) - 1; i >= 0; i-- {
		if seen[layers[i]] {
			continue
		}
		seen[layers[i]] = true
		dir := st.path(layerName(layers[i]))
		if _, err := os.Lstat(dir); err != nil {
			dir = s.layerDir(layers[i].String())
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 1 || os.Geteuid() != 0 {
		return describeEach(dirs)
	}
	var im Image
	err := rootfs.WithMerged(st.path("merged"), dirs, func(root string) error {
		t, err := layer.OpenTree(root)
		if err != nil {
			return err
		}
		defer t.Close()
		im = describeTree(t)
		return nil
	})
	return im, err
}

// describeEach asks each layer alone, the topmost first: what it says is
// right unless a link leads from one into another.
func describeEach(dirs []string) (Image, error) {
	var im Image
	for _, dir := range dirs {
		t, err := layer.OpenTree(dir)
		if err != nil {
			return Image{}, err
		}
		one := describeTree(t)
		t.Close()
		if im.Init == "" {
			im.Init, im.ContainerEnv = one.Init, one.ContainerEnv
		}
		if im.Distribution == "" {
			im.Distribution, im.Release, im.Created = one.Distribution, one.Release, one.Created
		}
	}
	return im, nil
}

// describeTree is what the root filesystem t is.
func describeTree(t *layer.Tree) Image {
	im := Image{Init: string(initOf(t))}
	if im.Init == string(initkind.AnyOpenRC) {
		im.ContainerEnv = "lxc" // the only one of those it knows that fits a VPS
	}
	im.Distribution, im.Release, im.Created = osRelease(t)
	return im
}

// treeSize is the bytes of the files in dir, holes too, each hard link once.
func treeSize(dir string) (int64, error) {
	var total int64
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		if st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		total += st.Size
		return nil
	})
	return total, layer.HostError(err)
}
