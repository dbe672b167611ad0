// Package events is the log of what happens to the VPSs of a state directory. Commands
// and monitors append to it, and any number of processes may read and follow it.
package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/vps"
	"croft/runtime/holder"
)

// The values of Event.Event.
const (
	Created        = "created"
	Started        = "started"   // a command, or a boot of the host, has started it
	Rebooted       = "rebooted"  // it has started again after a reboot inside
	Restarted      = "restarted" // its restart policy has started it again
	Failed         = "failed"    // a start has failed
	Booted         = "booted"    // its init has finished booting
	Stopped        = "stopped"   // its init has ended
	OutOfMemory    = "oom"       // the kernel has killed processes of it for lack of memory
	LimitReached   = "limit"     // the kernel has refused something because of a limit
	DiskNearlyFull = "disk"      // 90% of its disk, which has a limit, are in use
	Adopted        = "adopted"   // it has a new monitor, because that was killed
	Paused         = "paused"
	Resumed        = "resumed"
	Checkpointed   = "checkpointed" // its processes are saved, and it has ended
	Changed        = "changed"      // a command has changed its settings
	AddressAdded   = "address-added"
	AddressRemoved = "address-removed"
	Renamed        = "renamed"
	Destroyed      = "destroyed"
	Restored       = "restored"    // from the trash
	Moved          = "moved"       // to another host
	Rebased        = "rebased"     // it has another template
	Reinstalled    = "reinstalled" // it has fresh files from a template
	// Snapshots.
	SnapshotCreated  = "snapshot-created"
	SnapshotRestored = "snapshot-restored"
	SnapshotDeleted  = "snapshot-deleted"
)

// Total is the attribute of OutOfMemory and LimitReached that counts since the start of
// the VPS.
const Total = "total"

// UsedPercent is the attribute of DiskNearlyFull that says how much is in use.
const UsedPercent = "used-percent"

// All returns all values of Event.Event.
func All() []string {
	return []string{Created, Started, Rebooted, Restarted, Failed, Booted, Stopped, OutOfMemory, LimitReached, DiskNearlyFull, Adopted, Paused, Resumed, Checkpointed,
		Changed, AddressAdded, AddressRemoved, Renamed, Destroyed, Restored, Moved, Rebased, Reinstalled,
		SnapshotCreated, SnapshotRestored, SnapshotDeleted}
}

// An Event is one thing that happened to a VPS.
type Event struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	Name  vps.Name  `json:"name"`
	UUID  string    `json:"uuid"` // "" if it could not be read
	// Attributes say more, each in one line. docs/state.md has the keys.
	Attributes map[string]string `json:"attributes"`
}

// A record is an Event in the file. The time is a number, because a holder writes it
// too.
type record struct {
	Time       int64             `json:"timeMicroseconds"` // since 1970
	Event      string            `json:"event"`
	Name       vps.Name          `json:"name"`
	UUID       string            `json:"uuid,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// maxSize is the size in bytes at which the file is set aside. One former file is kept,
// so the log has at most about twice as much.
const maxSize = holder.EventsSize

// A Log is the log in a directory, which the first event creates.
type Log struct{ Dir string }

// File is the file to which events are appended.
func (l Log) File() string { return filepath.Join(l.Dir, "log") }

// former is the file that was set aside.
func (l Log) former() string { return l.File() + ".1" }

// Append adds an event at the end of the log, with one write. It waits for no lock and
// does not sync. If the machine loses its power the last events may be lost.
func (l Log) Append(e Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("append to %s: %w", l.File(), err)
	}
	l.setAside(f)
	return nil
}

// encode returns the lines of an event. They begin with a newline: the line before is
// torn if its writer had no space left on the disk.
func encode(e Event) ([]byte, error) {
	line, err := json.Marshal(record{e.Time.UnixMicro(), e.Event, e.Name, e.UUID, e.Attributes})
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return slices.Concat([]byte("\n"), line, []byte("\n")), nil
}

// decode reads a line of the log. It is false for an empty line, and for one that is torn.
func decode(line []byte) (Event, bool) {
	var r record
	if json.Unmarshal(line, &r) != nil || r.Event == "" {
		return Event{}, false
	}
	if r.Attributes == nil {
		r.Attributes = map[string]string{}
	}
	return Event{time.UnixMicro(r.Time).UTC(), r.Event, r.Name, r.UUID, r.Attributes}, true
}

// WhenBooted returns what a holder appends when the VPS has booted: the file, and the
// text of the event after its time (holder.Config).
func (l Log) WhenBooted(e Event) (file, text string, err error) {
	e.Time = time.UnixMicro(0)
	line, err := encode(e)
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(holder.EventTime+"0"))
	if err == nil && !ok {
		err = errors.New("an event does not begin with its time")
	}
	return l.File(), string(rest), err
}

// WhenCounted returns what a holder appends when a number has grown, without the number,
// which is the attribute key. That has to be the last one in the alphabet.
func WhenCounted(e Event, key string) (text string, err error) {
	e.Time = time.UnixMicro(0)
	e.Attributes = maps.Clone(e.Attributes)
	e.Attributes[key] = "0"
	line, err := encode(e)
	text, begins := strings.CutPrefix(strings.TrimSpace(string(line)), holder.EventTime+"0")
	text, ends := strings.CutSuffix(text, "0"+holder.EventEnd)
	if err == nil && !(begins && ends) {
		err = errors.New("an event does not begin with its time, or does not end with its number")
	}
	return text, err
}

// open opens the file to append to it.
func (l Log) open() (*os.File, error) {
	const how = os.O_WRONLY | os.O_APPEND | os.O_CREATE | unix.O_NOFOLLOW
	f, err := os.OpenFile(l.File(), how, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(l.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the log of events: %w", err)
		}
		f, err = os.OpenFile(l.File(), how, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the log of events: %w", err)
	}
	return f, nil
}

// setAside renames the file f if it is large enough. Of several writers one does that:
// the lock is not waited for, and after it the name still has to lead to f. An error
// does not matter: the next writer tries again.
func (l Log) setAside(f *os.File) {
	st, err := f.Stat()
	if err != nil || st.Size() < maxSize {
		return
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil { // the end of f unlocks it
		return
	}
	if now, err := os.Stat(l.File()); err == nil && os.SameFile(st, now) {
		_ = os.Rename(l.File(), l.former())
	}
}
