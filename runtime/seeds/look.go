package seeds

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"croft/internal/fail"
)

// instance is the same for the same data, so that the same data twice change nothing.
func instance(uuid string, data []byte) string {
	return fmt.Sprintf("%s-%x", uuid, sha256.Sum256(data))[:len(uuid)+9]
}

// most is more than any of these files has, in bytes.
const most = 1 << 20

// readFile returns the content of the file at path, nil if it is missing.
func readFile(root fs.FS, path string) ([]byte, error) {
	f, err := root.Open(path[1:])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var text []byte
	if err == nil {
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	if err == nil && len(text) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	if err != nil {
		return nil, fail.New(fail.State, "cannot read %s inside: %w", path, err)
	}
	return text, nil
}

// exists reports whether path is there, after links.
func exists(root fs.FS, path string) bool {
	_, err := fs.Stat(root, path[1:])
	return err == nil
}

// regular is exists for regular files.
func regular(root fs.FS, path string) bool {
	info, err := fs.Stat(root, path[1:])
	return err == nil && info.Mode().IsRegular()
}

// isDir is exists for directories.
func isDir(root fs.FS, path string) bool {
	info, err := fs.Stat(root, path[1:])
	return err == nil && info.IsDir()
}

// isFile reports whether path itself is a regular file and not a link.
func isFile(root fs.FS, path string) bool {
	info, err := fs.Lstat(root, path[1:])
	return err == nil && info.Mode().IsRegular()
}

// isLink reports whether path is a link, wherever it leads.
func isLink(root fs.FS, path string) bool {
	info, err := fs.Lstat(root, path[1:])
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}
