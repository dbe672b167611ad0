package images

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"croft/template/facts"
	"croft/template/layer"
	"croft/template/rootfs"
)

// DescribeLayers finds distribution, init and date of an image in the files of its
// layers, the lowest first. The layers are in the stage or in the store.
func (s *Store) DescribeLayers(st *Stage, layers []digest.Digest) (Image, error) {
	var dirs []string // the topmost first
	seen := map[digest.Digest]bool{}
	for i := len(layers) - 1; i >= 0; i-- {
		if seen[layers[i]] {
			continue
		}
		seen[layers[i]] = true
		dir := st.Path(LayerName(layers[i]))
		if _, err := os.Lstat(dir); err != nil {
			dir = s.LayerDir(layers[i].String())
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 1 || os.Geteuid() != 0 {
		return describeEach(dirs)
	}
	var im Image
	err := rootfs.WithMerged(st.Path("merged"), dirs, func(root string) error {
		t, err := layer.OpenTree(root)
		if err != nil {
			return err
		}
		defer t.Close()
		im = DescribeTree(t)
		return nil
	})
	return im, err
}

// describeEach looks at each layer alone, the topmost first. It misses files behind
// a link from one layer into another.
func describeEach(dirs []string) (Image, error) {
	var im Image
	for _, dir := range dirs {
		t, err := layer.OpenTree(dir)
		if err != nil {
			return Image{}, err
		}
		one := DescribeTree(t)
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

// DescribeTree returns an image with the facts about the root filesystem t.
func DescribeTree(t *layer.Tree) Image {
	f := facts.Of(t)
	return Image{Distribution: f.Distribution, Release: f.Release, Created: f.Created, Init: f.Init, ContainerEnv: f.ContainerEnv}
}

// treeSize returns the total size of the files in dir in bytes, with holes. A file
// with several hard links counts once.
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
