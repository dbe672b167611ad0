// Package hostdevices finds the devices of this host that a VPS gets, and what
// the host itself does with them.
package hostdevices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/vps"
)

// A Host is where devices are looked up.
type Host struct {
	Dev  string // where the nodes are: /dev
	Sys  string // where sysfs is: /sys
	Proc string // where procfs is: /proc
}

// Real is this host.
func Real() Host { return Host{Dev: "/dev", Sys: "/sys", Proc: "/proc"} }

// Find returns the nodes that d means now, as a VPS gets them. It is
// fail.NotFound if the host has none, and fail.Usage if the path is of something
// else.
func (h Host) Find(d vps.Device) ([]bundles.Device, error) {
	names, err := h.names(d)
	if err != nil {
		return nil, err
	}
	var all []bundles.Device
	for _, name := range names {
		node, err := look(name)
		if err != nil {
			return nil, err
		}
		if node.Path = d.Path; d.Path == "" {
			node.Path = "/dev/" + strings.TrimPrefix(name, h.Dev+"/")
		}
		if mode, ok := d.FileMode(); ok {
			node.Mode = mode
		}
		node.UID, node.GID, node.Access = d.UID, d.GID, d.Access
		all = append(all, node)
	}
	return all, nil
}

// names returns the paths of the host's nodes that d means.
func (h Host) names(d vps.Device) ([]string, error) {
	serial, usb := strings.CutPrefix(d.Source, vps.DeviceUSB)
	switch {
	case usb:
		return h.usbNames(d, serial)
	case d.Source == vps.DeviceGPU:
		names, err := filepath.Glob(filepath.Join(h.Dev, "dri/renderD*"))
		if err == nil && len(names) == 0 {
			err = fail.New(fail.NotFound, "the host has no graphics card with a render node (/dev/dri/renderD*)")
		}
		return names, err
	}
	return []string{d.Source}, nil
}

// look describes the node at path, or the one that a link there leads to.
func look(path string) (bundles.Device, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return bundles.Device{}, fail.New(fail.NotFound, "the host has no %s", path)
	}
	if err != nil {
		return bundles.Device{}, fmt.Errorf("look at %s: %w", path, err)
	}
	d := bundles.Device{Source: path, Mode: st.Mode & 0o777, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = "c"
	case unix.S_IFBLK:
		d.Type = "b"
	default:
		return bundles.Device{}, fail.New(fail.Usage, "%s on the host is not a device node", path)
	}
	return d, nil
}

// usbNames returns the paths of the nodes of the USB device with this serial
// number. With a path inside it is the one node that a driver has made, such as
// a serial port.
func (h Host) usbNames(d vps.Device, serial string) ([]string, error) {
	devices, err := filepath.Glob(filepath.Join(h.Sys, "bus/usb/devices/*/serial"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range devices {
		if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) != serial {
			continue
		}
		found, err := h.nodesBelow(filepath.Dir(file))
		if err != nil {
			return nil, fmt.Errorf("look at USB device %s: %w", serial, err)
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil, fail.New(fail.NotFound, "the host has no USB device with the serial number %s", serial)
	}
	slices.Sort(names)
	if d.Path == "" {
		return names, nil
	}
	of := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasPrefix(name, h.Dev+"/bus/") })
	if len(of) != 1 {
		return nil, fail.New(fail.State, "the USB device %s has %d nodes beside its own, and %s can be only one: give the path of the node: %s",
			serial, len(of), d.Path, strings.Join(names, ", "))
	}
	return of, nil
}

// nodesBelow returns the paths of the nodes of the USB device with this directory
// in sysfs, and not those of devices behind it, if it is a hub.
func (h Host) nodesBelow(dir string) ([]string, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // unplugged meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() && path != root {
			if _, err := os.Lstat(filepath.Join(path, "busnum")); err == nil {
				return fs.SkipDir
			}
		}
		if e.Name() != "uevent" {
			return nil
		}
		if name := devName(path); name != "" {
			names = append(names, filepath.Join(h.Dev, name))
		}
		return nil
	})
	return names, err
}

// devName returns the name of the node below /dev that a uevent file of sysfs
// tells; "" if it has none. Only a node has a MAJOR.
func devName(uevent string) string {
	text, err := os.ReadFile(uevent)
	if err != nil {
		return ""
	}
	var name, major string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "DEVNAME":
			name = value
		case "MAJOR":
			major = value
		}
	}
	if _, err := strconv.Atoi(major); err != nil || !filepath.IsLocal(name) {
		return ""
	}
	return name
}

// Check is fail.Usage for a node through which root inside reaches all memory or
// all ports of the host. Its number counts, whatever its name is. A privileged
// VPS may have it.
func Check(d bundles.Device, privileged bool) error {
	danger := map[int64]string{1: "the host's memory", 2: "the kernel's memory", 4: "the host's I/O ports"}[d.Minor]
	if d.Type != "c" || d.Major != 1 || danger == "" || privileged {
		return nil
	}
	return fail.New(fail.Usage, "device %s is %s: only a privileged VPS can have it", d.Source, danger)
}
