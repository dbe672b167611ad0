package inside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// ErrInUse means that a mount is in use inside. Callers may test for it.
var ErrInUse = errors.New("in use")

// A Place is a directory or a file inside, on which something can be mounted, or is.
type Place struct {
	*os.File         // opened with O_PATH
	Path      string // inside, without links
	MountID   uint64 // of the mount that it is on (statx(2))
	MountRoot bool   // something is mounted on it
	Directory bool
}

// Place opens name inside. Links are resolved as the guest would resolve them, so
// that none leads out. The caller closes it. The error of a missing one is
// fs.ErrNotExist.
func (r *Root) Place(name string) (*Place, error) {
	f, err := r.Open(name, unix.O_PATH)
	if err != nil {
		return nil, explain(err)
	}
	p := &Place{File: f}
	if err := p.look(name); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *Place) look(name string) error {
	var st unix.Statx_t
	// Linux 5.8 for both.
	if err := unix.Statx(int(p.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_TYPE|unix.STATX_MNT_ID, &st); err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", p.Fd()))
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	p.Path, p.MountID, p.MountRoot = real, st.Mnt_id, st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	p.Directory = st.Mode&unix.S_IFMT == unix.S_IFDIR
	return nil
}

// MakePlace is Place for a directory, or else a file, that creates what is missing: directories with mode 0755, and
// a file with mode 0644. They belong to the guest's root, whose id on the host is
// owner. Nothing is created where owner may not create it.
func (r *Root) MakePlace(name string, directory bool, owner uint32) (*Place, error) {
	p, err := r.Place(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := as(owner, func() error { return r.create(name, directory) }); err != nil {
			return nil, err
		}
		p, err = r.Place(name)
	}
	if err == nil && p.Directory != directory {
		p.Close()
		if directory {
			return nil, fmt.Errorf("%s inside is not a directory", name)
		}
		return nil, fmt.Errorf("%s inside is a directory, and the source is a file", name)
	}
	return p, err
}

// create creates name, with the directories above it. It has the caller's ids.
func (r *Root) create(name string, directory bool) error {
	up := path.Dir(name)
	find := func() (*os.File, error) { return r.Open(up, unix.O_PATH|unix.O_DIRECTORY) }
	parent, err := find()
	if errors.Is(err, fs.ErrNotExist) && up != name {
		if err := r.create(up, true); err != nil {
			return err
		}
		parent, err = find()
	}
	if err != nil {
		return explain(err)
	}
	defer parent.Close()
	if directory {
		err = unix.Mkdirat(int(parent.Fd()), path.Base(name), 0o755)
	} else {
		var fd int
		fd, err = unix.Openat(int(parent.Fd()), path.Base(name), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s is a link that leads nowhere", name)
	case err != nil:
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// Attach mounts the detached mount tree (open_tree(2)) on place, in the mount
// namespace of p. Both stay open and are the caller's.
func (p *Process) Attach(tree *os.File, place *Place) error { return p.mount(tree, place.File) }

// Detach unmounts what is mounted on place in the mount namespace of p, and closes
// place. While something uses it, or something is mounted below it, Detach is
// ErrInUse and unmounts nothing. No-op if place is no mount any more.
func (p *Process) Detach(place *Place) error {
	place.Close() // an open file would be a use
	return p.unmount(place.Path, 0, func(top *os.File) (bool, error) {
		var st unix.Statx_t
		err := unix.Statx(int(top.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
		return st.Mnt_id == place.MountID, err
	})
}

// Bounded calls do with the root directory of p and waits for it, at most about a
// second and until ctx is done, because a guest can have filesystems that never
// answer. After an error do may still run; undone is called then with what it
// returns in the end.
func Bounded[T any](ctx context.Context, p *Process, do func(*Root) (T, error), undone func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	root, err := p.Root()
	if err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		defer root.Close()
		value, err := do(root)
		done <- result{value, err}
	}()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case r := <-done:
		return r.value, r.err
	case <-limited.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			undone(r.value)
		}
	}()
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	return none, errors.New("timed out while accessing its files")
}
