// Package state owns every file that croft keeps about a VPS: names, formats,
// locks.
//
// There are two directories, because a reboot of the host should remove one of
// them: Root has the settings of VPSs, RunRoot their current state. Every file
// has one writer, named where it is written, and is replaced atomically
// (changes of a network's claims are appended). So reading a file (Get, All,
// Run, Network) needs no lock. A decision that depends on it does (Lock).
// docs/state.md describes the files for users who read them without croft.
package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/trace"
	"croft/internal/vps"
)

// A Store is croft's files below Root (they outlive a reboot of the host) and
// RunRoot (they do not). It keeps nothing in memory but the host's boot id, so
// any number of them, in any number of processes, work on the same files.
type Store struct {
	Root    string // absolute, as /var/lib/croft
	RunRoot string // absolute, as /run/croft

	boot       string                // the host's boot id
	hostDir    string                // see Share
	userRuns   func(uid uint32) bool // asks the kernel
	subIDFiles []string              // where the host says which ids its users have
	unused     bool                  // see OpenIfUsed
}

// Open returns the store below root and run, and creates the directories that
// it needs. Only root can read them. Both paths may be relative. A directory
// that cannot be created is fail.Permission or fail.Host.
func Open(root, run string) (*Store, error) {
	s, err := storeAt(root, run)
	if err != nil {
		return nil, err
	}
	return s, s.makeDirs()
}

// OpenExisting is Open for reading: it creates and changes nothing. A missing
// root is fail.NotFound.
func OpenExisting(root, run string) (*Store, error) {
	s, err := storeAt(root, run)
	if err == nil && !exists(s.Root) {
		return nil, fail.New(fail.NotFound, "%s does not exist", s.Root)
	}
	return s, err
}

// OpenIfUsed is Open if root holds VPSs or has held some. Else it is a Store in
// which there is nothing, used is false, and nothing is made or changed.
func OpenIfUsed(root, run string) (s *Store, used bool, err error) {
	s, err = storeAt(root, run)
	if err != nil {
		return nil, false, err
	}
	if s.unused = !isDir(s.vpsDirs()); s.unused {
		return s, false, nil
	}
	return s, true, s.makeDirs()
}

func storeAt(root, run string) (*Store, error) {
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
	return &Store{
		Root:       root,
		RunRoot:    run,
		boot:       strings.TrimSpace(string(boot)),
		userRuns:   userRuns,
		subIDFiles: []string{"/etc/subuid", "/etc/subgid"},
	}, nil
}

// makeDirs makes the directories of the store, and corrects the modes of those
// that an older croft made. What croft keeps is in directories that only root
// can enter. The exception is the way to RootfsDir: a VPS's root is an
// ordinary user of the host, and has to pass there when it starts.
//
// The modes of Root and RunRoot themselves are set if croft makes them; of an
// existing directory, which may be the administrator's, only an old RunRoot's
// is changed. The caller's umask is without effect on all of them.
func (s *Store) makeDirs() error {
	runMode := os.FileMode(passable)
	if _, err := os.Lstat(s.locksDir()); err != nil && exists(s.RunRoot) {
		runMode = 0 // not made by croft
	}
	rootMode := os.FileMode(0)
	if !exists(s.Root) {
		rootMode = private
	}
	if err := makeDir(filepath.Dir(s.Root), passable, 0); err != nil { // RunRoot may be made below it, too
		return err
	}
	// Outermost first: MkdirAll creates missing parents with the same mode.
	for _, d := range []struct {
		path       string
		make, want os.FileMode // want 0: as it is
	}{
		{s.Root, private, rootMode}, {s.vpsDirs(), private, private}, {s.networksDir(), private, private}, {s.TrashDir(), private, private}, {s.ephemeralDir(), private, private},
		{s.volumesDir(), private, private}, {s.frozenDir(), private, private},
		{s.RunRoot, passable, runMode}, {s.RootfsDir(), passable, s.rootfsMode()},
		{s.AgainDir(), passable, passable},
		{filepath.Join(s.RunRoot, "vps"), private, private}, {s.locksDir(), private, private},
	} {
		if err := makeDir(d.path, d.make, d.want); err != nil {
			return err
		}
	}
	for _, dir := range []string{s.BinDir(), s.TemplatesDir()} {
		if !exists(dir) {
			continue // made when something goes into it
		}
		if err := makeDir(dir, private, private); err != nil {
			return err
		}
	}
	return nil
}

// Modes of directories.
const (
	private  = 0o700
	passable = 0o711 // others may pass through, and cannot list the content
)

// rootfsMode is the mode that RootfsDir has to have: 0, as it is, where a root
// filesystem is mounted there, as in the mount namespace of a monitor. That is the
// VPS's own.
func (s *Store) rootfsMode() os.FileMode {
	// A plain root filesystem may be of the device that RunRoot is on.
	if at, above := mountOf(s.RootfsDir()), mountOf(s.RunRoot); at != 0 && above != 0 && at != above {
		return 0
	}
	return passable
}

