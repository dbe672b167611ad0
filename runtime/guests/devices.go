package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/fail"
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
	defer closeNodes(nodes)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make devices: %w", err)
	}
	for _, n := range nodes {
		if n.device.Absent {
			err = p.MakePlace(n.device.Path, first)
		} else {
			err = p.Uncover(n.device.Path, 0)
		}
		if err == nil {
			err = p.Cover(n.device.Path, n.tree, 0)
		}
		if err != nil {
			return fmt.Errorf("give the VPS its devices: %w", err)
		}
	}
	return nil
}

// ChangeDevices takes the device nodes at the paths removed away from the running
// VPS whose init is id, and gives it nodes for devices. Nodes that are as they
// should be stay. An open descriptor of a removed node stays usable. scratch is a
// directory of the host.
func (Access) ChangeDevices(ctx context.Context, id inside.Identity, first uint32, devices []bundles.Device, removed []string, scratch string) error {
	return inside.InProcess(ctx, id, func(p *inside.Process) error {
		for _, path := range removed {
			if err := removeDevice(p, path, first); err != nil {
				return inTheWay("remove", path, err)
			}
		}
		missing, err := missingDevices(p, first, devices)
		if err != nil {
			return err
		}
		nodes, err := newDevices(scratch, first, missing)
		defer func() { closeNodes(nodes) }()
		if errors.Is(err, unix.EPERM) { // the host's own, as at a start
			closeNodes(nodes)
			nodes, err = hostDevices(missing)
		}
		if err != nil {
			return fmt.Errorf("make devices: %w", err)
		}
		for _, n := range nodes {
			if err := addDevice(p, first, n); err != nil {
				return inTheWay("add", n.device.Path, err)
			}
		}
		return nil
	})
}

// missingDevices returns those of devices of which p has no node with the right
// numbers, mode and owner.
func missingDevices(p *inside.Process, first uint32, devices []bundles.Device) ([]bundles.Device, error) {
	var missing []bundles.Device
	for _, d := range devices {
		st, ok, err := p.DeviceAt(d.Path)
		if err != nil {
			return nil, inTheWay("look at", d.Path, err)
		}
		if !ok || st.Mode&^unix.S_IFMT != d.Mode || st.Mode&unix.S_IFMT != kindOf(d) || st.Rdev != number(d) ||
			st.Uid != first+d.UID || st.Gid != first+d.GID {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// inTheWay classifies an error at a path inside, which the guest controls.
func inTheWay(verb, path string, err error) error {
	if errors.Is(err, inside.ErrGone) {
		return err
	}
	return fail.New(fail.State, "cannot %s device %s inside: %w", verb, path, err)
}

// removeDevice removes the node at path, which is a mount, or a file in the tmpfs
// of /dev. What else the guest may have put there stays.
func removeDevice(p *inside.Process, path string, first uint32) error {
	_, is, err := p.DeviceAt(path)
	if err != nil || !is {
		return err
	}
	if err := p.Uncover(path, unix.TMPFS_MAGIC); err != nil {
		return err
	}
	return p.RemovePlace(path, first)
}

// addDevice mounts the node n at its path. A node that is there is replaced.
func addDevice(p *inside.Process, first uint32, n node) error {
	if err := removeDevice(p, n.device.Path, first); err != nil {
		return err
	}
	if err := p.MakePlace(n.device.Path, first); err != nil {
		return err
	}
	return p.Cover(n.device.Path, n.tree, 0)
}

// A node is a device node in a tmpfs, as a mount that is not mounted anywhere
// yet.
type node struct {
	device bundles.Device
	tree   *os.File
}

func closeNodes(nodes []node) {
	for _, n := range nodes {
		n.tree.Close()
	}
}

// hostDevices returns the host's own nodes for devices. The caller closes the
// trees, also on error.
func hostDevices(devices []bundles.Device) (all []node, err error) {
	for _, d := range devices {
		source := d.Source
		if source == "" {
			source = d.Path
		}
		tree, err := detached(unix.AT_FDCWD, source, 0)
		if err != nil {
			return all, err
		}
		all = append(all, node{d, tree})
	}
	return all, nil
}

// newDevices makes nodes for devices in a tmpfs of their own. They belong to the
// guest whose root has the id first on the host.
// The tmpfs is mounted on the directory scratch, in a mount namespace that ends
// with the call. The caller closes the trees, also on error. The error is
// unix.EPERM if mknod(2) is refused.
func newDevices(scratch string, first uint32, devices []bundles.Device) (all []node, err error) {
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
			tree, err := newDevice(fmt.Sprintf("%s/%d-%s", scratch, i, path.Base(d.Path)), first, d)
			if err != nil {
				return err
			}
			all = append(all, node{d, tree})
		}
		return nil
	})
	return all, err
}

func newDevice(at string, first uint32, d bundles.Device) (*os.File, error) {
	if err := unix.Mknod(at, kindOf(d)|d.Mode, int(number(d))); err != nil {
		return nil, fmt.Errorf("make node %s: %w", d.Path, err)
	}
	if err := os.Lchown(at, int(first+d.UID), int(first+d.GID)); err != nil {
		return nil, fmt.Errorf("make node %s: %w", d.Path, err)
	}
	return detached(unix.AT_FDCWD, at, 0)
}

// kindOf is the type of a node in st_mode (inode(7)).
func kindOf(d bundles.Device) uint32 {
	if d.Type == "b" {
		return unix.S_IFBLK
	}
	return unix.S_IFCHR
}

func number(d bundles.Device) uint64 { return unix.Mkdev(uint32(d.Major), uint32(d.Minor)) }

// TryDevices makes the usual device nodes as a start does, and removes them.
// scratch is a directory of the host.
func TryDevices(scratch string) error {
	nodes, err := newDevices(scratch, 0, usualDevices())
	closeNodes(nodes)
	return err
}
