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
	"croft/internal/userns"
	"croft/template/layer"
)

// A Trial is the result of Try: three steps in order. A step with a nil error
// works on this host. The steps after the first error were not tried.
type Trial struct {
	Namespace error // a user namespace with ids of its own
	Shift     error // a layer mounted with a VPS's ids
	Overlay   error // an overlay of it under the VPS's own files
}

// Try mounts a small root filesystem like a VPS's on the filesystem of dir,
// changes a file in it, and removes everything again. The mounts are in a private
// mount namespace. It returns an error if it could not try.
func Try(dir string) (Trial, error) {
	if err := removeOldTrials(dir); err != nil {
		return Trial{}, layer.HostError(err)
	}
	here := TrialPath(dir)
	defer os.RemoveAll(here)
	// The ids of the root filesystem can enter only directories that all users can.
	r := Rootfs{
		Layers: []string{filepath.Join(here, "layer")}, Dir: filepath.Join(here, "fs"),
		Target: filepath.Join(here, "root"), Scratch: filepath.Join(here, "scratch"),
		First: userns.Trial(), Size: 65536,
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
	if perr := nsthread.PrivateMounts(func() { trial, err = r.try() }); perr != nil {
		return Trial{}, layer.HostError(perr)
	}
	return trial, err
}

// trialPrefix begins the name of a trial's directory. The pid of its process
// follows.
const trialPrefix = ".try-"

// TrialPath is a file or directory in dir for something that this process tries. If the
// process is killed, the next Try removes it.
func TrialPath(dir string) string {
	return filepath.Join(dir, trialPrefix+strconv.Itoa(os.Getpid()))
}

// removeOldTrials removes the directories of trials whose process was killed.
func removeOldTrials(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(strings.TrimPrefix(e.Name(), trialPrefix))
		if err != nil || e.Name() != trialPrefix+strconv.Itoa(pid) || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// try does the three steps on a thread with a mount namespace of its own.
func (r Rootfs) try() (Trial, error) {
	ns, err := userns.New(0, r.First, r.Size)
	if err != nil {
		return Trial{Namespace: err}, nil
	}
	ns.Close()
	for _, d := range []string{r.Target, r.Scratch} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return Trial{}, layer.HostError(err)
		}
	}
	defer r.Unmount() // an error does not matter: the mounts end with the namespace
	lowers, err := r.shiftLayers()
	if err == nil {
		err = checkOwner(filepath.Join(lowers[0], "file"), r.First)
	}
	if err != nil {
		return Trial{Shift: err}, nil
	}
	err = r.mountOverlay(lowers)
	if err == nil {
		err = r.tryOverlay()
	}
	return Trial{Overlay: err}, nil
}

// tryOverlay changes the file of the layer. Overlay copies it to the upper
// directory.
func (r Rootfs) tryOverlay() error {
	file := filepath.Join(r.Target, "file")
	if err := checkOwner(file, r.First); err != nil {
		return err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return fmt.Errorf("change a file of a layer: %w", err)
	}
	return checkOwner(filepath.Join(r.Upper(), "file"), r.First)
}

// checkOwner returns an error unless the file at path belongs to uid.
func checkOwner(path string, uid uint32) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("read the owner of a file: %w", err)
	}
	if st.Uid != uid {
		return fmt.Errorf("a file belongs to uid %d instead of %d", st.Uid, uid)
	}
	return nil
}
