package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/hostfacts"
	"croft/runtime/tables"
)

// Change changes settings of the VPS name: all edits or none. The changes are
// saved and, if the VPS runs, they take effect at once. Change holds the VPS's
// lock from the first check to the end. After an error nothing has changed, and
// what was applied is undone. A second call makes the same edits again; whether
// that changes anything is said at each type of edit.
//
// An address or a port of another owner is fail.Taken, naming the owner. An
// invalid value is fail.Usage. Other errors are those of the edits.
func (m *Manager) Change(ctx context.Context, name vps.Name, edits ...vps.Edit) error {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return m.changeLocked(ctx, l, v, edits)
}

// changeLocked is Change for the locked VPS v.
func (m *Manager) changeLocked(ctx context.Context, l *state.Locked, v vps.VPS, edits []vps.Edit) error {
	parts, was := vps.Parts(edits...), m.side(v)
	if was.err != nil && (parts[vps.PartAddresses] || parts[vps.PartConnections] || parts[vps.PartInterfaces]) {
		return was.err // the edits need the interfaces
	}
	now, err := vps.Edited(was.VPS, edits...)
	if err != nil {
		return err
	}
	c := &change{Manager: m, lock: l, edits: edits, parts: parts, was: was, now: side{VPS: now}, inside: insideOf(edits)}
	return c.make(ctx)
}

// Settings returns the saved settings of the VPS name. Its interfaces have the values
// that the tables of their networks own. It takes no lock.
func (m *Manager) Settings(_ context.Context, name vps.Name) (vps.VPS, error) {
	v, err := m.store.Get(name)
	if err != nil {
		return vps.VPS{}, err
	}
	s := m.side(v)
	return s.VPS, s.err
}

// A change is what one call of Change does.
type change struct {
	*Manager
	lock  *state.Locked
	edits []vps.Edit
	parts map[vps.Part]bool // what of a running VPS has to follow
	was   side
	now   side
	// inside is what has to change in the files of the VPS.
	inside []vps.Inside
	init   inside.Identity // of the running VPS; the zero Identity if it does not run
	undo   undo.Stack
}

// A side is a VPS before or after a change, with the interfaces that it has
// then. err says why these are not known; most changes do not need them. cpus is the
// list of CPUs to which it is pinned while it runs, if its limits change; "" is all.
type side struct {
	vps.VPS
	plugs []tables.Plug
	err   error
	cpus  string
}

// side looks up the interfaces of v. In the result they have the values from the tables
// of their networks.
func (m *Manager) side(v vps.VPS) side {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return side{VPS: v, err: err}
	}
	v = v.Clone()
	for n, p := range plugs { // one for each interface
		i := &v.Interfaces[n]
		i.Addresses, i.Connections = p.Claim.Addresses, p.Claim.Connections
		i.Prefixes, i.Tracked = p.Table.Prefixes(), p.Plan.HostLink != ""
	}
	return side{VPS: v, plugs: plugs}
}

// plan is the plan of one interface; the zero Plan if there is no such interface.
func (s side) plan(i vps.Interface) network.Plan {
	for _, p := range s.plugs {
		if p.Plan.Interface == i.Name && p.Plan.Network == i.Network {
			return p.Plan
		}
	}
	return network.Plan{}
}

// plans are the plans of the interfaces.
func (s side) plans() ([]network.Plan, error) {
	return tables.PlansOf(s.plugs), s.err
}

// publishing is the plan of the interface to which published ports lead.
func (s side) publishing() (network.Plan, error) {
	if s.err != nil {
		return network.Plan{}, s.err
	}
	return tables.PublishingOf(s.Name, s.plugs)
}

// make makes the change in an order in which each step can be undone: what
// others could take is claimed first, what others could get is given up last,
// and everything is saved before it takes effect, so that nothing exists that a
// stop would not remove.
func (c *change) make(ctx context.Context) (err error) {
	defer func() { c.undo.OnError(&err) }()
	disk := c.holdDisk()
	if err := c.claim(ctx); err != nil {
		return err
	}
	if err := c.checkInterfaces(); err != nil {
		return err
	}
	if err := c.checkRoutes(); err != nil {
		return err
	}
	if !maps.Equal(c.was.Sysctls, c.now.Sysctls) {
		if err := c.trySysctls(ctx, c.now.Sysctls, c.now.Privileged); err != nil {
			return err
		}
	}
	if err := c.checkLimits(c.was.Limits, c.now.Limits); err != nil {
		return err
	}
	if err := c.checkDevices(c.now.VPS, missing(c.now.Devices, c.was.Devices)); err != nil {
		return err
	}
	if err := c.checkNewMounts(); err != nil {
		return err
	}
	if err := c.checkFit(); err != nil {
		return err
	}
	fewer, err := c.checkFewerIDs()
	if err != nil {
		return err
	}
	removeCredentials, err := putCredentials(c.store.VPSDir(c.now.Name), c.now.VPS, vps.CredentialsSet(c.edits...))
	c.undo.Arm(removeCredentials)
	if err != nil {
		return err
	}
	if err := c.putFirstBoot(); err != nil {
		return err
	}
	c.undo.Arm(func() error { return c.lock.Put(c.was.VPS) })
	if err := c.saveIDs(ctx); err != nil {
		return err
	}
	if c.init, err = c.liveInit(c.now.Name); err != nil {
		return err
	}
	c.undo.Arm(func() error { return c.applyBack(ctx) })
	if err := c.pinCPUs(ctx); err != nil {
		return err
	}
	if err := c.apply(ctx); err != nil {
		return err
	}
	if err := c.changeInside(ctx); err != nil {
		return err
	}
	if err := c.releaseRemoved(ctx); err != nil {
		return err
	}
	if err := c.releaseIDs(ctx, fewer); err != nil {
		return err
	}
	if err := c.changeDisk(ctx, disk); err != nil {
		return err
	}
	c.follow(ctx)
	c.tell()
	return nil
}

