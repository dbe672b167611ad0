package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/doctor"
	"croft/runtime/endreason"
	"croft/runtime/events"
	"croft/runtime/firstboot"
	"croft/runtime/hostlimits"
)

// A Finding is one thing that is wrong with a VPS or with the host.
type Finding = doctor.Finding

// Failures reports whether something of what was found does not work.
func Failures(all []Finding) bool { return doctor.Failures(all) }

// The time that Doctor takes for what only the VPS itself can tell, and for the answer of
// a resolver. A VPS that is slower, or hostile, keeps its secrets.
const (
	askPatience      = 10 * time.Second
	resolverPatience = 2 * time.Second
)

// Doctor says what is wrong with the VPS name, why, and what helps; nothing if all is
// well. It changes nothing, except that a VPS without a monitor gets a new one.
func (m *Manager) Doctor(ctx context.Context, name vps.Name) ([]Finding, error) {
	return m.doctor(ctx, name, true)
}

// doctor is Doctor; with network it also asks the network, which takes longer.
func (m *Manager) doctor(ctx context.Context, name vps.Name, network bool) ([]Finding, error) {
	v, err := m.store.Get(name)
	if fail.Is(err, fail.NotFound) {
		return nil, err
	}
	if err != nil {
		return doctor.Findings(doctor.Facts{Name: name, Broken: err.Error()}), nil
	}
	info, err := m.looker().Inspect(ctx, name)
	if err != nil || info.Status == StatusBroken {
		if err == nil {
			err = errors.New(info.Error)
		}
		return doctor.Findings(doctor.Facts{Name: name, Broken: err.Error()}), ctx.Err()
	}
	f := doctor.Facts{
		Name: name, Privileged: v.Privileged, CapDrop: v.CapDrop, ShouldRun: info.ShouldRun, Booted: info.Booted,
		Runs: info.Status != StatusStopped && info.Status != StatusRestarting, Paused: info.Status == StatusPaused,
		Console: m.consoleTail(ctx, name), HostMemory: m.capacity().Memory,
	}
	f.Memory.Limit = max(info.Limits.Memory, 0)
	if d := info.Disk; d.UsedBytes != nil {
		f.Disk, f.Inodes = doctor.Use{Used: *d.UsedBytes, Limit: d.Bytes}, doctor.Use{Used: *d.UsedInodes, Limit: d.Inodes}
	}
	if r := info.FirstBoot; r != nil && (r.State == firstboot.Failed || r.State == firstboot.Interrupted) {
		f.FirstBoot = r.String()
	}
	switch {
	case !f.Runs:
		m.lookAtStopped(ctx, v, info, &f)
	case info.Status.Up():
		m.lookAtCounters(ctx, v, info, &f)
		m.askUnits(ctx, v, &f)
		if network && f.Booted && !f.Paused {
			m.lookAtNetwork(ctx, v, &f)
		}
	}
	return doctor.Findings(f), ctx.Err()
}

// consoleTail returns the last lines of the console of the last boot.
func (m *Manager) consoleTail(ctx context.Context, name vps.Name) []string {
	const most = 60
	var text strings.Builder
	if err := m.Logs(ctx, name, LogOptions{Lines: most}, &text); err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
}

// lookAtStopped finds out why v does not run, and what keeps it from starting.
func (m *Manager) lookAtStopped(ctx context.Context, v vps.VPS, info Info, f *doctor.Facts) {
	last := info.LastEnd
	if info.Status == StatusRestarting && last == nil {
		last = info.Restarts.Last
	}
	if last != nil {
		f.Ended = &doctor.End{Detail: last.Detail, OutOfMemory: last.OutOfMemory, Accident: accident(*last, info), Restarting: info.Status == StatusRestarting}
	}
	if info.Status == StatusRestarting {
		return
	}
	for _, check := range []func() error{
		func() error { return m.checkHere(v.Name) },
		func() error { _, err := m.rootfs(v); return err },
		func() error { return m.store.Apart(ctx, v.Name, v.IDs) },
		func() error { return m.unused(v.IDs) },
		func() error { return m.checkMounts(v) },
		func() error { return m.devicesFound(v) },
		func() error { _, err := m.networkTables().Plans(v); return err },
	} {
		if err := check(); err != nil {
			f.Obstacles = append(f.Obstacles, doctor.Obstacle{Why: err.Error(), Hint: fail.HintOf(err)})
		}
	}
}

// accident reports whether an end was neither asked for by a command, nor by the VPS
// itself.
func accident(e state.End, info Info) bool {
	return info.ShouldRun && !endreason.FromInside(e) && e.Reason != endreason.Rebooted
}

// devicesFound returns an error if the host lacks a device of v.
func (m *Manager) devicesFound(v vps.VPS) error {
	quiet := *m
	quiet.warn = func(string) {}
	_, err := quiet.startDevices(v)
	return err
}

