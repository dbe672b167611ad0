package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Read calls tell with each event of the log, in the order of the log. It returns the
// first error of tell. A log that does not exist has no events.
func (l Log) Read(tell func(Event) error) error {
	r := reader{tell: tell}
	defer r.close()
	if err := r.openAll(l); err != nil {
		return err
	}
	return r.read()
}

// Follow is Read that continues with each new event, until ctx is done, which is no
// error. The directory of the log must exist.
func (l Log) Follow(ctx context.Context, tell func(Event) error) error {
	changes, err := watch(l.Dir)
	if err != nil {
		return err
	}
	defer changes.Close()
	stop := context.AfterFunc(ctx, func() { _ = changes.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	r := reader{tell: tell}
	defer r.close()
	if err := r.openAll(l); err != nil {
		return err
	}
	for {
		if err := r.read(); err != nil {
			return err
		}
		moved, err := r.reopen(l)
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		var ignored [4096]byte
		if _, err := changes.Read(ignored[:]); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return fmt.Errorf("follow the log of events: %w", err)
		}
	}
}

// watch returns a file that can be read after each change in dir: inotify(7).
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("follow the log of events: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		f.Close()
		return nil, fmt.Errorf("follow the log of events in %s: %w", dir, err)
	}
	return f, nil
}

// A reader reads the files of a log. A file that was set aside while it was read is
// read on, because a writer may have it open.
type reader struct {
	tell  func(Event) error
	files []*tail // the newest one last
}

// A tail is a file that is read while it grows.
type tail struct {
	file *os.File
	rest []byte // the beginning of a line that is not complete yet
}

// openAll opens the former file and the current one, of which either may be missing.
func (r *reader) openAll(l Log) error {
	for {
		r.close()
		for _, path := range []string{l.former(), l.File()} {
			if err := r.open(path); err != nil {
				return err
			}
		}
		// If the file was set aside in between, a file is missing, or open twice.
		if now, err := os.Stat(l.File()); err != nil || r.newest(now) {
			return nil
		}
	}
}

func (r *reader) open(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the log of events: %w", err)
	}
	r.files = append(r.files, &tail{file: f})
	return nil
}

// newest reports whether the file with this description is the newest one of r.
func (r *reader) newest(now os.FileInfo) bool {
	if len(r.files) == 0 {
		return false
	}
	st, err := r.files[len(r.files)-1].file.Stat()
	return err == nil && os.SameFile(st, now)
}

// reopen opens the current file if there is another one than before.
func (r *reader) reopen(l Log) (bool, error) {
	now, err := os.Stat(l.File())
	if err != nil || r.newest(now) {
		return false, nil // the next writer creates it
	}
	if err := r.open(l.File()); err != nil {
		return false, err
	}
	for len(r.files) > 2 {
		r.files[0].file.Close()
		r.files = r.files[1:]
	}
	return true, nil
}

// read reads what the files have now.
func (r *reader) read() error {
	for _, t := range r.files {
		if err := t.read(r.tell); err != nil {
			return err
		}
	}
	return nil
}

func (t *tail) read(tell func(Event) error) error {
	text, err := io.ReadAll(t.file)
	if err != nil {
		return fmt.Errorf("read the log of events: %w", err)
	}
	text = append(t.rest, text...)
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			t.rest = bytes.Clone(text)
			return nil
		}
		text = rest
		if e, ok := decode(line); ok {
			if err := tell(e); err != nil {
				return err
			}
		}
	}
}

func (r *reader) close() {
	for _, t := range r.files {
		t.file.Close()
	}
	r.files = nil
}
