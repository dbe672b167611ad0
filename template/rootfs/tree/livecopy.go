package tree

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"croft/template/layer"
)

// A LiveCopy copies the upper directory of an overlay that a VPS uses. The copy is
// exact: owners, modes, times in nanoseconds, all extended attributes with those
// of overlayfs, hard links, whiteouts and other nodes, holes of files. Only
// access times of files that did not change are those of an earlier pass.
//
// It works in passes. The first one copies everything, a later one only files
// that have changed since. A file that a process removes or replaces during a
// pass may be missing after it. When the VPS is paused, LastPass makes the copy
// equal to the tree.
type LiveCopy struct {
	from, to *os.File
	top      *known
	noClone  atomic.Bool // the filesystem cannot share blocks between files
	origins  []*os.File  // directories whose files have the blocks of those in from; empty: from itself
	done     atomic.Int64
	only     string          // the only entry of from that is copied; "": all, and the attributes of from
	leave    map[string]bool // directories below from whose content is not copied
}

// Done returns how many bytes of files all passes have copied, also by sharing blocks.
func (c *LiveCopy) Done() int64 { return c.done.Load() }

// Copied says what a pass has done.
type Copied struct {
	Files   int   // files and links, not directories, whose content or attributes were copied
	Removed int   // entries that were removed from the copy, each with everything below it
	Bytes   int64 // of content that was written; shared blocks (reflinks) do not count
}

// NewLiveCopy prepares a copy of the directory from. It creates the directory to,
// which may exist already if it is empty. The caller closes the LiveCopy, and
// removes to if it is not wanted.
func NewLiveCopy(from, to string) (*LiveCopy, error) {
	source, err := openRoot(from)
	if err != nil {
		return nil, err
	}
	target, err := makeRoot(to)
	if err != nil {
		source.Close()
		return nil, err
	}
	return &LiveCopy{from: source, to: target, top: &known{place: &place{}}}, nil
}

func openRoot(dir string) (*os.File, error) {
	return os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

func makeRoot(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	root, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	names, err := sortedNames(int(root.Fd()))
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("copy to %s: %w", dir, unix.ENOTEMPTY)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// slack is subtracted from the time at which a pass starts. The kernel sets the
// time of a change (ctime) up to one tick before now, and before it changes the
// content.
const slack = 100 * time.Millisecond

// Pass copies what has changed since the last pass. Processes may change the tree
// meanwhile. After an error the copy cannot be continued.
func (c *LiveCopy) Pass(ctx context.Context) (Copied, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
		return Copied{}, err
	}
	// Afterwards a page that a process has mapped is protected again: the next
	// write to it sets the ctime of its file. A file that changes after now is
	// copied again in the next pass. So no change is overlooked.
	if err := unix.Syncfs(int(c.from.Fd())); err != nil {
		return Copied{}, fmt.Errorf("sync %s: %w", c.from.Name(), err)
	}
	return c.pass(ctx, now.Nano()-slack.Nanoseconds())
}

// LastPass is Pass while no process changes the tree. It does not wait for a
// disk. Afterwards the copy is equal to the tree.
func (c *LiveCopy) LastPass(ctx context.Context) (Copied, error) { return c.pass(ctx, 0) }

// Finish waits until the copy is on the disk.
func (c *LiveCopy) Finish() error {
	if err := unix.Syncfs(int(c.to.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", c.to.Name(), err)
	}
	return nil
}

// Close releases the directories. It can be called again.
func (c *LiveCopy) Close() {
	c.Leave()
	c.top = nil
}

// Leave releases the directories, and still knows for Changes what it has copied. There
// is no pass after it.
func (c *LiveCopy) Leave() {
	c.from.Close()
	c.to.Close()
	for _, o := range c.origins {
		o.Close()
	}
}

// workers is how many directories a pass works on at the same time.
const workers = 4

// A pass is one pass of a LiveCopy.
type pass struct {
	*LiveCopy
	ctx context.Context
	// settled is a time in nanoseconds. The copy of a file that has changed before
	// it is valid until the file's ctime is another one.
	settled int64

	mu     sync.Mutex
	more   sync.Cond // of mu: queue or active has changed
	queue  []*known  // directories that are to be copied
	active int       // how many workers have a directory
	err    error

	linksMu sync.Mutex
	links   map[layer.FileID]link // files with several hard links that are copied already

	files, removed, bytes atomic.Int64
}

// A link is one name in the copy of a file with several hard links.
type link struct {
	dir  *place
	name string
	ino  uint64 // in the copy
}

func (c *LiveCopy) pass(ctx context.Context, settled int64) (Copied, error) {
	p := &pass{LiveCopy: c, ctx: ctx, settled: settled, queue: []*known{c.top}, links: map[layer.FileID]link{}}
	p.more.L = &p.mu
	var all sync.WaitGroup
	for range workers {
		all.Go(p.work)
	}
	all.Wait()
	return Copied{Files: int(p.files.Load()), Removed: int(p.removed.Load()), Bytes: p.bytes.Load()}, p.err
}

// work copies directories of the queue until it is empty and no other worker can
// add to it.
func (p *pass) work() {
	var buf buffers
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) == 0 && p.active > 0 && p.err == nil {
			p.more.Wait()
		}
		if len(p.queue) == 0 || p.err != nil {
			return
		}
		last := len(p.queue) - 1 // the last one: the queue stays short
		next := p.queue[last]
		p.queue = p.queue[:last]
		p.active++
		p.mu.Unlock()
		subs, err := p.directory(next, &buf)
		p.mu.Lock()
		p.active--
		p.queue = append(p.queue, subs...)
		if err != nil && p.err == nil {
			p.err = fmt.Errorf("copy %s: %w", p.from.Name(), err)
		}
		if len(subs) > 0 || p.active == 0 || p.err != nil {
			p.more.Broadcast()
		}
	}
}
