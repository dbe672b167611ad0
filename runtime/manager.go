// Package runtime is the life of a VPS: create, boot, start, stop, monitor, adopt,
// end, destroy. It alone knows in which order things happen and what is undone.
//
// It decides with the pure functions of other packages and reaches the machine
// through the small interfaces of machine.go. Packages below this one do not know
// Manager.
package runtime

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network/host"
	"croft/runtime/checkpoint"
	"croft/runtime/container"
	"croft/runtime/events"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hooks"
	"croft/runtime/hostdevices"
	"croft/runtime/hostfacts"
	"croft/runtime/hostnet"
	"croft/runtime/look"
	"croft/runtime/mounts"
	"croft/runtime/names"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/sysctls"
	"croft/runtime/tables"
	"croft/template"
	"croft/template/backups"
	"croft/template/rootfs"
	"croft/template/signatures"
)

// The default directories of a Manager.
const (
	DefaultRoot   = "/var/lib/croft"
	DefaultRun    = "/run/croft"
	DefaultConfig = "/etc/croft"

	// In the directory of the configuration.
	PolicyFile = "policy.yaml" // which images may enter the store
	RecipeDir  = "recipes"     // the host's own recipes
)

// A Manager runs the VPSs of one root directory. Its methods are the commands of
// the program. Any number of processes may use one directory at the same time: a
// Manager takes a lock there before it decides.
type Manager struct {
	store     *state.Store
	templates templates
	machine

	command  string
	lockWait time.Duration
	warn     func(string)
	progress Progress
	readOnly bool // see Options

	config    string // the directory of the configuration
	hooks     hooks.Dir
	hookLimit time.Duration // 0: the default

	keepLimits func() (bool, error) // see Options
}

// New returns a Manager. It is fail.Permission if the user is not root. For a
// read-only Manager it is fail.NotFound if the root directory does not exist.
func New(o Options) (*Manager, error) {
	if os.Geteuid() != 0 {
		err := fail.New(fail.Permission, "croft needs root")
		if o.CommandLine == "" {
			return nil, err
		}
		return nil, err.WithHint("sudo %s", o.CommandLine)
	}
	if o.Root == "" {
		o.Root = DefaultRoot
	}
	if o.Config == "" {
		o.Config = DefaultConfig
	}
	if o.Run == "" {
		o.Run = DefaultRun
	}
	warn := o.Warn
	if warn == nil {
		warn = func(string) {}
	}
	logTo(o.Debug)
	cgroups, err := cgroupManager(o.CgroupManager)
	if err != nil {
		return nil, err
	}
	store, readOnly, err := openStore(o, warn)
	if err != nil {
		return nil, err
	}
	engine := container.Engine{Root: paths.Containers(store), Manager: cgroups}
	images := template.Open(store.TemplatesDir(), template.Options{
		Progress: o.Progress, Warn: warn, Bound: boundBuild(engine),
		Recipes: filepath.Join(o.Config, RecipeDir), Policy: signatures.Policy{Path: filepath.Join(o.Config, PolicyFile)},
	})
	m := &Manager{
		store:     store,
		templates: images,
		machine: machine{
			containers: engine,
			networks: hostnet.Networks{Open: func() (*host.Host, error) {
				h, err := host.NewHost(warn)
				if err == nil {
					h.Root, h.Register, h.Seen = store.Root, state.HostDir, paths.SeenRules(store)
				}
				return h, err
			}},
			rootfses:   overlays{},
			disks:      limitedDisks{},
			monitors:   spawner{store: store, warn: warn, cgroups: cgroups, config: o.Config},
			guests:     guests.Access{},
			devices:    hostdevices.Real(),
			mounts:     mounts.Access{},
			criu:       checkpoint.Criu{},
			limits:     hostKernel{},
			host:       sync.OnceValues(func() (hostfacts.Facts, error) { return readHost(cgroups, store) }),
			unused:     store.Unused,
			sleep:      time.Sleep,
			capacity:   sync.OnceValue(hostfacts.Capacity),
			cpus:       func() hostfacts.CPUs { return hostfacts.UsableCPUs(cgroups) },
			disk:       func(device string) (bundles.Disk, error) { return hostfacts.FindDisk(device, store.Root) },
			trySysctls: sysctls.Try,
			initFile:   holder.Install,
			become:     becomeHolder,
			newParcel: func(ctx context.Context, base string, r rootfs.Rootfs, o backups.Options) (parcel, error) {
				return images.Parcel(ctx, base, r, o)
			},
		},
		command:    o.Command,
		lockWait:   o.LockTimeout,
		warn:       warn,
		progress:   o.Progress,
		readOnly:   readOnly,
		config:     o.Config,
		keepLimits: o.KeepHostLimits,
		hooks:      hooks.Dir{Path: filepath.Join(o.Config, HookDir)},
	}
	m.lacks = m.hostLacks
	return m, nil
}

