package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"github.com/opencontainers/cgroups"
)

// protectParent gives the cgroup of all VPSs as much protected memory as the VPSs in
// it have together. Version 2 protects a cgroup only as far as the one above it is
// protected (Documentation/admin-guide/cgroup-v2.rst, memory.low). dirs are the
// directories of the cgroup of one VPS, which may be gone. No-op with version 1, and
// if that cgroup is somewhere else.
func (e Engine) protectParent(dirs ...string) error {
	if len(dirs) != 1 || !cgroups.IsCgroup2UnifiedMode() {
		return nil
	}
	parent := filepath.Dir(dirs[0])
	if base := filepath.Base(parent); base != CgroupParent && base != Slice {
		return nil
	}
	if _, _, changes := protection(parent); !changes {
		return nil
	}
	f, err := e.openParents()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Wait(context.Background()); err != nil {
		return fmt.Errorf("lock cgroups: %w", err)
	}
	file, want, changes := protection(parent)
	switch {
	case !changes:
		return nil
	case e.Manager.Resolve() == Systemd:
		err = setSliceProtection(want)
	default:
		err = os.WriteFile(file, []byte(strconv.FormatInt(want, 10)), 0)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) { // else the last VPS has just ended
		return fmt.Errorf("protect memory of all VPSs: %w", err)
	}
	return nil
}

// protect is protectParent for a container that exists.
func (e Engine) protect(id string) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	dirs, err := cgroupDirs(c.lc)
	if err != nil {
		return err
	}
	return e.protectParent(dirs...)
}

// protection returns the file with what is protected of the cgroup dir, what has to
// be in it, and whether that is something else. A file that is missing, or has no
// number, does not change.
func protection(dir string) (file string, want int64, changes bool) {
	file = filepath.Join(dir, "memory.low")
	has, err := numberOf(file)
	want = protectedBelow(dir)
	return file, want, err == nil && has != want
}

// protectedBelow returns the sum of what the cgroups in dir protect.
func protectedBelow(dir string) (sum int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "memory.low")) // the pattern is valid
	for _, file := range files {
		if n, err := numberOf(file); err == nil {
			sum += n
		}
	}
	return sum
}

// setSliceProtection has systemd do it, which would write its own value otherwise.
func setSliceProtection(bytes int64) error {
	conn, err := systemd.NewWithContext(context.Background())
	if err != nil {
		return fmt.Errorf("reach systemd: %w", err)
	}
	defer conn.Close()
	low := systemd.Property{Name: "MemoryLow", Value: dbus.MakeVariant(uint64(bytes))}
	return conn.SetUnitPropertiesContext(context.Background(), Slice, true, low)
}