// save writes vps.json. Where ports are added, no other VPS can publish them
// meanwhile. Volumes that are added are not removed meanwhile.
func (c *change) save(ctx context.Context) error {
	var more []vps.Publication
	for _, p := range c.now.Published {
		if !slices.Contains(c.was.Published, p) {
			more = append(more, p)
		}
	}
	added := volumesOf(missing(c.now.Mounts, c.was.Mounts))
	put := func() error { return c.lock.Put(c.now.VPS) }
	if len(added) > 0 {
		return c.store.UseVolumes(ctx, added, func() error { return c.savePorts(ctx, more, put) })
	}
	return c.savePorts(ctx, more, put)
}

// savePorts calls put when no other VPS can publish the ports more.
func (c *change) savePorts(ctx context.Context, more []vps.Publication, put func() error) error {
	if len(more) == 0 {
		return put()
	}
	if _, err := c.now.publishing(); err != nil {
		return err
	}
	return c.claimPorts(ctx, c.now.Name, more, put)
}

// follow does the consequences of a change, which can be repaired later. An error is a
// warning.
func (c *change) follow(ctx context.Context) {
	c.warnAll(c.now.Name, c.limitWarnings(c.was.Limits, c.now.Limits))
	if c.init.PID != 0 {
		c.withdraw()
		c.rememberDeferred()
		c.warnPending()
		if c.parts[vps.PartInterfaces] || c.parts[vps.PartAddresses] || c.parts[vps.PartRouting] || c.parts[vps.PartGuestFiles] {
			c.followSettings(ctx, c.now.VPS)
		}
	}
	c.forgetCredentials(c.now.VPS)
	if c.parts[vps.PartInterfaces] || c.parts[vps.PartAddresses] {
		c.names().Update(context.WithoutCancel(ctx), tables.NetworksOf(vps.VPS{Interfaces: slices.Concat(c.was.Interfaces, c.attached())}))
	}
}

// rememberDeferred writes down which settings a running VPS gets at its next start
// because the edits defer them.
func (c *change) rememberDeferred() {
	before := c.store.Deferred(c.now.Name)
	deferred := vps.Deferred(before, c.was.VPS, c.now.VPS, c.edits...)
	if slices.Equal(before, deferred) {
		return
	}
	if err := c.store.PutDeferred(c.now.Name, deferred); err != nil {
		c.warn(fmt.Sprintf("%s: croft list does not show all settings that are pending: %v", c.now.Name, err))
	}
}

// warnPending names the settings of this change that a running VPS gets at its next
// start.
func (c *change) warnPending() {
	pending := c.now.StartSettings().Pending(c.was.StartSettings())
	pending = append(pending, vps.Deferred(nil, c.was.VPS, c.now.VPS, c.edits...)...)
	if script, _ := vps.FirstBootSet(c.edits...); len(script) > 0 && c.firstBootLater(c.now.Name) {
		pending = append(pending, "first-boot")
	}
	if len(pending) > 0 {
		c.warn(fmt.Sprintf("%s: takes effect at its next start: %s (croft restart %[1]s)", c.now.Name, strings.Join(pending, ", ")))
	}
}

// followSettings writes the guest's own files again. They count when the guest
// restarts its network service; the next start would write them too. No other
// command writes its /etc/hosts at the same time.
func (m *Manager) followSettings(ctx context.Context, v vps.VPS) {
	run, err := m.store.Run(v.Name)
	var host hostfacts.Facts
	if err == nil {
		host, err = m.host()
	}
	if err == nil {
		err = m.store.WithNamesLock(ctx, func() error {
			init := initkind.Of(proc.Executable(run.Init.PID))
			return inside.InRoot(ctx, inside.Identity(run.Init), func(root *inside.Root) error { return m.configureGuest(v, root, host, init) })
		})
	}
	if err != nil && !errors.Is(err, inside.ErrGone) { // else its next start does
		m.warn(fmt.Sprintf("%s: its own files have the old addresses until its next start: %v", v.Name, err))
	}
}
