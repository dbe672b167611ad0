package vps

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"croft/internal/fail"
)

// A Device is a device of the host that a VPS gets. Its numbers are looked up at
// each start.
type Device struct {
	// Source is the path of the host's node, or a class: DeviceGPU, or
	// DeviceUSB and the serial number of a USB device.
	Source string `json:"source"`
	Path   string `json:"path,omitempty"`   // inside; "" is the path that the host has
	Access string `json:"access,omitempty"` // of r, w and m: read, write, make a node; "" is all
	Mode   string `json:"mode,omitempty"`   // permission bits inside, octal; "" is those of the host's node
	UID    uint32 `json:"uid,omitempty"`    // owner inside
	GID    uint32 `json:"gid,omitempty"`    // group inside
	// Optional means that the VPS starts without the device if the host does not
	// have it.
	Optional bool `json:"optional,omitempty"`
}

// The classes of devices. DeviceKVM is a short name of its path.
const (
	DeviceKVM = "kvm"  // /dev/kvm
	DeviceGPU = "gpu"  // the render nodes of all graphics cards
	DeviceUSB = "usb:" // and a serial number: all nodes of this USB device
)

// ParseDevice reads SOURCE[:PATH][:OPTION[,OPTION]...]. The options are rights
// (letters of rwm), mode=OCTAL, uid=NUMBER, gid=NUMBER and optional. Names of
// devices may have colons. Check checks the values.
func ParseDevice(text string) (Device, error) {
	class, rest := "", text
	if serial, ok := strings.CutPrefix(text, DeviceUSB); ok {
		class, rest = DeviceUSB, serial
	}
	var d Device
	if n := strings.LastIndex(rest, ":"); n > 0 && rest[n+1:] != "" && strings.Trim(rest[n+1:], "abcdefghijklmnopqrstuvwxyz0123456789=,") == "" && !digit(rest[n+1]) {
		if err := d.setOptions(rest[n+1:]); err != nil {
			return Device{}, fmt.Errorf("%s: %w", text, err)
		}
		rest = rest[:n]
	}
	if n := strings.LastIndex(rest, ":/"); n > 0 {
		rest, d.Path = rest[:n], rest[n+1:]
	}
	d.Source = class + rest
	if d.Source == DeviceKVM {
		d.Source = "/dev/kvm"
	}
	return d, nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (d *Device) setOptions(text string) error {
	for option := range strings.SplitSeq(text, ",") {
		key, value, has := strings.Cut(option, "=")
		var err error
		switch {
		case option == "optional":
			d.Optional = true
		case key == "mode" && has:
			var mode uint64
			mode, err = strconv.ParseUint(value, 8, 32)
			d.Mode = fmt.Sprintf("%04o", mode)
		case key == "uid" && has:
			d.UID, err = parseID(value)
		case key == "gid" && has:
			d.GID, err = parseID(value)
		case option != "" && strings.Trim(option, "rwm") == "":
			d.Access = rights(option)
		default:
			return fmt.Errorf("unknown option %q: use letters of rwm, mode=OCTAL, uid=NUMBER, gid=NUMBER or optional", option)
		}
		if err != nil {
			return fmt.Errorf("%s: invalid number %q", key, value)
		}
	}
	return nil
}

func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 31)
	return uint32(id), err
}

// rights returns letters of rwm in this order; "" if they are all.
func rights(letters string) string {
	var all string
	for _, c := range "rwm" {
		if strings.ContainsRune(letters, c) {
			all += string(c)
		}
	}
	if all == "rwm" {
		return ""
	}
	return all
}

// String is d as a person types it.
func (d Device) String() string {
	text := d.Source
	if d.Path != "" {
		text += ":" + d.Path
	}
	var options []string
	if d.Access != "" {
		options = append(options, d.Access)
	}
	if d.Mode != "" {
		options = append(options, "mode="+d.Mode)
	}
	if d.UID != 0 {
		options = append(options, fmt.Sprintf("uid=%d", d.UID))
	}
	if d.GID != 0 {
		options = append(options, fmt.Sprintf("gid=%d", d.GID))
	}
	if d.Optional {
		options = append(options, "optional")
	}
	if len(options) > 0 {
		text += ":" + strings.Join(options, ",")
	}
	return text
}