// readHost reads the facts of the host for VPSs of this store.
func readHost(cgroups container.CgroupManager, store *state.Store) (hostfacts.Facts, error) {
	f, err := hostfacts.Read(cgroups)
	if err != nil {
		return f, err
	}
	f.Impassable, err = store.Impassable()
	return f, err
}

// openStore opens the Store of a Manager. If readOnly is true the Manager must not
// change anything there.
func openStore(o Options, warn func(string)) (store *state.Store, readOnly bool, err error) {
	if o.ReadOnly {
		store, err = state.OpenExisting(o.Root, o.Run)
		return store, true, err
	}
	if o.Query {
		var used bool
		store, used, err = state.OpenIfUsed(o.Root, o.Run)
		if err == nil && !used && o.Root != "" {
			warn("no VPS or template was ever created in " + store.Root)
		}
		readOnly = !used
	} else {
		store, err = state.Open(o.Root, o.Run)
	}
	if err != nil || readOnly {
		return store, readOnly, err
	}
	return store, false, store.Share(state.HostDir)
}

// observer observes whether VPSs run.
func (m *Manager) observer() observe.Observer {
	return observe.Observer{Store: m.store, Frozen: m.containers.Frozen}
}

// observe looks at name.
func (m *Manager) observe(name vps.Name) (observe.Observation, error) {
	return m.observer().Observe(name)
}

// status returns what name does.
func (m *Manager) status(name vps.Name) (Status, error) {
	seen, err := m.observe(name)
	if err != nil {
		return "", err
	}
	return m.observer().Status(seen)
}

// liveInit returns the init of a VPS that runs; the zero Identity if it does not.
func (m *Manager) liveInit(name vps.Name) (inside.Identity, error) {
	seen, err := m.observe(name)
	return seen.Init(), err
}

// names writes the names of VPSs into other VPSs.
func (m *Manager) names() names.Names {
	return names.Names{
		Store: m.store, Tables: m.networkTables(), Observer: m.observer(), Guests: m.guests, Remaining: m.containers.Remaining, Warn: m.warn,
	}
}

// warnAll passes on warnings about the VPS name.
func (m *Manager) warnAll(name vps.Name, warnings []string) {
	for _, w := range warnings {
		m.warn(string(name) + ": " + w)
	}
}

// looker looks at VPSs without changing them.
func (m *Manager) looker() look.Looker {
	return look.Looker{
		Store: m.store, Observer: m.observer(), Tables: m.networkTables(), Containers: m.containers, Networks: m.networks, Applied: m.networks,
		Capacity: m.capacity, Output: m.output, Recover: m.recoverIfFree, Superseded: m.templates.Superseded, Told: func(name vps.Name) { m.event(m.nameAndID(name), events.Booted) }, ReadOnly: m.readOnly, Warn: m.warn,
	}
}

// networkTables are the tables of the networks.
func (m *Manager) networkTables() tables.Tables {
	return tables.Tables{Store: m.store, Host: m.networks, Remains: m.containers.Remains, Command: m.command, Warn: m.warn}
}

// cgroupManager parses the name of a cgroup manager; "auto" is the one that the
// host uses.
func cgroupManager(name string) (container.CgroupManager, error) {
	switch name {
	case "", "auto":
		return container.Auto, nil
	case string(container.Systemd), string(container.Cgroupfs):
		return container.CgroupManager(name), nil
	}
	return "", fail.New(fail.Usage, "unknown cgroup manager %q: auto, systemd or cgroupfs", name)
}

// logTo sends the log of libcontainer to w; nil drops it. libcontainer uses the
// global logger of logrus.
func logTo(w io.Writer) {
	if w == nil {
		w = io.Discard
	} else {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.SetOutput(w)
	container.Trace()
}
