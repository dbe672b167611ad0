// Package monitorlog is the log of a monitor, in a file that outlives the boots of
// its VPS.
package monitorlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxSize is the size in bytes at which a log is renamed to FILE.1. So at most
// about twice that is kept.
const maxSize = 256 << 10

// A Log is an open log. The zero Log drops everything.
type Log struct{ file *os.File }

// Open opens the log and makes it the standard error of this process, which the
// holder inherits. So the last words of both are in it, a panic included. On error
// the Log is zero.
func Open(file string) (Log, error) {
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return Log{}, fmt.Errorf("cannot open the monitor's log: %w", err)
	}
	if st, err := os.Stat(file); err == nil && st.Size() > maxSize {
		if err := os.Rename(file, file+".1"); err != nil {
			return Log{}, fmt.Errorf("cannot rename the monitor's log: %w", err)
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return Log{}, fmt.Errorf("cannot open the monitor's log: %w", err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), 2, 0); err != nil {
		return Log{}, fmt.Errorf("cannot open the monitor's log: %w", err)
	}
	return Log{os.Stderr}, nil
}

// Printf writes one line with the time. An error is dropped: a full disk must not
// stop a VPS.
func (l Log) Printf(format string, args ...any) {
	if l.file == nil {
		return
	}
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	_, _ = fmt.Fprintf(l.file, "%s %s\n", time.Now().UTC().Format(time.RFC3339), text)
}
