// Package state owns every file croft keeps about a VPS: names, formats, locks.
//
// There are two directories, told apart by whether a reboot of the host should
// forget them: Root says what VPSs should be, RunRoot what they are doing.
// Every file has one writer, named where it is written, and is replaced whole,
// so looking at one (Get, All, Run, Network) needs no lock; deciding on what
// it says does (Lock). docs/state.md describes the files for those who read
// them without croft.
package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/fail"
)

// A Store is croft's files below Root (they outlive a reboot of the host) and
// RunRoot (they do not). It keeps nothing in memory but the host's boot id, so
// any number of them, in any number of processes, work on the same files.
type Store struct {
	Root    string // absolute, as /var/lib/croft
	RunRoot string // absolute, as /run/croft

	boot       string   // the host's boot id
	hostDir    string   // see Share
	subIDFiles []string // where the host says which ids its users have
}

// Open returns the store below root and run, and makes the directories that
// it needs, for root's eyes only. Both may be relative. It is fail.Permission
// or fail.Host where that is the reason that it cannot.
func Open(root, run string) (*Store, error) {
	root, err := absolute("root", root)
	if err != nil {
		return nil, err
	}
	if run, err = absolute("run", run); err != nil {
		return nil, err
	}
	if root == run {
		return nil, fail.New(fail.Usage, "the root and the run directory are both %s", root)
	}
	const bootID = "/proc/sys/kernel/random/boot_id"
	boot, err := os.ReadFile(bootID)
	if err != nil {
		return nil, hostError("read", bootID, err)
	}
	s := &Store{
		Root:       root,
		RunRoot:    run,
		boot:       strings.TrimSpace(string(boot)),
		subIDFiles: []string{"/etc/subuid", "/etc/subgid"},
	}
	// Outermost first: MkdirAll gives what it makes on the way the same mode.
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{
		{root, passable}, {s.vpsDirs(), passable}, {s.networksDir(), 0o700}, {s.TrashDir(), 0o700},
		{run, 0o700}, {filepath.Join(run, "vps"), 0o700}, {s.locksDir(), 0o700},
	} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return nil, hostError("make directory", d.path, err)
		}
	}
	return s, nil
}

// passable is the mode of directories on the way to a VPS's root filesystem:
// the root inside is nobody on the host, and has to get through to what is
// mounted at the end. What is in them is not for its eyes.
const passable = 0o711

func absolute(what, path string) (string, error) {
	if path == "" {
		return "", fail.New(fail.Usage, "the %s directory is empty", what)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fail.New(fail.Host, "find the %s directory %s: %w", what, path, err)
	}
	return abs, nil
}

// An Entry is a VPS, or why its settings cannot be read.
type Entry struct {
	Name string
	VPS  VPS
	Err  error
}

// Get returns the settings of the VPS. It is fail.NotFound if there is none of
// that name, fail.State if its file is corrupt or a newer croft's. What it
// returns may be old by the next line: decide on Locked.VPS only.
func (s *Store) Get(name string) (VPS, error) {
	if _, err := ParseName(name); err != nil {
		return VPS{}, err
	}
	path := s.VPSFile(name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.VPSDir(name)); err == nil {
			return VPS{}, fail.New(fail.State, "%s is broken: it has no %s", name, path)
		}
		return VPS{}, fail.New(fail.NotFound, "no VPS named %q", name).WithHint("croft list")
	}
	if err != nil {
		return VPS{}, hostError("read", path, err)
	}
	return decodeVPS(data, name, path)
}

// All returns every VPS, sorted by name. One that cannot be read is there too,
// with its error.
func (s *Store) All() ([]Entry, error) {
	dirs, err := os.ReadDir(s.vpsDirs())
	if err != nil {
		return nil, hostError("read", s.vpsDirs(), err)
	}
	entries := make([]Entry, 0, len(dirs))
	for _, dir := range dirs {
		name, err := ParseName(dir.Name())
		if err != nil || !dir.IsDir() {
			continue // a draft, or somebody else's file
		}
		v, err := s.Get(name)
		if fail.Is(err, fail.NotFound) {
			continue // destroyed since the directory was read
		}
		entries = append(entries, Entry{Name: name, VPS: v, Err: err})
	}
	return entries, nil
}

// VPS returns the settings of the locked VPS, as Get does; they stay true
// until Put or Unlock.
func (l *Locked) VPS() (VPS, error) { return l.store.Get(l.name) }

// Put makes v the settings of the locked VPS, atomically and durably. What the
// file holds that this croft does not know stays in it. It is fail.NotFound if
// there is no such VPS: Begin makes one.
func (l *Locked) Put(v VPS) error {
	dir := l.store.VPSDir(l.name)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.NotFound, "no VPS named %q", l.name).WithHint("croft list")
	}
	v.Name = l.name
	return putVPS(filepath.Join(dir, vpsFileName), v)
}

func putVPS(path string, v VPS) error {
	v.Schema = Schema
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return hostError("read", path, err)
	}
	data, err := encode(v, old)
	if err != nil {
		return fail.New(fail.Internal, "encode %s: %w", path, err)
	}
	return replaceFile(path, data)
}

// Run returns what the VPS is doing, as its monitor wrote it last. There is
// nothing (a zero Run) if the monitor has not written since the host booted.
func (s *Store) Run(name string) (Run, error) {
	if _, err := ParseName(name); err != nil {
		return Run{}, err
	}
	path := s.RunFile(name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Run{}, nil
	}
	if err != nil {
		return Run{}, hostError("read", path, err)
	}
	var r Run
	if err := decode(data, path, &r); err != nil {
		return Run{}, err
	}
	// Where /run is no tmpfs the file outlives the machine that it was about.
	if r.HostBoot != s.boot {
		return Run{}, nil
	}
	return r, nil
}

// PutRun says what the VPS is doing, as of this boot of the host. Only its
// monitor may, and only while it holds the life lock.
func (s *Store) PutRun(name string, r Run) error {
	if _, err := ParseName(name); err != nil {
		return err
	}
	dir := s.RunDir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hostError("make directory", dir, err)
	}
	r.Schema, r.HostBoot = Schema, s.boot
	data, err := encode(r, nil)
	if err != nil {
		return fail.New(fail.Internal, "encode %s: %w", s.RunFile(name), err)
	}
	return replaceFile(s.RunFile(name), data)
}
