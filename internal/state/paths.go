package state

import (
	"crypto/rand"
	"path/filepath"
	"strings"

	"croft/internal/vps"
)

// Every file and directory name that croft keeps is in this file. None of
// these functions looks at the disk. Names given to them are valid already
// (ParseName): what takes a name from outside checks it before it comes here.

const (
	vpsFileName     = "vps.json"
	runFileName     = "run.json"
	trashFileName   = "trash.json"
	runningFileName = "running"
	jsonSuffix      = ".json"
	diskImagePrefix = "disk."
	diskImageSuffix = ".img"
	diskDirSuffix   = ".dir"
)

// VPSDir is where everything of the VPS is: vps.json, bundle/, fs/, log/.
func (s *Store) VPSDir(name vps.Name) string { return filepath.Join(s.vpsDirs(), string(name)) }

// VPSFile is the file with the settings of the VPS, as a VPS.
func (s *Store) VPSFile(name vps.Name) string { return filepath.Join(s.VPSDir(name), vpsFileName) }

// BundleDir holds the VPS's OCI bundle, rewritten at each start.
func (s *Store) BundleDir(name vps.Name) string { return filepath.Join(s.VPSDir(name), "bundle") }

// FSDir holds the VPS's own files.
func (s *Store) FSDir(name vps.Name) string { return filepath.Join(s.VPSDir(name), "fs") }

// DiskImage is the file, or with a quota the directory, with the own files of a VPS whose
// disk is limited; "" if it is not.
func (s *Store) DiskImage(v vps.VPS) string { return DiskImageIn(s.VPSDir(v.Name), v) }

// DiskImageIn is DiskImage for the VPS v in the directory dir.
func DiskImageIn(dir string, v vps.VPS) string {
	if v.Disk.Image == "" {
		return ""
	}
	return filepath.Join(dir, v.Disk.Image)
}

// DiskImageName is the name of a new image, or of a new directory with a quota.
func DiskImageName(kind vps.DiskKind) string {
	suffix := diskImageSuffix
	if kind == vps.DiskQuota {
		suffix = diskDirSuffix
	}
	return diskImagePrefix + strings.ToLower(rand.Text()[:8]) + suffix
}

// LogDir holds the console logs, one for each boot.
func (s *Store) LogDir(name vps.Name) string { return filepath.Join(s.VPSDir(name), "log") }

// runningFile is there while the VPS should be running.
func (s *Store) runningFile(name vps.Name) string {
	return filepath.Join(s.VPSDir(name), runningFileName)
}

// renamedFile holds the new name of the VPS that was name, from before its
// directory has that until the rename is over.
func (s *Store) renamedFile(name vps.Name) string {
	return filepath.Join(s.vpsDirs(), "."+string(name)+".renamed")
}

// TemplatesDir holds the OCI image layout and its layers.
func (s *Store) TemplatesDir() string { return filepath.Join(s.Root, "templates") }

// BinDir holds programs that croft brings along and runs from there.
func (s *Store) BinDir() string { return filepath.Join(s.Root, "bin") }

// NetworkFile is the file with the settings of the network.
func (s *Store) NetworkFile(name string) string {
	return filepath.Join(s.networksDir(), name+jsonSuffix)
}

// ClaimsFile says who owns which address in the network.
func (s *Store) ClaimsFile(name string) string {
	return filepath.Join(s.networksDir(), name+".claims")
}

// EventsDir is where the log of events is.
func (s *Store) EventsDir() string { return filepath.Join(s.Root, "events") }

// TrashDir is where VPSs go at once, to be deleted later.
func (s *Store) TrashDir() string { return filepath.Join(s.Root, "trash") }

// RootfsDir is empty for everybody but monitors. Each monitor mounts the root
// filesystem of its VPS there, in its own mount namespace. It lies below the
// run directory because a VPS's root has to pass through all directories
// above it, and through none that holds files of a VPS.
func (s *Store) RootfsDir() string { return filepath.Join(s.RunRoot, "rootfs") }

