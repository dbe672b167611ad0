package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// keptBoots is how many console logs of a VPS are kept, the running one
// included.
const keptBoots = 10

// logs are the console logs of one VPS: boot-N.log, and boot-N.log.1 with what
// the holder moved out of the way when that grew too large.
type logs struct {
	dir   string
	boots []int // ascending
}

func openLogs(dir string) (logs, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return logs{}, fmt.Errorf("list console logs: %w", err)
	}
	l := logs{dir: dir}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "boot-")
		number, isLog := strings.CutSuffix(number, ".log")
		if n, err := strconv.Atoi(number); err == nil && ok && isLog && n > 0 {
			l.boots = append(l.boots, n)
		}
	}
	slices.Sort(l.boots)
	return l, nil
}

func (l logs) file(boot int) string { return filepath.Join(l.dir, fmt.Sprintf("boot-%d.log", boot)) }

// next is the number of the boot that comes.
func (l logs) next() int {
	if len(l.boots) == 0 {
		return 1
	}
	return l.boots[len(l.boots)-1] + 1
}

// begin makes the log of boot and forgets the oldest ones.
func (l logs) begin(boot int) (*os.File, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin console log: %w", err)
	}
	for len(l.boots) >= keptBoots {
		for _, file := range []string{l.file(l.boots[0]), l.file(l.boots[0]) + ".1"} {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("forget console log: %w", err)
			}
		}
		l.boots = l.boots[1:]
	}
	f, err := os.OpenFile(l.file(boot), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin console log: %w", err)
	}
	return f, nil
}

// choose turns --boot into the number of a boot: n > 0 is that one, 0 the
// newest, -1 the one before it.
func (l logs) choose(boot int) (int, bool) {
	if boot > 0 {
		return boot, slices.Contains(l.boots, boot)
	}
	i := len(l.boots) - 1 + boot
	if i < 0 {
		return 0, false
	}
	return l.boots[i], true
}

// Logs writes name's console log to w. With o.Follow it goes on as long as the
// VPS runs or ctx lasts. A VPS that has never booted has an empty log.
func (m *Manager) Logs(ctx context.Context, name string, o LogOptions, w io.Writer) error {
	if _, err := vps.ParseName(name); err != nil {
		return err
	}
	if _, err := m.store.Get(name); err != nil {
		return err
	}
	if o.Monitor {
		file := paths.MonitorLog(m.store, name)
		if !exists(file) {
			return nil
		}
		return m.copyLog(ctx, name, file, o, w)
	}
	l, err := openLogs(m.store.LogDir(name))
	if err != nil {
		return err
	}
	boot, ok := l.choose(o.Boot)
	switch {
	case !ok && o.Boot == 0 && !o.Follow:
		return nil
	case !ok && o.Boot == 0:
		return fail.New(fail.State, "%s has never been started", name).WithHint("croft start %s", name)
	case !ok:
		return fail.New(fail.NotFound, "no boot %d of %s has a log", o.Boot, name).WithHint("boots that have one: %s", l)
	}
	return m.copyLog(ctx, name, l.file(boot), o, w)
}

func (l logs) String() string {
	var s []string
	for _, b := range l.boots {
		s = append(s, strconv.Itoa(b))
	}
	return strings.Join(s, " ")
}

func (m *Manager) copyLog(ctx context.Context, name, file string, o LogOptions, w io.Writer) error {
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
	tick := time.NewTicker(2 * lookAgain)
	defer tick.Stop()
	for {
		// Asked before the last read, so that nothing is missed in between.
		held, err := m.monitorOrNew(ctx, name)
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
func (m *Manager) monitorOrNew(ctx context.Context, name string) (bool, error) {
	seen, err := m.observe(name)
	if err == nil && seen.Orphaned() {
		m.recoverIfFree(ctx, name)
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

// withConsole adds to err, the reason of a failed start, the last lines of the
// console: where a VPS says what was wrong.
func (m *Manager) withConsole(name string, err error) error {
	const lines = 20
	var text bytes.Buffer
	if e := m.Logs(context.Background(), name, LogOptions{Lines: lines}, &text); e != nil || text.Len() == 0 {
		return err
	}
	for line := range strings.Lines(text.String()) {
		m.warn(fmt.Sprintf("%s: console: %s", name, strings.TrimRight(line, "\r\n")))
	}
	return err
}
