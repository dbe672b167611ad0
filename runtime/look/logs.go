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

// LogOptions selects a log of a VPS and a part of it.
type LogOptions struct {
	Monitor bool // the log of its monitor instead, which is one for all boots
	Follow  bool
	Boot    int // n > 0 is the n-th boot; 0 the newest, -1 the one before, …
	Lines   int // the last n lines; < 0 is all
}

// Logs writes a console log of name to w. With o.Follow it continues until the VPS
// stops or ctx is done. A VPS that has never booted has an empty log.
func (l Looker) Logs(ctx context.Context, name vps.Name, o LogOptions, w io.Writer) error {
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

func (l Looker) copyLog(ctx context.Context, name vps.Name, file string, o LogOptions, w io.Writer) error {
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
		// Before the read: what is written until the VPS ends is not missed.
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

// monitorOrNew reports whether name runs. If it runs without a monitor it gets a
// new one, which continues the console log.
func (l Looker) monitorOrNew(ctx context.Context, name vps.Name) (bool, error) {
	seen, err := l.Observer.Observe(name)
	if err == nil && seen.Orphaned() {
		l.Recover(ctx, name)
	}
	return seen.Runs(), err
}

// reopenIfMoved opens file again if the holder has set f aside.
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
