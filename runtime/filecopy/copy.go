package filecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"croft/internal/fail"
	"croft/template/layer"
)

// An End is where a copy comes from or goes to: a path in a tree, or a tar
// archive.
type End struct {
	Tree   Tree
	Path   string
	Reader io.Reader // not nil: a source that is an archive; Path and Tree are not used
	Writer io.Writer // not nil: a destination that is an archive
}

// Options is what Copy may be told.
type Options struct {
	Owner     *[2]int         // user and group id in the destination; nil: those of the source
	DropSetID bool            // no file of the destination gets a set-ID bit or a capability
	Count     func(bytes int) // is told of bytes that were read; may be nil
}

// A Result is what Copy reports.
type Result struct {
	Dropped int // files that lost a set-ID bit or a capability
}

// Copy copies the source, with everything below it, to the destination: see
// Decide for its place there. Sockets and device nodes are left out. So is the
// content of filesystems of the kernel, such as /proc, below the source. A link
// is copied as a link. On an error the files that were complete by then stay;
// each file of the destination is the former or the new one, and not a part. A
// source or a destination that does not exist is fail.NotFound.
func Copy(ctx context.Context, from, to End, o Options) (Result, error) {
	if from.Reader != nil {
		return unpackStream(ctx, from.Reader, to, o)
	}
	source, err := from.Tree.find(from.Path)
	if err != nil {
		return Result{}, err
	}
	defer source.close()
	about := SourceOf(from.Path, source.dir())
	if to.Writer != nil {
		name := about.Name
		if about.Contents {
			name = ""
		}
		return Result{}, pack(ctx, to.Writer, from, source, name, o)
	}
	target, err := to.Tree.target(to.Path)
	if err != nil {
		return Result{}, err
	}
	place, err := Decide(about, target)
	if err != nil {
		return Result{}, err
	}
	dir, err := to.Tree.openDir(place.Dir)
	if err != nil {
		return Result{}, err
	}
	defer dir.Close()
	if err := apart(from, to, source, dir, place.Name); err != nil {
		return Result{}, err
	}
	return through(ctx, from, to, source, dir, place.Name, o)
}

// apart refuses to copy a file over itself, and a directory into itself.
func apart(from, to End, source *entry, dir *os.File, name string) error {
	if source.dir() {
		inside, err := to.Tree.within(dir, source)
		if err != nil {
			return err
		}
		if inside {
			return fail.New(fail.Usage, "%s%s is a directory, and %s%s is inside it", from.Tree.Name, from.Path, to.Tree.Name, to.Path)
		}
		return nil
	}
	if there, err := (Tree{Root: dir, Name: to.Tree.Name}).find(name); err == nil {
		defer there.close()
		if there.same(&source.stat) {
			return fail.New(fail.Usage, "%s%s and %s%s are the same file", from.Tree.Name, from.Path, to.Tree.Name, to.Path)
		}
		if there.dir() {
			return fail.New(fail.Usage, "%s%s is a directory", to.Tree.Name, to.Path)
		}
	}
	return nil
}

// through packs the source and unpacks it into dir at the same time.
func through(ctx context.Context, from, to End, source *entry, dir *os.File, name string, o Options) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(ctx, w, from, source, name, o)
		w.CloseWithError(err)
		packed <- err
	}()
	files := &layer.Files{IDs: to.Tree.IDs, Owner: o.Owner, DropSetID: o.DropSetID}
	err := to.Tree.create(func() error { return layer.UnpackFiles(ctx, dir, r, files) })
	if err != nil {
		cancel()
	}
	r.CloseWithError(errors.New("the copy has ended"))
	switch perr := <-packed; {
	case perr != nil && (err == nil || errors.Is(err, perr)):
		return Result{}, perr
	case err != nil:
		return Result{}, to.Tree.writeFailure(to.Path, err)
	}
	return Result{Dropped: files.Dropped}, nil
}

// pack writes the source to an archive.
func pack(ctx context.Context, w io.Writer, from End, source *entry, name string, o Options) error {
	p := layer.NewPacker(ctx, w, from.Tree.IDs)
	if err := p.PackFile(source.parent, source.base, name, onKernelFilesystem, o.Count); err != nil {
		return fmt.Errorf("%s%s: %w", from.Tree.Name, from.Path, err)
	}
	return p.Finish()
}

// unpackStream unpacks an archive into a directory that exists.
func unpackStream(ctx context.Context, r io.Reader, to End, o Options) (Result, error) {
	if to.Writer != nil {
		return Result{}, fail.New(fail.Usage, "source and destination are both an archive")
	}
	dir, err := to.Tree.openDir(to.Path)
	if err != nil {
		return Result{}, err
	}
	defer dir.Close()
	plain, err := layer.Decompress(r)
	if err != nil {
		return Result{}, fail.New(fail.Usage, "the archive on standard input is damaged: %w", err)
	}
	defer plain.Close()
	files := &layer.Files{IDs: to.Tree.IDs, Owner: o.Owner, DropSetID: o.DropSetID, Count: o.Count}
	err = to.Tree.create(func() error { return layer.UnpackFiles(ctx, dir, plain, files) })
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	if layer.BadArchive(err) {
		return Result{}, fail.New(fail.Usage, "the archive on standard input is damaged, or does not fit: %w", err)
	}
	if err != nil {
		return Result{}, to.Tree.writeFailure(to.Path, err)
	}
	return Result{Dropped: files.Dropped}, nil
}
