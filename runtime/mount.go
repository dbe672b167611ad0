package runtime

import (
	"context"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// Mount mounts the root filesystem of a stopped VPS on the host and returns the
// mount point, which is in the VPS's bundle. It writes the configuration of the
// bundle, so any OCI runtime can run it. No-op if it is mounted. It stays mounted
// until Umount, Destroy or a reboot of the host, and the VPS cannot start until then.
func (m *Manager) Mount(ctx context.Context, name vps.Name) (string, error) {
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
	defer state.ReleaseLife(life)
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

// Umount undoes Mount. No-op if the VPS is not mounted. It is fail.State if the VPS
// runs, and fail.Busy, and changes nothing, while a process uses the files.
func (m *Manager) Umount(ctx context.Context, name vps.Name) error {
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
	defer state.ReleaseLife(life)
	return m.rootfses.Release(m.mountpoint(v.Name))
}

// mountpoint describes the place where a VPS's root filesystem is mounted, without
// its layers.
func (m *Manager) mountpoint(name vps.Name) rootfs.Rootfs {
	return rootfs.Rootfs{Dir: m.store.FSDir(name), Image: m.store.AnyDiskImage(name), Target: paths.Rootfs(m.store, name), Scratch: paths.LowerDir(m.store, name)}
}

// notMounted is fail.State if Mount has mounted the root filesystem: the result of
// two overlay mounts with the same upper directory is undefined.
func (m *Manager) notMounted(name vps.Name) error {
	mounted, err := m.rootfses.Mounted(m.mountpoint(name))
	if err == nil && mounted {
		err = fail.New(fail.State, "%s is mounted", name).WithHint("croft umount %s", name)
	}
	return err
}
