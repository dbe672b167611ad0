package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"

	"croft/template/rootfs"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/command"
	"croft/runtime/guests"
	"croft/runtime/hostfacts"
	"croft/runtime/inits"
	"croft/runtime/look"
	"croft/runtime/paths"
	"croft/template"
)

// prepare writes the guest's own files and the bundle, makes the bundle the
// working directory, which is where libcontainer takes it from, and returns
// its specification. The root filesystem is at another place there than in
// the bundle's file: the one that only this monitor sees.
func (mon *monitor) prepare(v vps.VPS, root rootfs.Rootfs, files *inside.Root) (*specs.Spec, error) {
	host, err := mon.host()
	if err != nil {
		return nil, err
	}
	if host.Impassable != "" && v.IDs.Size != 0 {
		return nil, fail.New(fail.Host, "cannot start %s: its users cannot pass through %s, which is on the way to the run directory", v.Name, host.Impassable).
			WithHint("ls -ld %s", host.Impassable)
	}
	warnings, err := mon.guests.Prepare(files, v.IDs.First)
	mon.warnAll(v.Name, warnings)
	if err != nil {
		return nil, err
	}
	init := mon.guests.FindInit(files)
	image, err := mon.imageOf(v)
	if err != nil {
		return nil, err
	}
	if err := mon.configureGuest(v, files, host, bootedInit(init, image)); err != nil {
		return nil, err
	}
	spec, err := mon.specOf(v, init, files, host, paths.NotifySocket(mon.store, v.Name), mon.how == spawnWait)
	if err != nil {
		return nil, err
	}
	dir := mon.store.BundleDir(v.Name)
	if err := bundles.Write(dir, spec); err != nil {
		return nil, err
	}
	if err := os.Chdir(dir); err != nil {
		return nil, fmt.Errorf("enter bundle: %w", err)
	}
	spec.Root = &specs.Root{Path: root.Target, Readonly: spec.Root.Readonly}
	return spec, nil
}

// specOf is the configuration of v's bundle, whose files are at root. One
// without an init, whose image says no command, is fail.State unless it is to
// wait for one.
func (m *Manager) specOf(v vps.VPS, init guests.Init, root *inside.Root, host hostfacts.Facts, notify string, wait bool) (*specs.Spec, error) {
	image, err := m.imageOf(v)
	if err != nil {
		return nil, err
	}
	s := settings(v, init, host, image, notify)
	if bootedInit(init, image) == initkind.Croft {
		if err := m.underSmallInit(&s, v, image, root, wait); err != nil {
			return nil, err
		}
	}
	return bundles.Spec(s)
}

// imageOf is the image that v was created from. The zero Image is one that is
// not in the store any more.
func (m *Manager) imageOf(v vps.VPS) (template.Image, error) {
	image, err := m.templates.Resolve(v.Template.Digest)
	if fail.Is(err, fail.NotFound) {
		return template.Image{}, nil
	}
	return image, err
}

// bootedInit is the init that a VPS with these files boots: croft's own where
// there is none, or where image has one that it does not mean.
func bootedInit(init guests.Init, image template.Image) initkind.Kind {
	if init.Path == "" || image.Init != "" && image.Application() {
		return initkind.Croft
	}
	return init.Kind
}

// settings is what v's bundle is made from.
func settings(v vps.VPS, init guests.Init, host hostfacts.Facts, image template.Image, notify string) bundles.Settings {
	s := bundles.Settings{
		Name: v.Name, UUID: v.UUID, Hostname: v.Hostname,
		Init: []string{init.Path}, Env: append(append([]string{}, image.Env...), v.Env...), ContainerEnv: image.ContainerEnv,
		First: v.IDs.First, Size: v.IDs.Size,
		CgroupsPath: host.Cgroups.CgroupsPath(v.Name),
		Limits:      vps.Limits(v.Limits), Capacity: host.Capacity, OOMScoreAdj: host.OOMScoreAdj,
		Sysctls: v.Sysctls, Devices: host.Devices, NotifyFile: notify,
		NoFile: host.NoFile, HostUptime: host.Uptime, Arch: host.Arch, Allow: v.Allow,
	}
	if slices.Contains(v.Allow, vps.AllowCapabilities) && init.Kind == initkind.Systemd {
		s.Init = append(s.Init, inits.MaskedUnits()...)
	}
	if v.Privileged {
		s.HostCaps = host.Caps // within a user namespace it has all anyway
	}
	return s
}

// underSmallInit makes s run the command of the image under croft's own init, or
// with wait no command. The files of v are at root.
func (m *Manager) underSmallInit(s *bundles.Settings, v vps.VPS, image template.Image, root *inside.Root, wait bool) error {
	// Images rely on the directory, because Docker creates it.
	if dir := path.Clean(image.WorkingDir); path.IsAbs(dir) && !root.IsDir(dir) {
		if err := root.MakeDirectory(dir, v.IDs.First); err != nil {
			m.warn(fmt.Sprintf("%s: cannot create the working directory of its image: %v", v.Name, err))
		}
	}
	c, env, err := command.OfImage(image, root)
	if err != nil {
		return fmt.Errorf("%s: %w", v.Name, err)
	}
	if wait {
		c.Args = nil
	} else if len(c.Args) == 0 {
		return fail.New(fail.State, "the root filesystem of %s has no init, and its image names no command", v.Name).
			WithHint("croft template inspect %s", v.Template.Name)
	}
	if s.InitFile, err = m.initFile(m.store.BinDir()); err != nil {
		return err
	}
	s.Init, s.Env = c.CommandLine(bundles.InitPath), command.LastOfEach(append(env, s.Env...))
	return nil
}

// Bundle is the configuration of name's OCI bundle as JSON: that with which it
// runs, or else the one with which another OCI runtime would run it.
func (m *Manager) Bundle(_ context.Context, name string) (json.RawMessage, error) {
	if _, err := vps.ParseName(name); err != nil {
		return nil, err
	}
	v, err := m.store.Get(name)
	if err == nil {
		err = look.CheckRecord(v)
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

func (m *Manager) bundle(v vps.VPS) (*specs.Spec, error) {
	seen, err := m.observe(v.Name)
	if err != nil {
		return nil, err
	}
	if seen.Runs() {
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
func (m *Manager) portable(v vps.VPS, dir string) (*specs.Spec, error) {
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
	spec, err := m.specOf(v, m.guests.FindInit(root), root, host, "", false)
	if err != nil {
		return nil, err
	}
	bundles.ForOthers(spec)
	return spec, nil
}
