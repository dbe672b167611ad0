package rootfs

import (
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// Above returns the path, inside the VPS, of one of the VPS's own files whose owner or
// group is not among the first size ids of r, or "" without one. The VPS must not
// run.
func (r Rootfs) Above(size uint32) (string, error) {
	own := append([]Frozen{r.Own()}, r.Frozen...)
	for _, f := range own {
		if found, err := f.above(size); found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}

func (f Frozen) above(size uint32) (string, error) {
	found := ""
	err := filepath.WalkDir(f.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if !layer.IsWhiteout(&st) && (st.Uid-f.First >= size || st.Gid-f.First >= size) {
			found = "/" + path[min(len(path), len(f.Dir)+1):]
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil {
		return "", layer.HostError(err)
	}
	return found, nil
}
