package tree

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// ErrRedirect says that a layer has a directory or a file that overlayfs finds
// under another name in the layers below. Such layers cannot be merged.
var ErrRedirect = errors.New("the layer refers to other names in the layers below")

// xattrMetacopy marks a file whose data a layer below has.
const xattrMetacopy = "trusted.overlay.metacopy"

// findRedirect returns ErrRedirect if a directory in the tree is a redirect or a
// file has no data of its own.
func findRedirect(ctx context.Context, root *os.File) error {
	for queue := []*place{{}}; len(queue) > 0; {
		next := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if err := ctx.Err(); err != nil {
			return err
		}
		subs, err := redirectIn(root, next)
		if err != nil {
			return fmt.Errorf("read %.200q in %s: %w", next.path(), root.Name(), err)
		}
		queue = append(queue, subs...)
	}
	return nil
}

// redirectIn is findRedirect for the entries of one directory. It returns the
// directories in it.
func redirectIn(root *os.File, dir *place) (subs []*place, err error) {
	fd, err := dir.open(int(root.Fd()))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := sortedNames(fd)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, err
		}
		attribute := xattrMetacopy
		switch kindOf(st.Mode) {
		case unix.S_IFDIR:
			attribute = layer.XattrRedirect
			sub, err := dir.below(name)
			if err != nil {
				return nil, err
			}
			subs = append(subs, sub)
		case unix.S_IFREG:
		default:
			continue
		}
		if _, has, err := xattrOf(fd, name, attribute); err != nil {
			return nil, err
		} else if has {
			return nil, fmt.Errorf("%.200q: %w", name, ErrRedirect)
		}
	}
	return subs, nil
}
