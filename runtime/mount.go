package runtime

import (
	"context"
	"encoding/json"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/state"
	"croft/template"
)

// Mount mounts the root filesystem of a VPS that does not run, on the host,
// and returns where. It is in the VPS's bundle, whose configuration is written
// anew: any OCI runtime can run that. A mounted one is success. It stays until
// Umount, Destroy, or a reboot of the host; a start is refused meanwhile.
func (m *Manager) Mount(ctx context.Context, name string) (string, error) {
	l, v, err := m.existingAsIs(ctx, name)
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
	l, v, err := m.existingAsIs(ctx, name)
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
func (m *Manager) mountpoint(name string) template.Rootfs {
	return template.Rootfs{Dir: m.store.FSDir(name), Target: rootfsDir(m.store, name), Scratch: lowerDir(m.store, name)}
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

// Bundle is the configuration of name's OCI bundle as JSON: that with which it
// runs, or else the one with which another OCI runtime would run it.
func (m *Manager) Bundle(_ context.Context, name string) (json.RawMessage, error) {
	if _, err := state.ParseName(name); err != nil {
		return nil, err
	}
	v, err := m.store.Get(name)
	if err == nil {
		err = whole(v)
	}
	if err != nil {
		return nil, err
	}
	spec, err := m.bundle(v)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode bundle configuration: %w", err)
	}
	return text, nil
}

func (m *Manager) bundle(v state.VPS) (*specs.Spec, error) {
	run, err := m.store.Run(v.Name)
	if err != nil {
		return nil, err
	}
	status, err := m.status(v.Name, run)
	if err != nil {
		return nil, err
	}
	if status != StatusStopped {
		return bundles.Read(m.store.BundleDir(v.Name))
	}
	root, err := m.rootfs(v)
	if err != nil {
		return nil, err
	}
	mounted, err := m.rootfses.Mounted(root)
	if err != nil {
		return nil, err
	}
	if mounted {
		return m.portable(v, root.Target)
	}
	var spec *specs.Spec
	err = m.rootfses.View(root, func(dir string) error {
		spec, err = m.portable(v, dir)
		return err
	})
	return spec, err
}

// portable is the bundle of v, whose files are at dir, for other runtimes. It has
// no time namespace, whose offsets are those of the instant of a start.
func (m *Manager) portable(v state.VPS, dir string) (*specs.Spec, error) {
	host, err := m.host()
	if err != nil {
		return nil, err
	}
	host.Uptime = 0
	root, err := m.guests.Open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	spec, err := m.specOf(v, m.guests.Look(root), root, host, "", false)
	if err != nil {
		return nil, err
	}
	bundles.ForOthers(spec)
	return spec, nil
}
