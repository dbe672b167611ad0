package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"croft/runtime/paths"

	"golang.org/x/sys/unix"
)

// maxJournal is how long a monitor's log grows before it is set aside, in
// bytes: at most about twice that is kept.
const maxJournal = 256 << 10

// openJournal makes the monitor's log this process's standard error, which the
// holder inherits. So the last words of each of them are in it, a panic's too.
// Without a log the VPS runs all the same.
func (mon *monitor) openJournal() error {
	file := paths.MonitorLog(mon.store, mon.name)
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("open monitor's log: %w", err)
	}
	if st, err := os.Stat(file); err == nil && st.Size() > maxJournal {
		if err := os.Rename(file, file+".1"); err != nil {
			return fmt.Errorf("set monitor's log aside: %w", err)
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open monitor's log: %w", err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), 2, 0); err != nil {
		return fmt.Errorf("open monitor's log: %w", err)
	}
	mon.journal = os.Stderr
	return nil
}

// log writes one line to the monitor's log.
func (mon *monitor) log(format string, args ...any) {
	if mon.journal == nil {
		return
	}
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	// A full disk must not stop a VPS.
	_, _ = fmt.Fprintf(mon.journal, "%s %s\n", time.Now().UTC().Format(time.RFC3339), text)
}