// mountOf returns the number of the mount that the directory is on, of statx(2) (Linux
// 5.8); 0 if it is not known.
func mountOf(dir string) uint64 {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st) != nil {
		return 0
	}
	return st.Mnt_id
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// makeDir makes the directory path if it is missing, and gives it the mode
// want unless that is 0. On a read-only filesystem an existing one stays as it
// is.
func makeDir(path string, mode, want os.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return hostError("make directory", path, err)
	}
	if want == 0 {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return hostError("look at", path, err)
	}
	if info.Mode().Perm() == want {
		return nil
	}
	if err := os.Chmod(path, want); err != nil && !errors.Is(err, unix.EROFS) {
		return hostError("change the mode of", path, err)
	}
	return nil
}

// Impassable returns the outermost directory on the way to RootfsDir that other
// users cannot pass through, "" if all can be passed. VPSs with ids of their
// own cannot start below such a directory. RootfsDir itself is not checked: in
// a monitor it has the mode that the VPS's root gave to its own /.
func (s *Store) Impassable() (string, error) {
	var on []string
	for dir := filepath.Dir(s.RootfsDir()); ; dir = filepath.Dir(dir) {
		on = append(on, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, dir := range slices.Backward(on) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", hostError("look at", dir, err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return dir, nil
		}
	}
	return "", nil
}

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
	Name vps.Name
	VPS  vps.VPS
	Err  error
}

// Get returns the settings of the VPS. A missing VPS is fail.NotFound, a file
// that is corrupt or was written by a newer croft fail.State. The result may be
// outdated at once: make decisions with Locked.VPS only.
func (s *Store) Get(name vps.Name) (vps.VPS, error) {
	path := s.VPSFile(name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(s.VPSDir(name)); err == nil {
			return vps.VPS{}, fail.New(fail.State, "%s is broken: it has no %s", name, path)
		}
		return vps.VPS{}, fail.New(fail.NotFound, "no VPS named %q", name).WithHint("croft list")
	}
	if err != nil {
		return vps.VPS{}, hostError("read", path, err)
	}
	return decodeVPS(data, name, path)
}

// All returns every VPS, sorted by name. One that cannot be read is there too,
// with its error.
func (s *Store) All() ([]Entry, error) {
	defer trace.Span("read all VPSs")()
	names, err := s.Names()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(names))
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(names); i += workers {
				v, err := s.Get(names[i])
				entries[i] = Entry{Name: names[i], VPS: v, Err: err}
			}
		})
	}
	group.Wait()
	return slices.DeleteFunc(entries, func(e Entry) bool {
		// Destroyed since the directory was read, or a file that is not a VPS.
		return fail.Is(e.Err, fail.NotFound) || e.Err != nil && !isDir(s.VPSDir(e.Name))
	}), nil
}

// Names returns the names of all VPSs, sorted, those included whose files
// cannot be read. It reads one directory, however many there are.
func (s *Store) Names() ([]vps.Name, error) {
	if s.unused {
		return nil, nil
	}
	files, err := readNames(s.vpsDirs())
	if err != nil {
		return nil, err
	}
	names := make([]vps.Name, 0, len(files))
	for _, file := range files {
		if name, err := vps.ParseName(file); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Missing returns the names without a VPS, in their order. It reads one
// directory, however many names there are.
func (s *Store) Missing(names []vps.Name) ([]vps.Name, error) {
	entries, err := listDirs(s.vpsDirs(), nil)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.name] = true
	}
	var missing []vps.Name
	for _, name := range names {
		if !there[string(name)] {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// VPS returns the settings of the locked VPS, as Get does; they stay true
// until Put or Unlock.
func (l *Locked) VPS() (vps.VPS, error) { return l.store.Get(l.name) }

// Put makes v the settings of the locked VPS, atomically and durably. Members
// of the file that this croft does not know stay. A missing VPS is
// fail.NotFound: Begin creates one.
func (l *Locked) Put(v vps.VPS) error {
	defer trace.Span("save the settings")()
	dir := l.store.VPSDir(l.name)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.NotFound, "no VPS named %q", l.name).WithHint("croft list")
	}
	v.Name = l.name
	return putVPS(filepath.Join(dir, vpsFileName), v)
}

func putVPS(path string, v vps.VPS) error {
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

// Run returns the state of the VPS as its monitor wrote it last. It is a zero
// Run if the monitor has not written since the host booted, or if the file is
// corrupt: the kernel knows whether the VPS runs. A file of this boot that a
// newer croft wrote is fail.State.
func (s *Store) Run(name vps.Name) (Run, error) {
	path := s.RunFile(name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Run{}, nil
	}
	if err != nil {
		return Run{}, hostError("read", path, err)
	}
	var r Run
	if err := json.Unmarshal(data, &r); err != nil {
		return Run{}, nil // corrupt: not believed
	}
	// Where /run is not a tmpfs the file can be older than this boot.
	if r.HostBoot != s.boot {
		return Run{}, nil
	}
	if err := decodeKnown(data, path, &r, &r.Schema); err != nil {
		return Run{}, err
	}
	return r, nil
}

// PutRun writes the state of the VPS in this boot of the host. Only its monitor
// may call it, while it holds the life lock.
func (s *Store) PutRun(name vps.Name, r Run) error {
	defer trace.Span("save the state of the run")()
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
