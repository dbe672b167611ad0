package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Digest returns a digest of the tree below dir. Each change of a file changes it: name,
// type, mode, owner, size, and the time of the last change of status (ctime), which only the
// kernel sets.
func Digest(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: dir, Err: err}
	}
	sum := sha256.New()
	if err := digestDir(sum, fd, "."); err != nil {
		return "", fmt.Errorf("read the files of the VPS: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// digestDir adds what the directory fd has to sum, and closes fd.
func digestDir(sum hash.Hash, fd int, path string) error {
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	for _, name := range names {
		if err := digestFile(sum, fd, name, strings.TrimPrefix(path+"/"+name, "./")); err != nil {
			return err
		}
	}
	return nil
}

// digestFile adds the file name in the directory fd to sum, with all below it.
func digestFile(sum hash.Hash, fd int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	size := st.Size
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = 0 // of what it once had
	}
	fmt.Fprintf(sum, "%q %o %d %d %d %d.%d\n", path, st.Mode, st.Uid, st.Gid, size, st.Ctim.Sec, st.Ctim.Nsec)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return digestDir(sum, sub, path)
}
