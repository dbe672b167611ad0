package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Move is the content of move.json in the directory of a VPS: how far a move between
// two hosts is. The rules are in runtime/moves.
type Move struct {
	Schema  int       `json:"schema"`
	Token   string    `json:"token"` // of this move, the same on both hosts
	Step    MoveStep  `json:"step"`
	Host    string    `json:"host"`           // the other host, as the user typed it, or as the source names itself
	Name    vps.Name  `json:"name"`           // of the VPS on the other host
	Began   time.Time `json:"began"`          // on this host
	Runs    bool      `json:"runs,omitempty"` // it ran before the move, and runs after it
	Removes bool      `json:"removes,omitempty"`
}

// A MoveStep says how far a move is on one of the two hosts.
type MoveStep string

// The steps of a move. The first five are of the source.
const (
	// MoveCopying: the VPS belongs to this host. Its files are being copied.
	MoveCopying MoveStep = "copying"
	// MoveSwitching: it belongs to this host, and is stopped while its last changes are copied.
	MoveSwitching MoveStep = "switching"
	// MoveAbandoned: it belongs to this host. The other one may have an incoming copy.
	MoveAbandoned MoveStep = "abandoned"
	// MoveCommitted: it belongs to the other host, which may not know that yet.
	MoveCommitted MoveStep = "committed"
	// MoveDone: it belongs to the other host, which knows that.
	MoveDone MoveStep = "moved"
	// MoveIncoming: a whole copy, which belongs to the source.
	MoveIncoming MoveStep = "incoming"
	// MoveArrived: it belongs to this host, which is the target.
	MoveArrived MoveStep = "arrived"
)

const moveFileName = "move.json"

// Move returns the last move of the VPS; nil if there was none.
func (s *Store) Move(name vps.Name) (*Move, error) {
	path := filepath.Join(s.VPSDir(name), moveFileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("read", path, err)
	}
	m := &Move{}
	if err := decode(data, path, m); err != nil {
		return nil, err
	}
	return m, nil
}

// PutMove records a move of the locked VPS, atomically and durably.
func (l *Locked) PutMove(m Move) error { return putMove(l.store.VPSDir(l.name), m) }

// PutMove records a move in the draft of its target.
func (d *Draft) PutMove(m Move) error { return putMove(d.Dir, m) }

func putMove(dir string, m Move) error {
	m.Schema = Schema
	path := filepath.Join(dir, moveFileName)
	data, err := encode(m, nil)
	if err != nil {
		return fail.New(fail.Internal, "encode %s: %w", path, err)
	}
	return replaceFile(path, data)
}

// ForgetMove removes the record of a move of the locked VPS, durably. No-op without one.
func (l *Locked) ForgetMove() error {
	path := filepath.Join(l.store.VPSDir(l.name), moveFileName)
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return hostError("remove", path, err)
	}
	return syncDir(filepath.Dir(path))
}
