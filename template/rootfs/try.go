package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/template/layer"
)

// A Trial is how far a host came with the root filesystem of a VPS. What is
// nil can be done; what comes after the first error was not tried.
type Trial struct {
	Namespace error // a user namespace with ids of its own
	Shift     error // a layer mounted with a VPS's ids
	Overlay   error // an overlay of it under the VPS's own files
}

// Try mounts a root filesystem like a VPS's, of a layer of one file, on the
// filesystem of dir, changes that file, and takes everything away again. It is
// seen by nobody: the mounts are in a namespace of their own. An error is that
// it could not be tried.
func Try(dir string) (Trial, error) {
	if err := removeTries(dir); err != nil {
		return Trial{}, layer.HostError(err)
	}
	here := filepath.Join(dir, tryPrefix+strconv.Itoa(os.Getpid()))
	defer os.RemoveAll(here)
	// The root filesystem is owned by ids that may enter only what all may.
	r := Rootfs{
		Layers: []string{filepath.Join(here, "layer")}, Dir: filepath.Join(here, "fs"),
		Target: filepath.Join(here, "root"), Scratch: filepath.Join(here, "scratch"),
		First: tryFirst, Size: 65536,
	}
	if err := os.MkdirAll(r.Layers[0], 0o755); err != nil {
		return Trial{}, layer.HostError(fmt.Errorf("try a root filesystem: %w", err))
	}
	err := os.WriteFile(filepath.Join(r.Layers[0], "file"), []byte("lower"), 0o644)
	if err == nil {
		err = r.Make()
	}
	if errors.Is(err, unix.EINVAL) {
		return Trial{Namespace: err}, nil
	}
	if err != nil {
		return Trial{}, layer.HostError(fmt.Errorf("try a root filesystem: %w", err))
	}
	var trial Trial
	nsthread.Do(func() { trial, err = r.try() })
	return trial, err
}

// tryFirst is the first of the ids that nobody has: see internal/state, endIDs.
const tryFirst = 0x7FFF0000

// tryPrefix begins the name of a trial's directory; its process follows.
const tryPrefix = ".try-"

// removeTries removes what trials have left whose process was killed.
func removeTries(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(strings.TrimPrefix(e.Name(), tryPrefix))
		if err != nil || e.Name() != tryPrefix+strconv.Itoa(pid) || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// try is Try on a thread that ends with it.
func (r Rootfs) try() (Trial, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return Trial{}, layer.HostError(fmt.Errorf("make a mount namespace: %w", err))
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return Trial{}, layer.HostError(fmt.Errorf("make mounts private: %w", err))
	}
	ns, err := userNamespace(r.First, r.Size)
	if err != nil {
		return Trial{Namespace: err}, nil
	}
	ns.Close()
	for _, d := range []string{r.Target, r.Scratch} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return Trial{}, layer.HostError(err)
		}
	}
	defer r.Unmount() // the namespace ends all the same
	lowers, err := r.ShiftLayers()
	if err == nil {
		err = owned(filepath.Join(lowers[0], "file"), r.First)
	}
	if err != nil {
		return Trial{Shift: err}, nil
	}
	err = MountOverlay(r.Target, lowers, r.Upper(), r.work(), r.flags())
	if err == nil {
		err = r.tryOverlay()
	}
	return Trial{Overlay: err}, nil
}

// tryOverlay changes the file of the layer, which copies it up.
func (r Rootfs) tryOverlay() error {
	file := filepath.Join(r.Target, "file")
	if err := owned(file, r.First); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return fmt.Errorf("change a file of a layer: %w", err)
	}
	return owned(filepath.Join(r.Upper(), "file"), r.First)
}

// owned is nil if the file at path belongs to uid.
func owned(path string, uid uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("look at a file of a layer: %w", err)
	}
	if st.Uid != uid {
		return fmt.Errorf("a file of a layer belongs to %d and not to %d", st.Uid, uid)
	}
	return nil
}
