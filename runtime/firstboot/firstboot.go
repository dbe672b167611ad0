// Package firstboot keeps the script that a VPS runs once, after a boot, and the record
// of how it went.
package firstboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/atomicfile"
	"croft/internal/state"
)

// The files in the directory of a VPS or of a draft.
const (
	scriptFile = "first-boot"
	recordFile = "first-boot.json"
)

// A State says what has become of a script.
type State string

// States of a script.
const (
	Pending     State = "pending" // it waits for a boot
	Running     State = "running"
	Done        State = "done"
	Failed      State = "failed"
	Interrupted State = "interrupted" // the VPS or croft has ended meanwhile
)

// A Record says how the last script of a VPS went. Its JSON keys are stable
// (docs/state.md).
type Record struct {
	State  State      `json:"state"`
	Boot   int        `json:"boot"`   // that it runs in; 0 if it is pending
	Status int        `json:"status"` // its exit status; 128+n if signal n ended it
	Detail string     `json:"detail"` // why it failed; "" if it has not
	Output string     `json:"output"` // the end of the output of a script that failed
	Ended  *time.Time `json:"ended"`
}

// Put makes script wait for the next boot, in the directory dir of a VPS. Without a
// script it withdraws the one that waits. undo restores what was there.
func Put(dir string, script []byte) (undo func() error, err error) {
	path := filepath.Join(dir, scriptFile)
	before, err := os.ReadFile(path)
	had := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the first-boot script: %w", err)
	}
	undo = func() error {
		if !had {
			return remove(path)
		}
		return state.PutSecret(dir, scriptFile, before)
	}
	if len(script) == 0 {
		return undo, remove(path)
	}
	return undo, state.PutSecret(dir, scriptFile, script)
}

// remove removes a file for good. No-op without it.
func remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remove the first-boot script: %w", err)
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// Waits reports whether a script waits in the directory dir of a VPS.
func Waits(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, scriptFile))
	return err == nil
}

// Take returns the script that waits, and records that it runs in a boot. No later call
// returns it, whatever happens. Without one it returns nil. The caller keeps other
// callers away by a lock.
func Take(dir string, boot int) ([]byte, error) {
	script, err := os.ReadFile(filepath.Join(dir, scriptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the first-boot script: %w", err)
	}
	if err := Save(dir, Record{State: Running, Boot: boot}); err != nil {
		return nil, err
	}
	return script, remove(filepath.Join(dir, scriptFile))
}

// Save writes the record, into a directory that exists.
func Save(dir string, r Record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = atomicfile.Replace(filepath.Join(dir, recordFile), 0o600, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("record the first-boot script: %w", err)
	}
	return nil
}

// Load returns the record of the VPS with the directory dir; nil if it never had a
// script. alive says whether the process lives that runs scripts of the VPS: what runs
// without it was interrupted.
func Load(dir string, alive bool) (*Record, error) {
	if Waits(dir) {
		return &Record{State: Pending}, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r := &Record{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of the first-boot script: %w", err)
	}
	if r.State == Running && !alive {
		r.State, r.Detail = Interrupted, "croft was killed while the script ran"
	}
	return r, nil
}

// Bad reports whether the script has not done its work.
func (r *Record) Bad() bool { return r != nil && (r.State == Failed || r.State == Interrupted) }

// String describes a script that is bad, in a few words.
func (r *Record) String() string {
	if !r.Bad() {
		return ""
	}
	return "first-boot script " + string(r.State) + ": " + r.Detail
}

// Lines are the last lines of the output.
func (r *Record) Lines() []string {
	if r == nil || r.Output == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(r.Output, "\n"), "\n")
}
