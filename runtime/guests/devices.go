package guests

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/nsthread"
)

// usualDevices are the device nodes of every VPS (OCI runtime specification,
// config-linux.md, "Default Devices"), without terminals.
func usualDevices() []bundles.Device {
	var all []bundles.Device
	for _, d := range []struct {
		name         string
		major, minor int64
	}{
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	} {
		all = append(all, bundles.Device{Path: "/dev/" + d.name, Type: "c", Major: d.major, Minor: d.minor, Mode: 0o666})
	}
	return all
}

// Devices gives the VPS whose init is p, and has not run yet, its own device
// nodes: the usual ones and extra. scratch is a directory of the host. A runtime
// cannot make nodes in a user namespace and mounts the host's nodes, with the
// host's owner and mode. They stay if mknod(2) is refused on this host too.
func (Access) Devices(p *inside.Process, first uint32, extra []bundles.Device, scratch string) error {
	nodes, err := newDevices(scratch, first, append(usualDevices(), extra...))
	defer func() {
		for _, n := range nodes {
			n.tree.Close()
		}
	}()
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make devices: %w", err)
	}
	for _, n := range nodes {
		if err = p.Uncover(n.path, 0); err == nil {
			err = p.Cover(n.path, n.tree, 0)
		}
		if err != nil {
			return fmt.Errorf("give the VPS its devices: %w", err)
		}
	}
	return nil
}

// A node is a device node in a tmpfs, as a mount that is not mounted anywhere
// yet.
type node struct {
	path string // inside
	tree *os.File
}

// newDevices makes nodes for devices, owned by owner, in a tmpfs of their own.
// The tmpfs is mounted on the directory scratch, in a mount namespace that ends
// with the call. The caller closes the trees, also on error. The error is
// unix.EPERM if mknod(2) is refused.
func newDevices(scratch string, owner uint32, devices []bundles.Device) (all []node, err error) {
	err = nsthread.Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		unix.Umask(0)
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount("croft-dev", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, withoutSize+",mode=755"); err != nil {
			return fmt.Errorf("mount tmpfs: %w", err)
		}
		for i, d := range devices {
			tree, err := newDevice(fmt.Sprintf("%s/%d-%s", scratch, i, path.Base(d.Path)), owner, d)
			if err != nil {
				return err
			}
			all = append(all, node{d.Path, tree})
		}
		return nil
	})
	return all, err
}

func newDevice(at string, owner uint32, d bundles.Device) (*os.File, error) {
	kind := uint32(unix.S_IFCHR)
	if d.Type == "b" {
		kind = unix.S_IFBLK
	}
	if err := unix.Mknod(at, kind|uint32(d.Mode), int(unix.Mkdev(uint32(d.Major), uint32(d.Minor)))); err != nil {
		return nil, fmt.Errorf("make node %s: %w", d.Path, err)
	}
	if err := os.Lchown(at, int(owner), int(owner)); err != nil {
		return nil, fmt.Errorf("make node %s: %w", d.Path, err)
	}
	return detached(unix.AT_FDCWD, at, 0)
}

// TryDevices makes the usual device nodes as a start does, and removes them.
// scratch is a directory of the host.
func TryDevices(scratch string) error {
	nodes, err := newDevices(scratch, 0, usualDevices())
	for _, n := range nodes {
		n.tree.Close()
	}
	return err
}
