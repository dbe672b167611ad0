package rootfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"croft/template/layer"
)

// Above returns the path, inside the VPS, of one of the VPS's own files whose owner or
// group is not among the first size ids of r, or "" without one. The VPS must not
// run.
func (r Rootfs) Above(size uint32) (string, error) {
	found := ""
	err := filepath.WalkDir(r.Upper(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && (st.Uid-r.First >= size || st.Gid-r.First >= size) {
			found = "/" + path[min(len(path), len(r.Upper())+1):]
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil {
		return "", layer.HostError(err)
	}
	return found, nil
}
