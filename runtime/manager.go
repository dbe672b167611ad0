// Package runtime runs VPSs: it is the life of a VPS, told in one place.
//
// Deciding is in pure functions (what an init is and how it is stopped, what
// an exit status means, what a bundle holds); acting is behind the small
// interfaces of machine.go, so that a pretend machine can run all of it.
package runtime

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/container"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hostfacts"
	"croft/runtime/look"
	"croft/runtime/names"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/sysctls"
	"croft/runtime/tables"
	"croft/template"
)

// Where a Manager keeps its files unless it is told otherwise.
const (
	DefaultRoot = "/var/lib/croft"
	DefaultRun  = "/run/croft"
)

// A Manager runs the VPSs of one root directory. Its methods are the program's
// commands, one for one. Any number of processes may use one directory at
// once: everything a Manager decides, it decides under a lock in there.
type Manager struct {
	store     *state.Store
	templates templates
	machine

	command  string
	lockWait time.Duration
	warn     func(string)
	readOnly bool // see Options
}

// New returns a Manager. It is fail.Permission for other users than root, and,
// if it is read-only, fail.NotFound if there is no root directory yet.
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
	return &Manager{
		store:     store,
		templates: template.Open(store.TemplatesDir(), template.Options{Progress: o.Progress, Warn: warn}),
		machine: machine{
			containers: container.Engine{Root: paths.Containers(store), Manager: cgroups},
			networks: hostNetworks{func() (*network.Host, error) {
				h, err := network.NewHost(warn)
				if err == nil {
					h.Root, h.Register = store.Root, state.HostDir
				}
				return h, err
			}},
			rootfses:   overlays{},
			monitors:   spawner{store: store, warn: warn, cgroups: cgroups},
			guests:     guests.Access{},
			host:       func() (hostfacts.Facts, error) { return readHost(cgroups, store) },
			unused:     store.Unused,
			sleep:      time.Sleep,
			capacity:   sync.OnceValue(hostfacts.Capacity),
			trySysctls: sysctls.Try,
			initFile:   holder.Install,
			become:     becomeHolder,
		},
		command:  o.Command,
		lockWait: o.LockTimeout,
		warn:     warn,
		readOnly: readOnly,
	}, nil
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

// openStore opens the Store of a Manager. readOnly says that the Manager must
// change nothing there.
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

// lock takes name's lock for the command that this Manager was made for.
func (m *Manager) lock(ctx context.Context, name string) (*state.Locked, error) {
	if _, err := vps.ParseName(name); err != nil {
		return nil, err
	}
	m.destroyAbandoned(ctx)
	return m.store.Lock(ctx, name, m.command, m.lockWait)
}

// existing takes name's lock and reads what it should be. A monitor that was
// killed is replaced first, so that everything after it finds a VPS that is
// either stopped or has one; and one that was renamed is so everywhere. A VPS
// that should run, and has ended while it had no monitor, is started.
func (m *Manager) lockAndLoad(ctx context.Context, name string) (*state.Locked, vps.VPS, error) {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return nil, vps.VPS{}, err
	}
	if err := m.startAfterUnseenEnd(ctx, l, v); err != nil {
		m.warn(err.Error())
	}
	return l, v, nil
}

// existingAsIs is existing for commands that start or stop the VPS: one that
// has ended while it had no monitor stays stopped.
func (m *Manager) lockAndLoadAsIs(ctx context.Context, name string) (*state.Locked, vps.VPS, error) {
	l, err := m.lock(ctx, name)
	if err != nil {
		return nil, vps.VPS{}, err
	}
	v, err := m.loadLocked(ctx, l)
	if err != nil {
		l.Unlock()
		return nil, vps.VPS{}, err
	}
	return l, v, nil
}

// ready is existing for a lock that is held.
func (m *Manager) loadLocked(ctx context.Context, l *state.Locked) (vps.VPS, error) {
	v, err := l.VPS()
	if err == nil {
		err = look.CheckRecord(v)
	}
	if err == nil {
		v, err = m.finishRename(ctx, l, v)
	}
	if err == nil {
		// Without a monitor a VPS runs on, and can be stopped and changed.
		if e := m.replaceMonitor(ctx, l); e != nil {
			m.warn(e.Error())
		}
		if e := m.thawFrozen(l.Name()); e != nil {
			m.warn(e.Error())
		}
	}
	return v, err
}

// observer observes whether VPSs run.
func (m *Manager) observer() observe.Observer {
	return observe.Observer{Store: m.store, Frozen: m.containers.Frozen}
}

// observe looks whether name runs.
func (m *Manager) observe(name string) (observe.Observation, error) {
	return m.observer().Observe(name)
}

// status returns what name does.
func (m *Manager) status(name string) (Status, error) {
	seen, err := m.observe(name)
	if err != nil {
		return "", err
	}
	return m.observer().Status(seen)
}

// liveInit returns the init of a VPS that runs; the zero Identity if it does not.
func (m *Manager) liveInit(name string) (inside.Identity, error) {
	seen, err := m.observe(name)
	return seen.Init(), err
}

// names writes the names of VPSs into other VPSs.
func (m *Manager) names() names.Names {
	return names.Names{
		Store: m.store, Tables: m.networkTables(), Observer: m.observer(), Guests: m.guests, Remaining: m.containers.Remaining, Warn: m.warn,
	}
}

// warnAll warns of each of warnings about the VPS name.
func (m *Manager) warnAll(name string, warnings []string) {
	for _, w := range warnings {
		m.warn(name + ": " + w)
	}
}

// looker looks at VPSs without changing them.
func (m *Manager) looker() look.Looker {
	return look.Looker{
		Store: m.store, Observer: m.observer(), Tables: m.networkTables(), Containers: m.containers, Networks: m.networks, Applied: m.networks,
		Capacity: m.capacity, Output: m.output, Recover: m.recoverIfFree, ReadOnly: m.readOnly, Warn: m.warn,
	}
}

// networkTables are the tables of the networks.
func (m *Manager) networkTables() tables.Tables {
	return tables.Tables{Store: m.store, Host: m.networks, Remains: m.containers.Remains, Command: m.command, Warn: m.warn}
}

// cgroupManager reads the name of a cgroup manager; "auto" is the host's own.
func cgroupManager(name string) (container.CgroupManager, error) {
	switch name {
	case "", "auto":
		return container.Auto, nil
	case string(container.Systemd), string(container.Cgroupfs):
		return container.CgroupManager(name), nil
	}
	return "", fail.New(fail.Usage, "unknown cgroup manager %q: auto, systemd or cgroupfs", name)
}

// logTo sends what libcontainer has to say, which it says to logrus's global
// logger, to w; nil drops it.
func logTo(w io.Writer) {
	if w == nil {
		w = io.Discard
	} else {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.SetOutput(w)
}