// AgainDir is like RootfsDir. A monitor that restores a VPS from a checkpoint puts together
// there what the VPS gets from the host.
func (s *Store) AgainDir() string { return filepath.Join(s.RunRoot, "again") }

// RunDir is the directory with data about the VPS while it runs.
func (s *Store) RunDir(name vps.Name) string { return filepath.Join(s.RunRoot, "vps", string(name)) }

// RunFile is the file with the state of the VPS, as a Run.
func (s *Store) RunFile(name vps.Name) string { return filepath.Join(s.RunDir(name), runFileName) }

// LockFile is the op lock of the VPS: held by the command that changes it.
func (s *Store) LockFile(name vps.Name) string { return filepath.Join(s.locksDir(), string(name)) }

// LifeFile is the life lock of the VPS: held by its monitor while it lives.
func (s *Store) LifeFile(name vps.Name) string {
	return filepath.Join(s.locksDir(), string(name)+".life")
}

// FirstBootFile is the lock of the process that runs the first-boot script of the VPS.
func (s *Store) FirstBootFile(name vps.Name) string {
	return filepath.Join(s.locksDir(), string(name)+".first-boot")
}

func (s *Store) vpsDirs() string     { return filepath.Join(s.Root, "vps") }
func (s *Store) networksDir() string { return filepath.Join(s.Root, "networks") }
func (s *Store) volumesDir() string  { return filepath.Join(s.Root, "volumes") }
func (s *Store) frozenDir() string   { return filepath.Join(s.Root, "frozen") }
func (s *Store) locksDir() string    { return filepath.Join(s.RunRoot, "locks") }

// poolFile is locked while an id range is chosen: by all roots that share a
// host. No name holds a '_'.
func (s *Store) poolFile() string {
	if s.hostDir != "" {
		return filepath.Join(s.hostDir, "_pool")
	}
	return filepath.Join(s.locksDir(), "_pool")
}

// portsFile is locked while ports of the host are claimed.
func (s *Store) portsFile() string { return filepath.Join(s.locksDir(), "_ports") }

// volumeDir is the directory of the volume name.
func (s *Store) volumeDir(name string) string { return filepath.Join(s.volumesDir(), name) }

// volumesFile is locked while a volume is created or removed, or given to a VPS.
func (s *Store) volumesFile() string { return filepath.Join(s.locksDir(), "_volumes") }

// FrozenTree is the directory with the files of a frozen layer.
func (s *Store) FrozenTree(id string) string { return filepath.Join(s.frozenDir(), id, "tree") }

// PackedFile has what the frozen layer has become in a registry; see ForgetPacked.
func (s *Store) PackedFile(id string) string { return filepath.Join(s.frozenDir(), id, "packed.json") }

// PushedDir has records of the own files of the VPS at its last pushes; see backups.Options.
// It may be missing.
func (s *Store) PushedDir(name vps.Name) string { return filepath.Join(s.VPSDir(name), "pushed") }

// OwnDirs are the directories with all files of the VPS v that are not its template's:
// fs, or the image in its place, and its frozen layers.
func (s *Store) OwnDirs(v vps.VPS, fs string) []string {
	dirs := []string{fs}
	if image := DiskImageIn(filepath.Dir(fs), v); image != "" {
		dirs[0] = image
	}
	for _, f := range v.Frozen {
		dirs = append(dirs, s.FrozenTree(f.ID))
	}
	return dirs
}

// unusedMark is there while a frozen layer may have lost its last user.
func (s *Store) unusedMark() string { return filepath.Join(s.frozenDir(), "_unused") }

// snapshotsDir has the snapshots of the VPS in the directory dir, a file for each.
func snapshotsDir(dir string) string { return filepath.Join(dir, "snapshots") }

// namesFile is locked while VPSs are told of each other's names.
func (s *Store) namesFile() string { return filepath.Join(s.locksDir(), "_names") }

// networksFile is locked while a network is made.
func (s *Store) networksFile() string { return filepath.Join(s.locksDir(), "_networks") }

// networkLock is locked while a network's table is changed.
func (s *Store) networkLock(name string) string {
	return filepath.Join(s.locksDir(), "_network."+name)
}
