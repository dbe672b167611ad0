package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path"

	"croft/network"
	"croft/network/guest"
	"croft/template/rootfs"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/command"
	"croft/runtime/fit"
	"croft/runtime/guests"
	"croft/runtime/hostfacts"
	"croft/runtime/inits"
	"croft/runtime/look"
	"croft/runtime/names"
	"croft/runtime/paths"
	"croft/runtime/tables"
	"croft/template"
)

// prepare writes the guest's own files and the bundle and returns the specification of
// the container. It makes the bundle the working directory, because libcontainer looks
// for it there. In the returned specification the root filesystem is where only this
// monitor sees it; in the file of the bundle it is in the bundle.
// devices are those of startDevices, and cpus are the CPUs of cpusAtStart.
func (mon *monitor) prepare(v vps.VPS, root rootfs.Rootfs, files *inside.Root, devices []bundles.Device, cpus string) (*specs.Spec, error) {
	defer trace.Span("prepare the guest and its bundle")()
	host, err := mon.host()
	if err != nil {
		return nil, err
	}
	host.Devices = append(host.Devices, devices...)
	if err := mon.checkPassable(v); err != nil {
		return nil, err
	}
	warnings, err := mon.guests.Prepare(files, v.IDs.First)
	mon.warnAll(v.Name, warnings)
	mon.warnAll(v.Name, mon.unmet(vps.Limits{}, v.Limits))
	if err != nil {
		return nil, err
	}
	init := mon.guests.FindInit(files)
	image, err := mon.imageOf(v)
	if err != nil {
		return nil, err
	}
	first, err := mon.firstStart(v.Name)
	if err != nil {
		return nil, err
	}
	var fitted []string
	if first {
		if fitted, err = mon.fitGuest(v, root, files, bootedInit(init, image), image); err != nil {
			return nil, err
		}
	}
	if err := mon.configureGuest(v, files, host, bootedInit(init, image)); err != nil {
		return nil, err
	}
	if first {
		if err := noteConfigured(paths.Configured(mon.store, v.Name), fitted); err != nil {
			return nil, err
		}
	}
	return mon.writeBundle(v, root, files, host, init, cpus)
}

