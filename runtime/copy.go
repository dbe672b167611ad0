package runtime

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/filecopy"
	"croft/runtime/look"
	"croft/template/layer"
)

// A CopyEnd is where a copy comes from or goes to: a path inside a VPS, a path on
// the host, or a tar archive.
type CopyEnd struct {
	VPS    vps.Name  // "" is the host
	Path   string    // inside, from its root directory; on the host, as the caller typed it
	Reader io.Reader // of an archive that is copied; nil for files
	Writer io.Writer // of an archive that is written; nil for files
}

// CopyOptions is what Copy may be told.
type CopyOptions struct {
	Owner *[2]int // user and group id in the destination; nil: those that the source has
	SetID bool    // set-user-ID and set-group-ID bits and capabilities reach the host
	// Progress is told how many bytes have been copied. Nil drops it.
	Progress func(done int64)
}

// Copy copies files between VPSs, the host and tar archives, with their owners,
// modes, times, links, holes and attributes. Owners are numbers, those of the
// VPS inside. A VPS may run; one that does not run stays locked until the copy
// has ended. Files that reach the host lose set-ID bits and capabilities, unless
// o.SetID, and a warning says how many. See filecopy.Copy for the rules of
// places and for what stays on an error.
func (m *Manager) Copy(ctx context.Context, from, to CopyEnd, o CopyOptions) error {
	for _, e := range []*CopyEnd{&from, &to} {
		if e.VPS == "" {
			var err error
			if e.Path, err = hostPath(e.Path); err != nil {
				return err
			}
		}
	}
	if from.VPS != "" && from.VPS == to.VPS {
		root, done, err := m.openTree(ctx, from)
		if err != nil {
			return err
		}
		defer done()
		return m.copyFiles(ctx, fileEnd(root, from), fileEnd(root, to), o, false)
	}
	source, done, err := m.openTree(ctx, from)
	if err != nil {
		return err
	}
	defer done()
	target, done, err := m.openTree(ctx, to)
	if err != nil {
		return err
	}
	defer done()
	return m.copyFiles(ctx, fileEnd(source, from), fileEnd(target, to), o, to.VPS == "" && to.Writer == nil && !o.SetID)
}

func fileEnd(t filecopy.Tree, e CopyEnd) filecopy.End {
	return filecopy.End{Tree: t, Path: e.Path, Reader: e.Reader, Writer: e.Writer}
}

func (m *Manager) copyFiles(ctx context.Context, from, to filecopy.End, o CopyOptions, dropSetID bool) error {
	options := filecopy.Options{Owner: o.Owner, DropSetID: dropSetID}
	if o.Progress != nil {
		var done int64
		options.Count = func(bytes int) {
			done += int64(bytes)
			o.Progress(done)
		}
	}
	r, err := filecopy.Copy(ctx, from, to, options)
	if r.Dropped > 0 {
		m.warn(droppedText(r.Dropped))
	}
	return err
}

// openTree opens the tree that e is in. The caller calls the function when the
// copy has ended.
func (m *Manager) openTree(ctx context.Context, e CopyEnd) (filecopy.Tree, func(), error) {
	switch {
	case e.Reader != nil || e.Writer != nil:
		return filecopy.Tree{}, func() {}, nil
	case e.VPS == "":
		return openHost()
	}
	v, err := m.store.Get(e.VPS)
	if err == nil {
		err = look.CheckRecord(v)
	}
	if err != nil {
		return filecopy.Tree{}, nil, err
	}
	tree := filecopy.Tree{Name: string(v.Name) + ":", IDs: layer.IDs{First: v.IDs.First, Size: v.IDs.Size}}
	init, err := m.liveInit(v.Name)
	if err != nil {
		return filecopy.Tree{}, nil, err
	}
	if init != (inside.Identity{}) {
		if tree.Root, err = openRunning(init); err == nil {
			return tree, func() { tree.Root.Close() }, nil
		}
		return filecopy.Tree{}, nil, err
	}
	root, done, err := m.openStopped(ctx, v)
	tree.Root = root
	return tree, done, err
}

func openRunning(init inside.Identity) (*os.File, error) {
	p, err := init.Open()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	root, err := p.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open("/", unix.O_PATH|unix.O_DIRECTORY)
}

// openStopped opens the files of v, which does not run, and keeps its lock and
// its life until the caller calls the function: no start can mount them.
func (m *Manager) openStopped(ctx context.Context, v vps.VPS) (*os.File, func(), error) {
	l, v, err := m.lockAndLoadAsIs(ctx, v.Name)
	if err != nil {
		return nil, nil, err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) { // started since
		err = fail.New(fail.State, "%s is starting or stopping", v.Name).WithHint("croft wait --for running %s", v.Name)
	}
	if err != nil {
		l.Unlock()
		return nil, nil, err
	}
	root, err := m.openFiles(v)
	if err != nil {
		state.ReleaseLife(life)
		l.Unlock()
		return nil, nil, err
	}
	return root, func() { root.Close(); state.ReleaseLife(life); l.Unlock() }, nil
}

// openFiles opens the root filesystem of v, which does not run: where croft mount
// has mounted it, or else in a mount of its own.
func (m *Manager) openFiles(v vps.VPS) (*os.File, error) {
	root, err := m.rootfs(v)
	if err != nil {
		return nil, err
	}
	mounted, err := m.rootfses.Mounted(root)
	if err != nil {
		return nil, err
	}
	if mounted {
		return os.OpenFile(root.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	}
	return m.rootfses.Open(root)
}

// openHost opens the files of the host.
func openHost() (filecopy.Tree, func(), error) {
	root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return filecopy.Tree{}, nil, err
	}
	return filecopy.Tree{Root: root}, func() { root.Close() }, nil
}

// hostPath makes a path on the host absolute. Unlike filepath.Abs it keeps what
// the path ends with: "/" and "/." say that it is a directory.
func hostPath(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return here + "/" + name, nil
}

func droppedText(files int) string {
	return fmt.Sprintf("%d of the files had set-user-ID or set-group-ID bits or capabilities, and were copied without them (--set-id keeps them)", files)
}
