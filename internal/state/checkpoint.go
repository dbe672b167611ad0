package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/internal/vps"
)

// A Checkpoint describes the saved processes of a VPS. Its JSON keys are stable: docs/state.md.
type Checkpoint struct {
	Schema  int               `json:"schema"`
	Time    time.Time         `json:"time"`
	VPS     vps.VPS           `json:"vps"`               // its settings at the time
	Files   string            `json:"files"`             // a digest of its own files
	BootID  string            `json:"boot_id"`           // that it saw
	Given   []GivenMount      `json:"given,omitempty"`   // mounts that croft makes again
	Sysctls map[string]string `json:"sysctls,omitempty"` // of its network namespace, by their paths below /proc/sys
	Criu    string            `json:"criu"`              // the version of criu
	Kernel  string            `json:"kernel"`            // the release of the kernel
}

// A GivenMount is a mount in a VPS whose files croft gives to it.
type GivenMount struct {
	At   string `json:"at"`
	From string `json:"from"`
	Root string `json:"root"` // the path of the file in its filesystem
}

// CheckpointDir has the checkpoint of the VPS: checkpoint.json, and the images of criu in
// ImagesDir. It exists only as a whole.
func (s *Store) CheckpointDir(name vps.Name) string {
	return filepath.Join(s.VPSDir(name), "checkpoint")
}

// DraftCheckpointDir is that directory while the checkpoint is written.
func (s *Store) DraftCheckpointDir(name vps.Name) string {
	return filepath.Join(s.VPSDir(name), draftCheckpointName)
}

const draftCheckpointName = "checkpoint.new"

// ImagesDir returns the directory of the images in a directory of a checkpoint.
func ImagesDir(dir string) string { return filepath.Join(dir, "images") }

const checkpointFileName = "checkpoint.json"

// Checkpoint returns the checkpoint of name; ok is false if there is none.
func (s *Store) Checkpoint(name vps.Name) (c Checkpoint, ok bool, err error) {
	path := filepath.Join(s.CheckpointDir(name), checkpointFileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, false, nil
	}
	if err != nil {
		return Checkpoint{}, false, hostError("read", path, err)
	}
	if err := json.Unmarshal(data, &c); err != nil || c.Schema != Schema {
		return Checkpoint{}, true, fail.New(fail.State, "the checkpoint of %s is corrupt, or was written by another croft: %s", name, path)
	}
	return c, true, nil
}

// DraftCheckpoint makes an empty directory for a new checkpoint of name, with ImagesDir.
// What a killed command left there is removed. The caller holds the lock.
func (s *Store) DraftCheckpoint(name vps.Name) (dir string, err error) {
	return DraftCheckpointIn(s.VPSDir(name))
}

// DraftCheckpointIn is DraftCheckpoint for the directory of a VPS, or of its draft.
func DraftCheckpointIn(vpsDir string) (dir string, err error) {
	dir = filepath.Join(vpsDir, draftCheckpointName)
	if err := os.RemoveAll(dir); err != nil {
		return "", hostError("remove", dir, err)
	}
	if err := os.MkdirAll(ImagesDir(dir), private); err != nil {
		return "", hostError("make directory", dir, err)
	}
	return dir, nil
}

// KeepCheckpoint makes the draft the checkpoint of name, durably and in place of an earlier
// one. The caller holds the lock.
func (s *Store) KeepCheckpoint(name vps.Name, c Checkpoint) error {
	c.Schema = Schema
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return fail.New(fail.Internal, "encode checkpoint: %w", err)
	}
	draft := s.DraftCheckpointDir(name)
	path := filepath.Join(draft, checkpointFileName)
	if err := atomicfile.Replace(path, 0o600, append(data, '\n')); err != nil {
		return hostError("write", path, err)
	}
	if err := s.removeCheckpointDir(s.CheckpointDir(name)); err != nil {
		return err
	}
	if err := os.Rename(draft, s.CheckpointDir(name)); err != nil {
		return hostError("rename", draft, err)
	}
	return syncDir(s.VPSDir(name))
}

// RemoveCheckpoint removes the checkpoint of name and the draft of one. No-op if there is
// none. A command that is killed meanwhile leaves no checkpoint that could be used.
func (s *Store) RemoveCheckpoint(name vps.Name) error {
	return errors.Join(s.removeCheckpointDir(s.CheckpointDir(name)), s.removeCheckpointDir(s.DraftCheckpointDir(name)))
}

func (s *Store) removeCheckpointDir(dir string) error {
	file := filepath.Join(dir, checkpointFileName) // without it there is no checkpoint
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("remove", file, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return hostError("remove", dir, err)
	}
	return nil
}