// lookAtCounters reads what the kernel counts for v, which runs.
func (m *Manager) lookAtCounters(ctx context.Context, v vps.VPS, info Info, f *doctor.Facts) {
	if all, err := m.looker().Stats(ctx, []vps.Name{v.Name}, StatsOptions{}); err == nil && len(all) == 1 && all[0].Err == nil {
		s := all[0]
		f.Memory = doctor.Use{Used: int64(s.Memory.Used), Limit: int64(s.Memory.Limit)}
		f.PIDs = doctor.Use{Used: int64(s.PIDs.Current), Limit: int64(s.PIDs.Limit)}
		f.OOM.Kills, f.Refused = value(s.Memory.OOMKills), value(s.PIDs.LimitHits)
	}
	if f.OOM.Kills > 0 {
		f.OOM.Victims = m.victims(v, info)
	}
	for _, i := range info.Interfaces {
		for _, reason := range sortedKeys(i.Dropped) {
			if n := i.Dropped[reason]; n > 0 {
				f.Dropped = append(f.Dropped, doctor.Dropped{Interface: i.Name, Reason: reason, Packets: n, Limit: i.ConnectionLimit})
			}
		}
	}
	limits := m.limits.Read(v.Privileged)
	f.Instances = doctor.Use{Used: limits.Used[hostlimits.InotifyInstances], Limit: limits.Values[hostlimits.InotifyInstances]}
	if pids, err := m.containers.Processes(string(v.Name)); err == nil && !v.Privileged {
		f.Instances.Used = m.limits.Instances(pids)
	}
	for _, u := range m.limits.KeyUsers() {
		if u.ID >= v.IDs.First && u.ID-v.IDs.First < v.IDs.Size {
			f.Keys = fuller(f.Keys, doctor.Use{Used: u.Keys, Limit: u.MaxKeys})
			f.KeyBytes = fuller(f.KeyBytes, doctor.Use{Used: u.Bytes, Limit: u.MaxBytes})
		}
	}
}

func fuller(a, b doctor.Use) doctor.Use {
	if b.Used > a.Used {
		return b
	}
	return a
}

func value(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}

// victims returns the programs that the kernel has killed since the start of v for lack
// of memory, as far as the log of events names them, the last ones.
func (m *Manager) victims(v vps.VPS, info Info) []string {
	var all []string
	_ = m.events().Read(func(e Event) error { // without a log there are no names
		if e.Event == events.OutOfMemory && e.UUID == v.UUID && info.Started != nil && !e.Time.Before(*info.Started) && e.Attributes[eventProcess] != "" {
			all = append(all, e.Attributes[eventProcess])
		}
		return nil
	})
	const most = 3
	return all[max(0, len(all)-most):]
}

// lookAtNetwork finds out whether the addresses and the resolvers of v answer.
func (m *Manager) lookAtNetwork(ctx context.Context, v vps.VPS, f *doctor.Facts) {
	init, err := m.liveInit(v.Name)
	if err != nil || init.PID == 0 || len(v.Interfaces) == 0 {
		return
	}
	silent, err := m.looker().Silent(ctx, v.Name)
	if err == nil {
		f.Silent = silent
	}
	text, err := inside.Look(ctx, init, func(root *inside.Root) ([]byte, error) { return root.Read("/etc/resolv.conf", 64<<10) })
	if err != nil {
		return
	}
	servers := resolversIn(string(text))
	if f.DNS.None = len(servers) == 0; f.DNS.None {
		return
	}
	quiet, err := m.networks.SilentResolvers(ctx, init, servers, resolverPatience)
	if err != nil {
		return
	}
	f.DNS.Servers, f.DNS.Silent = texts(servers), texts(quiet)
}

// resolversIn returns the resolvers of a resolv.conf(5), of which the C library asks three.
func resolversIn(text string) []netip.Addr {
	const most = 3
	var all []netip.Addr
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(all) == most {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && a.Zone() == "" {
			all = append(all, a)
		}
	}
	return all
}

func texts(addresses []netip.Addr) []string {
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return all
}

// DoctorHost says which limits of the host all VPSs together are about to reach.
func (m *Manager) DoctorHost(context.Context) ([]Finding, error) {
	h := doctor.Host{Dir: m.store.Root}
	h.FreeBytes, h.FreeInodes = math.MaxInt64, math.MaxInt64
	var st unix.Statfs_t
	switch err := unix.Statfs(h.Dir, &st); {
	case errors.Is(err, fs.ErrNotExist): // nothing was ever created there
	case err != nil:
		return nil, fmt.Errorf("cannot read how much of the disk is free: %w", err)
	default:
		h.FreeBytes = st.Bavail * uint64(st.Bsize)
		if st.Files > 0 { // btrfs makes inodes as they are needed
			h.FreeInodes = st.Ffree
		}
	}
	for _, l := range hostlimits.Lacking(m.limits.Read(false)) {
		h.Limits = append(h.Limits, doctor.HostLimit{Cause: l.String(), Remedy: l.Remedy()})
	}
	return doctor.OfHost(h), nil
}

// warnUnwell warns of what is wrong with a VPS that has just booted, or has not booted.
func (m *Manager) warnUnwell(ctx context.Context, name vps.Name) {
	all, err := m.doctor(ctx, name, false)
	if err != nil {
		return // the VPS runs, and that was asked for
	}
	ended := m.howEnded(name)
	for _, f := range all {
		if f.Cause == ended { // the error says that
			continue
		}
		m.warn(fmt.Sprintf("%s: %s: %s (%s)", name, f.What, f.Cause, f.Remedy))
	}
}