// writeBundle writes the bundle of v, makes it the working directory, and returns the
// specification: see prepare.
func (mon *monitor) writeBundle(v vps.VPS, root rootfs.Rootfs, files *inside.Root, host hostfacts.Facts, init guests.Init, cpus string) (*specs.Spec, error) {
	v.Limits.CPUSet = cpus
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

// specOf returns the configuration of v's bundle. The files of v are at root. It is
// fail.State if v has no init and its image no command, unless wait says that v waits
// for commands.
func (m *Manager) specOf(v vps.VPS, init guests.Init, root *inside.Root, host hostfacts.Facts, notify string, wait bool) (*specs.Spec, error) {
	image, err := m.imageOf(v)
	if err != nil {
		return nil, err
	}
	s := bundleSettings(v, init, host, image, notify)
	if notify != "" && len(v.Credentials) > 0 { // other runtimes do not have them
		s.CredentialsDir = paths.Credentials(paths.GivenDir(m.store, v.Name))
	}
	s.Disks, _ = m.disksOf(v.Limits) // unmet names the others
	if bootedInit(init, image) == initkind.Croft {
		if err := m.underSmallInit(&s, v, image, root, wait); err != nil {
			return nil, err
		}
	}
	return bundles.Spec(s)
}

// imageOf returns the image of v; the zero Image if it is not in the store any more.
func (m *Manager) imageOf(v vps.VPS) (template.Image, error) {
	image, err := m.templates.Resolve(v.Template.Digest)
	if fail.Is(err, fail.NotFound) {
		return template.Image{}, nil
	}
	return image, err
}

// bootedInit returns the kind of init that a VPS boots: croft's own if the files have
// none, or if the image runs another command.
func bootedInit(init guests.Init, image template.Image) initkind.Kind {
	if init.Path == "" || image.Init != "" && image.Application() {
		return initkind.Croft
	}
	return init.Kind
}

// bundleSettings returns the settings of v's bundle.
func bundleSettings(v vps.VPS, init guests.Init, host hostfacts.Facts, image template.Image, notify string) bundles.Settings {
	s := bundles.Settings{
		Name: string(v.Name), UUID: v.UUID, Hostname: v.Hostname,
		Init: []string{init.Path}, Env: append(append([]string{}, image.Env...), v.Env...), ContainerEnv: image.ContainerEnv,
		First: v.IDs.First, Size: v.IDs.Size,
		CgroupsPath: host.Cgroups.CgroupsPath(string(v.Name)),
		Limits:      vps.Limits(v.Limits), Capacity: host.Capacity, OOMScoreAdj: host.OOMScoreAdj,
		Sysctls: startSysctls(v), Devices: host.Devices, NotifyFile: notify,
		NoFile: host.NoFile, HostUptime: host.Uptime, Arch: host.Arch, Seccomp: v.Seccomp, Allow: v.Allow, CapAdd: v.CapAdd, CapDrop: v.CapDrop,
	}
	if v.Privileged {
		s.HostCaps = host.Caps // in a user namespace it has all
	}
	if init.Kind == initkind.Systemd {
		s.Init = append(s.Init, inits.MaskedUnits(bundles.Capabilities(s))...)
	}
	return s
}

// oomScore returns by how much the processes of v are more likely than its init to be
// killed where memory runs out.
func oomScore(v vps.VPS) int {
	if !v.Fit.Has(vps.FitOOM) {
		return 0
	}
	return fit.OOMScore
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
	c.OOMScore = oomScore(v)
	s.Init, s.Env = c.CommandLine(bundles.InitPath), command.LastOfEach(append(env, s.Env...))
	return nil
}

// guestInit is the name that package guest has for an init of kind k; "" if none.
func guestInit(k initkind.Kind) string {
	switch k {
	case initkind.Busybox:
		return guest.InitBusybox
	case initkind.SysV:
		return guest.InitSysVinit
	case initkind.Runit:
		return guest.InitRunit
	case initkind.OpenRC:
		return guest.InitOpenRC
	}
	return ""
}

// configureGuest writes the guest's own files: hostname, resolvers, inittab, and the
// configuration of its network service. Files of the user are left unchanged. The
// first time, files of the template are replaced.
func (m *Manager) configureGuest(v vps.VPS, root *inside.Root, host hostfacts.Facts, init initkind.Kind) error {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	settings, err := guestSettings(v, plugs, host)
	if err != nil {
		return err
	}
	settings.Init = guestInit(init)
	settings.KeepConsole = !v.Fit.Has(vps.FitConsole)
	settings.Hosts = names.HostsFor(v, m.networkTables().All())
	if settings.First, err = m.firstStart(v.Name); err != nil {
		return err
	}
	warnings, err := m.guests.Configure(root, v.IDs.First, settings)
	m.warnAll(v.Name, warnings)
	return err
}

// guestSettings returns the settings for the guest's own files.
func guestSettings(v vps.VPS, plugs []tables.Plug, host hostfacts.Facts) (guest.Settings, error) {
	s := guest.Settings{Hostname: v.Hostname, Servers: host.Upstreams, Search: host.Search,
		TmpSize: bundles.TmpSize(v.Limits, host.Capacity)}
	if len(v.DNS.Servers) > 0 {
		s.Servers = nil
		for _, text := range v.DNS.Servers {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return guest.Settings{}, fmt.Errorf("read resolver of %s: %w", v.Name, err)
			}
			s.Servers = append(s.Servers, a)
		}
	}
	if len(v.DNS.Search) > 0 {
		s.Search = v.DNS.Search
	}
	routing := v.Routing
	s.Routing = routing.Any()
	var plans []network.Plan
	for _, p := range plugs {
		plans = append(plans, p.Plan)
	}
	for _, p := range plugs {
		if len(p.Plan.Addresses) == 0 {
			continue // the VPS configures such an interface itself
		}
		s.Interfaces = append(s.Interfaces, guest.Interface{Name: p.Plan.Interface, Addresses: p.Plan.Addresses,
			Gateways: p.Plan.Gateways, Near: p.Plan.Near, MTU: p.Plan.MTU, Routes: network.RoutesOf(routing, p.Plan, plans)})
	}
	return s, nil
}

// Bundle returns the configuration of name's OCI bundle as JSON: the one of the running
// VPS, or for a stopped VPS the one with which another OCI runtime can run it.
func (m *Manager) Bundle(_ context.Context, name vps.Name) (json.RawMessage, error) {
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

// portable returns the configuration of v for other runtimes. The files of v are at
// dir. It has no time namespace, because the offsets of that depend on the time of the
// start.
func (m *Manager) portable(v vps.VPS, dir string) (*specs.Spec, error) {
	host, err := m.host()
	if err != nil {
		return nil, err
	}
	host.Uptime = 0
	for _, d := range v.Devices {
		found, _ := m.findDevice(v, d) // what the host does not have is left out
		host.Devices = append(host.Devices, found...)
	}
	host.Devices = distinct(host.Devices)
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
