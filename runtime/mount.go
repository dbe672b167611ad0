package runtime

import (
	"context"

	"croft/bundles"
	"croft/internal/fail"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// Mount mounts the root filesystem of a VPS that does not run, on the host,
// and returns where. It is in the VPS's bundle, whose configuration is written
// anew: any OCI runtime can run that. A mounted one is success. It stays until
// Umount, Destroy, or a reboot of the host; a start is refused meanwhile.
func (m *Manager) Mount(ctx context.Context, name string) (string, error) {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return "", err
	}
	defer l.Unlock()
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return "", fail.New(fail.State, "%s is running, and only a stopped VPS can be mounted", name).WithHint("croft enter %s", name)
	}
	if err != nil {
		return "", err
	}
	defer life.Close()
	root, err := m.rootfs(v)
	if err != nil {
		return "", err
	}
	mounted, err := m.rootfses.Mounted(root)
	if err != nil {
		return "", err
	}
	if !mounted {
		if err := m.rootfses.Mount(root); err != nil {
			return "", err
		}
	}
	spec, err := m.portable(v, root.Target)
	if err == nil {
		err = bundles.Write(m.store.BundleDir(name), spec)
	}
	if err != nil && !mounted {
		if e := m.rootfses.Unmount(root); e != nil {
			m.warn(e.Error())
		}
	}
	return root.Target, err
}

// Umount undoes Mount. One that is not mounted is success, one that runs
// fail.State. While something uses the files it is fail.Busy, and they stay
// mounted.
func (m *Manager) Umount(ctx context.Context, name string) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s is running, and its root filesystem is in use", name)
	}
	if err != nil {
		return err
	}
	defer life.Close()
	return m.rootfses.Release(m.mountpoint(v.Name))
}

// mountpoint is where a VPS's root filesystem is mounted, without what it is
// made of.
func (m *Manager) mountpoint(name string) rootfs.Rootfs {
	return rootfs.Rootfs{Dir: m.store.FSDir(name), Target: paths.Rootfs(m.store, name), Scratch: paths.LowerDir(m.store, name)}
}

// notMounted is fail.State for a VPS whose root filesystem Mount has mounted:
// overlay leaves open what two mounts of one directory do to it.
func (m *Manager) notMounted(name string) error {
	mounted, err := m.rootfses.Mounted(m.mountpoint(name))
	if err == nil && mounted {
		err = fail.New(fail.State, "%s is mounted", name).WithHint("croft umount %s", name)
	}
	return err
}
