package guests

import (
	"io/fs"

	"croft/internal/inside"
)

// OwnDirs are directories on the host that say which files a VPS has written.
type OwnDirs struct {
	Dir string // they are here
	// Template are the layers of the template, the topmost first, if Dir has its files too.
	Template []string
}

// open opens the directories. The caller closes them.
func (o OwnDirs) open() (*ownFS, error) {
	own := &ownFS{}
	for _, dir := range append([]string{o.Dir}, o.Template...) {
		root, err := inside.OpenRoot(dir)
		if err != nil {
			own.close()
			return nil, err
		}
		own.roots = append(own.roots, root)
	}
	return own, nil
}

// An ownFS has the files of the first root that no other root has as they are.
type ownFS struct{ roots []*inside.Root }

func (o *ownFS) close() {
	for _, root := range o.roots {
		root.Close()
	}
}

// Open opens a file, whether the VPS has written it or not.
func (o *ownFS) Open(name string) (fs.File, error) { return o.roots[0].FS().Open(name) }

// Lstat is fs.ErrNotExist for a file of the template that has not changed.
func (o *ownFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(o.roots[0].FS(), name)
	if err != nil {
		return nil, err
	}
	for _, root := range o.roots[1:] {
		was, err := fs.Lstat(root.FS(), name)
		if err != nil {
			continue
		}
		if was.Mode() == info.Mode() && was.Size() == info.Size() && was.ModTime().Equal(info.ModTime()) {
			return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
		}
		break
	}
	return info, nil
}

// ReadLink returns the target of a link.
func (o *ownFS) ReadLink(name string) (string, error) { return fs.ReadLink(o.roots[0].FS(), name) }
