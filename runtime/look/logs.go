package look

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/consolelog"
	"croft/runtime/paths"
)

// LogOptions says which of a VPS's console logs, and how much of it.
type LogOptions struct {
	Monitor bool // the log of its monitor instead, which has no boots
	Follow  bool
	Boot    int // n > 0 is the n-th boot; 0 the newest, -1 the one before, …
	Lines   int // the last n lines; < 0 is all
}

// Logs writes name's console log to w. With o.Follow it goes on as long as the
// VPS runs or ctx lasts. A VPS that has never booted has an empty log.
func (l Looker) Logs(ctx context.Context, name string, o LogOptions, w io.Writer) error {
	if _, err := vps.ParseName(name); err != nil {
		return err
	}
	if _, err := l.Store.Get(name); err != nil {
		return err
	}
	if o.Monitor {
		file := paths.MonitorLog(l.Store, name)
		if !paths.Exists(file) {
			return nil
		}
		return l.copyLog(ctx, name, file, o, w)
	}
	logs, err := consolelog.Open(l.Store.LogDir(name))
	if err != nil {
		return err
	}
	boot, ok := logs.Choose(o.Boot)
	switch {
	case !ok && o.Boot == 0 && !o.Follow:
		return nil
	case !ok && o.Boot == 0:
		return fail.New(fail.State, "%s has never been started", name).WithHint("croft start %s", name)
	case !ok:
		return fail.New(fail.NotFound, "no boot %d of %s has a log", o.Boot, name).WithHint("boots that have one: %s", logs)
	}
	return l.copyLog(ctx, name, logs.File(boot), o, w)
}

func (l Looker) copyLog(ctx context.Context, name, file string, o LogOptions, w io.Writer) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open console log: %w", err)
	}
	defer func() { f.Close() }()
	older, err := os.ReadFile(file + ".1")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read console log: %w", err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read console log: %w", err)
	}
	text = append(older, text...)
	if o.Lines >= 0 {
		text = lastLines(text, o.Lines)
	}
	if _, err := w.Write(text); err != nil || !o.Follow {
		return err
	}
	tick := time.NewTicker(2 * Interval)
	defer tick.Stop()
	for {
		// Asked before the last read, so that nothing is missed in between.
		held, err := l.monitorOrNew(ctx, name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, f); err != nil {
			return fmt.Errorf("follow console log: %w", err)
		}
		if !held {
			return nil
		}
		if f, err = reopenIfMoved(f, file); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how following ends
		case <-tick.C:
		}
	}
}

// monitorOrNew reports whether name has a monitor. A VPS that runs without one
// gets a new one, which goes on with its console's log.
func (l Looker) monitorOrNew(ctx context.Context, name string) (bool, error) {
	seen, err := l.Observer.Observe(name)
	if err == nil && seen.Orphaned() {
		l.Recover(ctx, name)
	}
	return seen.Runs(), err
}

// reopenIfMoved opens file anew if f is not it any more.
func reopenIfMoved(f *os.File, file string) (*os.File, error) {
	a, err := f.Stat()
	if err != nil {
		return f, fmt.Errorf("follow console log: %w", err)
	}
	b, err := os.Stat(file)
	if err != nil || os.SameFile(a, b) {
		return f, nil
	}
	moved, err := os.Open(file)
	if err != nil {
		return f, fmt.Errorf("follow console log: %w", err)
	}
	f.Close()
	return moved, nil
}

// lastLines returns the last n lines of text.
func lastLines(text []byte, n int) []byte {
	if n == 0 {
		return nil
	}
	end := len(bytes.TrimSuffix(text, []byte("\n")))
	for i := end - 1; i >= 0; i-- {
		if text[i] == '\n' {
			if n--; n == 0 {
				return text[i+1:]
			}
		}
	}
	return text
}
