// Package mounts mounts directories and files of the host, volumes and tmpfs in
// VPSs, and unmounts them.
package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/userns"
	"croft/internal/vps"
)

// A Mount is a mount of a VPS, with what the host has for it.
type Mount struct {
	vps.Mount
	// Path is the directory or file on the host; "" for a tmpfs.
	Path string
	// Memory is what the VPS may use, in bytes; 0 is without a limit. Half of it is
	// the size of a tmpfs without one.
	Memory int64
}

// size returns the size of a tmpfs in bytes; 0 is the kernel's default, half of the
// host's memory.
func (m Mount) size() int64 {
	if m.Size != 0 {
		return m.Size
	}
	return m.Memory / 2
}

// shifts reports whether m gets the ids of the VPS.
func (m Mount) shifts(ids vps.IDRange) bool {
	return m.Kind != vps.MountTmpfs && !m.HostIDs && ids.Size != 0
}

// A Guest is a VPS that runs, or whose init waits.
type Guest struct {
	Name    vps.Name
	IDs     vps.IDRange
	Process *inside.Process // its init
	Scratch string          // a directory of the host
	// PIDs returns the processes of the VPS, as numbers of the host.
	PIDs func() ([]int, error)
}

// Access mounts in the VPSs of this host.
type Access struct{}

// Check returns an error if a VPS could not have one of all now: fail.State if
// something is missing on the host, fail.Host if the filesystem cannot be mounted
// with the ids of a VPS. privileged says that the VPS has no ids of its own.
func (Access) Check(all []Mount, privileged bool) error {
	ids := vps.IDRange{First: userns.Trial(), Size: 1}
	if privileged {
		ids = vps.IDRange{}
	}
	ns, err := namespaceFor(all, ids)
	if err != nil {
		return err
	}
	defer ns.Close()
	for _, m := range all {
		if m.Kind == vps.MountTmpfs {
			continue
		}
		tree, err := newTree(m, ids, ns)
		if err != nil {
			return err
		}
		tree.Close()
	}
	return nil
}

// Ensure mounts all in the guest, in their order. Targets that are missing inside
// are created. What is mounted already stays as it is. After an error the mounts
// before the failed one are there.
func (Access) Ensure(ctx context.Context, g Guest, all []Mount) error {
	var missing []Mount
	for _, m := range all {
		has, err := g.has(ctx, m)
		if err != nil {
			return err
		}
		if !has {
			missing = append(missing, m)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	trees, err := g.trees(missing)
	defer closeAll(trees)
	if err != nil {
		return err
	}
	for n, m := range missing {
		if err := g.attach(ctx, m, trees[n]); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m, err)
		}
	}
	return nil
}

// Remove unmounts m in the guest. While it is in use, Remove is fail.Busy, names
// the users, and unmounts nothing. No-op if it is not mounted on its target.
func (Access) Remove(ctx context.Context, g Guest, m Mount) error {
	for tries := 1; ; tries++ {
		users, err := g.detach(ctx, m)
		if !errors.Is(err, inside.ErrInUse) {
			return err
		}
		// The kernel also counts a path lookup of another thread, for a moment.
		if users != "" || tries == mostTries {
			return fail.New(fail.Busy, "the mount on %s is in use inside%s", m.Target, users).WithHint("croft top %s", g.Name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(beforeTry):
		}
	}
}

// A use that no process has is waited for: so often, and so long each time.
const (
	mostTries = 20
	beforeTry = 50 * time.Millisecond
)

// detach unmounts m once. If that is inside.ErrInUse, it returns what is known of the
// users, as the end of a sentence.
func (g Guest) detach(ctx context.Context, m Mount) (users string, err error) {
	place, err := g.place(ctx, m)
	if err != nil || place == nil {
		return "", err
	}
	defer place.Close()
	id := place.MountID
	if err = g.Process.Detach(place); errors.Is(err, inside.ErrInUse) {
		users = g.usersOf(m, id)
	}
	return users, err
}

// has reports whether m is mounted on its target.
func (g Guest) has(ctx context.Context, m Mount) (bool, error) {
	place, err := g.place(ctx, m)
	if err != nil || place == nil {
		return false, err
	}
	place.Close()
	return true, nil
}

// place opens the target of m if m is mounted there; nil if it is not.
func (g Guest) place(ctx context.Context, m Mount) (*inside.Place, error) {
	is, err := m.identity()
	if err != nil {
		return nil, err
	}
	open := func(r *inside.Root) (*inside.Place, error) { return r.Place(m.Target) }
	place, err := inside.Bounded(ctx, g.Process, open, closePlace)
	if errors.Is(err, inside.ErrGone) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, nil // nothing, or something else: Ensure says what is in the way
	}
	if !place.MountRoot || !is.matches(place.File) {
		place.Close()
		return nil, nil
	}
	return place, nil
}

func (g Guest) attach(ctx context.Context, m Mount, tree *os.File) error {
	directory, err := isDirectory(tree)
	if err != nil {
		return err
	}
	open := func(r *inside.Root) (*inside.Place, error) { return r.MakePlace(m.Target, directory, g.IDs.First) }
	place, err := inside.Bounded(ctx, g.Process, open, closePlace)
	if errors.Is(err, fs.ErrPermission) {
		return fail.New(fail.State, "root inside may not create %s: %w", m.Target, err).
			WithHint("croft exec %s -- mkdir -p %s", g.Name, m.Target)
	}
	if errors.Is(err, inside.ErrGone) {
		return err
	}
	if err != nil {
		return fail.New(fail.State, "%w", err)
	}
	defer place.Close()
	return g.Process.Attach(tree, place)
}

func closePlace(p *inside.Place) { p.Close() }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func isDirectory(f *os.File) (bool, error) {
	info, err := f.Stat()
	return err == nil && info.IsDir(), err
}

// An identity tells the filesystem and the file that are mounted on a target.
type identity struct {
	unknown  bool // the source is missing: any mount counts
	tmpfs    bool
	size     int64 // of a tmpfs that has one of its own
	dev, ino uint64
}

// identity returns that of m.
func (m Mount) identity() (identity, error) {
	if m.Kind == vps.MountTmpfs {
		return identity{tmpfs: true, size: m.Size}, nil
	}
	source, err := openSource(m)
	if fail.Is(err, fail.State) {
		return identity{unknown: true}, nil
	}
	if err != nil {
		return identity{}, err
	}
	defer source.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(source.Fd()), &st); err != nil {
		return identity{}, fmt.Errorf("look at %s: %w", m.Path, err)
	}
	return identity{dev: st.Dev, ino: st.Ino}, nil
}

// matches reports whether f is what i tells.
func (i identity) matches(f *os.File) bool {
	if i.unknown {
		return true
	}
	if i.tmpfs {
		var st unix.Statfs_t
		if unix.Fstatfs(int(f.Fd()), &st) != nil || st.Type != unix.TMPFS_MAGIC {
			return false
		}
		return i.size == 0 || int64(st.Blocks) == (i.size+st.Bsize-1)/st.Bsize
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Dev == i.dev && st.Ino == i.ino
}

// usersOf names the users of the mount id, for an error.
func (g Guest) usersOf(m Mount, id uint64) string {
	pids, err := g.PIDs()
	if err != nil {
		return ""
	}
	slices.Sort(pids)
	var names []string
	for _, pid := range pids {
		if uses(pid, id) {
			names = append(names, describe(pid))
		}
	}
	const most = 8
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	if below := mountsBelow(g.Process, m.Target); len(below) > 0 {
		names = append(names, "another mount on "+strings.Join(below, ", "))
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}
