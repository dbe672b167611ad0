package guests

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/runtime/checkpoint"
	"croft/template/rootfs"
)

// placeholder is an empty file that stands for a file of the monitor while criu restores a
// VPS.
const placeholder = "placeholder"

// An Again has what GiveAgain takes the files from that a VPS had when it was saved.
type Again struct {
	Dir     string // a directory of the host that every user can reach
	Given   string // where Give has mounted
	First   uint32
	Devices []bundles.Device // besides the usual ones
	Init    string           // the file of the host that is the init of the VPS; "" if it has its own
	Data    []rootfs.DataDir
}

// GiveAgain returns files of the host for the mounts of a VPS that was saved, by their
// mount points. They are below a.Dir, on a tmpfs in this process's mount namespace that the
// caller unmounts with TakeBack, also on an error. Files that the monitor answers for are
// empty: RemovePlaceholders.
func (Access) GiveAgain(a Again, mounts []state.GivenMount) (map[string]string, error) {
	err := unix.Mount("croft-dev", a.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, withoutSize+",mode=711")
	if err == nil {
		err = os.WriteFile(filepath.Join(a.Given, placeholder), nil, 0o444)
	}
	given := filepath.Join(a.Dir, "given")
	if err == nil {
		err = bindDir(a.Given, given)
	}
	if err != nil {
		return nil, fmt.Errorf("mount what the VPS gets: %w", err)
	}
	sources := map[string]string{}
	for n, m := range mounts {
		at := filepath.Join(a.Dir, fmt.Sprint(n))
		switch {
		case isPlaceholder(m):
			at = filepath.Join(given, placeholder)
		case m.From == checkpoint.FromGiven:
			at = filepath.Join(given, m.Root)
		case m.From == checkpoint.FromInit:
			err = bindFile(a.Init, at)
		case m.From == checkpoint.FromDevices:
			err = a.device(m.At, at)
		default:
			err = a.data(m.At, at)
		}
		if err != nil {
			return nil, fmt.Errorf("give the VPS %s again: %w", m.At, err)
		}
		sources[m.At] = at
	}
	return sources, nil
}

// isPlaceholder reports whether m is a file that the monitor answers for, or the pipe that
// it keeps open in place of /proc/kmsg.
func isPlaceholder(m state.GivenMount) bool {
	return m.From == checkpoint.FromFiles || m.From == checkpoint.FromGiven && m.At == "/proc/kmsg"
}

// device makes the node that the VPS has at path as the file at.
func (a Again) device(path, at string) error {
	for _, d := range append(usualDevices(), a.Devices...) {
		if d.Path != path {
			continue
		}
		if err := unix.Mknod(at, kindOf(d)|d.Mode, int(number(d))); err != nil {
			return fmt.Errorf("make node: %w", err)
		}
		if err := os.Chmod(at, os.FileMode(d.Mode)); err != nil {
			return err
		}
		return os.Lchown(at, int(a.First+d.UID), int(a.First+d.GID))
	}
	return fmt.Errorf("this host does not have it any more")
}

// data mounts the data directory of the VPS that is at path on the directory at.
func (a Again) data(path, at string) error {
	for _, d := range a.Data {
		if d.Path != path {
			continue
		}
		if err := os.Mkdir(at, 0o711); err != nil {
			return err
		}
		return unix.MoveMount(int(d.Tree.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	return fmt.Errorf("the VPS does not have it any more")
}

func bindFile(from, to string) error {
	if err := os.WriteFile(to, nil, 0o444); err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND, "")
}

func bindDir(from, to string) error {
	if err := os.Mkdir(to, 0o711); err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND, "")
}

// RemovePlaceholders takes the empty files away that stand for files of the monitor, in the
// VPS whose init is p and does not run.
func (Access) RemovePlaceholders(p *inside.Process, mounts []state.GivenMount) error {
	for _, m := range mounts {
		if !isPlaceholder(m) {
			continue
		}
		if err := p.UncoverSource(m.At, "tmpfs", checkpoint.FromGiven); err != nil {
			return fmt.Errorf("uncover %s: %w", m.At, err)
		}
	}
	return nil
}