// Name is what the device is called inside: its path, or its class if the host
// chooses the paths. No two devices of a VPS have the same one.
func (d Device) Name() string {
	if d.Path != "" {
		return d.Path
	}
	return d.Source
}

// Class reports whether the source is a class and not a path.
func (d Device) Class() bool { return !strings.HasPrefix(d.Source, "/") }

// Rights are the letters of Access; all of them for "".
func (d Device) Rights() string {
	if d.Access == "" {
		return "rwm"
	}
	return d.Access
}

// FileMode is Mode as permission bits. ok is false if the host's node has them.
func (d Device) FileMode() (mode uint32, ok bool) {
	bits, err := strconv.ParseUint(d.Mode, 8, 32)
	return uint32(bits), err == nil
}

// Check returns fail.Usage for an invalid device.
func (d Device) Check() error {
	bad := func(format string, args ...any) error {
		return fail.New(fail.Usage, "device %s: %w", d, fmt.Errorf(format, args...))
	}
	mode, has := d.FileMode()
	switch {
	case d.Access != rights(d.Access) || strings.Trim(d.Access, "rwm") != "":
		return bad("invalid rights %q: use letters of rwm", d.Access)
	case d.Mode != "" && (!has || mode > 0o777):
		return bad("invalid mode %q: use an octal number up to 0777", d.Mode)
	case d.UID > math.MaxInt32 || d.GID > math.MaxInt32:
		return bad("the owner %d:%d is out of range", d.UID, d.GID)
	case d.Source == DeviceGPU && d.Path != "":
		return bad("a graphics card has nodes of several names, which stay as on the host")
	case d.Class() && d.Source != DeviceGPU && (!strings.HasPrefix(d.Source, DeviceUSB) || d.Source == DeviceUSB):
		return bad("use a path such as /dev/ttyUSB0, kvm, gpu, or usb:SERIAL")
	case strings.ContainsFunc(d.Source, unprintable):
		return bad("invalid source")
	case !d.Class() && path.Clean(d.Source) != d.Source:
		return bad("write the path as %s", path.Clean(d.Source))
	}
	if d.Class() && d.Path == "" {
		return nil
	}
	if err := checkDevicePath(d.Name()); err != nil {
		return bad("%w", err)
	}
	return nil
}

func unprintable(c rune) bool { return c <= ' ' || c == 0x7f }

// checkDevicePath rejects a path inside that is not below /dev, or that every VPS
// has.
func checkDevicePath(name string) error {
	rest, below := strings.CutPrefix(name, "/dev/")
	if !below || rest == "" || path.Clean(name) != name || strings.ContainsFunc(name, unprintable) {
		return fmt.Errorf("its path inside must be below /dev: give SOURCE:/dev/NAME")
	}
	every := []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue",
		"fd", "stdin", "stdout", "stderr", "core", "net/tun", "fuse", ".croft"}
	for _, own := range every {
		if rest == own || strings.HasPrefix(rest, own+"/") {
			return fmt.Errorf("every VPS has its own /dev/%s", own)
		}
	}
	return nil
}

// checkDevices checks each device, and that all have a name of their own.
func (v VPS) checkDevices() error {
	for n, d := range v.Devices {
		if err := d.Check(); err != nil {
			return err
		}
		if size := v.IDs.Size; size != 0 && max(d.UID, d.GID) >= size {
			return fail.New(fail.Usage, "device %s: %s has the ids 0 to %d", d, v.Name, size-1)
		}
		at := slices.IndexFunc(v.Devices[:n], func(o Device) bool {
			return o.Name() == d.Name() || strings.HasPrefix(o.Name(), d.Name()+"/") || strings.HasPrefix(d.Name(), o.Name()+"/")
		})
		if at >= 0 {
			return fail.New(fail.Usage, "device %s: %s has the device %s already", d, v.Name, v.Devices[at])
		}
	}
	return nil
}
