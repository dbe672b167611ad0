package look

import (
	"context"
	goruntime "runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/container"
	"croft/runtime/observe"
	"croft/runtime/tables"
)

// Stats is the usage of one VPS, now and since it was started. Its JSON keys are
// stable (docs/state.md). A limit of 0 is unlimited. A pointer is nil where the
// host does not count.
type Stats struct {
	Name       vps.Name         `json:"name"`
	Status     observe.Status   `json:"status"`
	Time       time.Time        `json:"time"` // when the usage was read
	CPU        CPUStats         `json:"cpu"`
	Memory     MemoryStats      `json:"memory"`
	PIDs       PIDStats         `json:"pids"`
	IO         IOStats          `json:"io"`
	Interfaces []InterfaceStats `json:"interfaces"`
	OpenFiles  *uint64          `json:"openFiles"` // descriptors of its processes; nil if not asked for
	Disk       *uint64          `json:"diskBytes"` // of its own files; nil if not asked for
	DiskLimit  DiskInfo         `json:"diskLimit"`

	Err error `json:"-"` // why there is no usage
}

// CPUStats holds CPU times in nanoseconds.
type CPUStats struct {
	Used      uint64    `json:"usedNanoseconds"`
	User      uint64    `json:"userNanoseconds"`
	System    uint64    `json:"systemNanoseconds"`
	Throttled *uint64   `json:"throttledNanoseconds"` // time that it waited because of its limit
	Throttles *uint64   `json:"throttledPeriods"`     // periods in which it waited because of its limit
	Limit     int64     `json:"limitMilliCpus"`
	Percent   *float64  `json:"percent"` // of one CPU, since the previous look; null in the first one
	Pressure  *Pressure `json:"pressure"`
}

// MemoryStats holds sizes in bytes.
type MemoryStats struct {
	Used      uint64    `json:"usedBytes"`  // without file cache that the kernel can drop at once
	Total     uint64    `json:"totalBytes"` // with the file cache; this counts against the limit
	Peak      uint64    `json:"peakBytes"`  // the highest Total
	Limit     uint64    `json:"limitBytes"`
	Swap      *uint64   `json:"swapBytes"`
	SwapLimit uint64    `json:"swapLimitBytes"`
	LimitHits *uint64   `json:"limitHits"` // times that the kernel had to free memory, or to refuse it, because of the limit
	OOMKills  *uint64   `json:"oomKills"`  // processes killed because no memory was left
	Pressure  *Pressure `json:"pressure"`
}

// PIDStats counts processes and threads.
type PIDStats struct {
	Current   uint64  `json:"current"`
	Limit     uint64  `json:"limit"`
	LimitHits *uint64 `json:"limitHits"` // processes and threads that were refused because of the limit
}

// IOStats counts input and output of block devices.
type IOStats struct {
	ReadBytes    uint64    `json:"readBytes"`
	WrittenBytes uint64    `json:"writtenBytes"`
	Reads        uint64    `json:"reads"`
	Writes       uint64    `json:"writes"`
	Counted      bool      `json:"counted"` // false: the kernel does not count, and the numbers mean nothing
	Pressure     *Pressure `json:"pressure"`
}

// Pressure is the time that was lost while processes waited for one resource.
type Pressure struct {
	Some Stall  `json:"some"` // at least one process waited
	Full *Stall `json:"full"` // all processes waited
}

// A Stall is the share of time that was lost in the last 10, 60 and 300 seconds,
// and that time since the VPS was started.
type Stall struct {
	Percent10   float64 `json:"percent10"`
	Percent60   float64 `json:"percent60"`
	Percent300  float64 `json:"percent300"`
	Nanoseconds uint64  `json:"waitedNanoseconds"`
}

// InterfaceStats is the traffic of one interface, as seen from the VPS.
type InterfaceStats struct {
	Name            string            `json:"name"`
	Network         string            `json:"network"`
	ReceivedBytes   uint64            `json:"receivedBytes"`
	ReceivedPackets uint64            `json:"receivedPackets"`
	SentBytes       uint64            `json:"sentBytes"`
	SentPackets     uint64            `json:"sentPackets"`
	Dropped         map[string]uint64 `json:"dropped"` // sent packets, by the filter that dropped them
}

// Since returns s with the CPU usage since was, an earlier look. It returns s
// unchanged if was is of another VPS or of the time before a reboot.
func (s Stats) Since(was Stats) Stats {
	passed := s.Time.Sub(was.Time)
	if s.Name != was.Name || passed <= 0 || s.CPU.Used < was.CPU.Used || s.Err != nil || was.Err != nil {
		return s
	}
	percent := 100 * float64(s.CPU.Used-was.CPU.Used) / float64(passed)
	s.CPU.Percent = &percent
	return s
}

// Stats returns the usage of the named VPSs, or of all running ones if names is
// empty. A VPS without usage has Err set, which is fail.State if it does not run.
func (l Looker) Stats(ctx context.Context, names []vps.Name, o StatsOptions) ([]Stats, error) {
	vpss, err := l.statsOf(names)
	if err != nil {
		return nil, err
	}
	all := make([]Stats, len(vpss))
	var group errgroup.Group
	group.SetLimit(max(2, goruntime.NumCPU()))
	for i, e := range vpss {
		group.Go(func() error {
			all[i] = l.usage(e) // its error is in the result
			if err := l.addCostly(ctx, &all[i], o); err != nil {
				all[i].Err = err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.addTraffic(all, vpss); err != nil {
		return nil, err
	}
	if len(names) > 0 {
		return all, nil
	}
	running := []Stats{}
	for _, s := range all {
		if !fail.Is(s.Err, fail.State) { // it does not run
			running = append(running, s)
		}
	}
	return running, nil
}

// statsOf returns the VPSs to look at.
func (l Looker) statsOf(names []vps.Name) ([]state.Entry, error) {
	if len(names) == 0 {
		return l.Store.All()
	}
	var entries []state.Entry
	for _, name := range names {
		v, err := l.Store.Get(name)
		entries = append(entries, state.Entry{Name: name, VPS: v, Err: err})
	}
	return entries, nil
}

// usage reads the usage of a VPS from its cgroups.
func (l Looker) usage(e state.Entry) Stats {
	s := Stats{Name: e.Name, Interfaces: []InterfaceStats{}, Err: e.Err}
	var seen observe.Observation
	if s.Err == nil {
		seen, s.Err = l.Observer.Observe(e.Name)
	}
	if s.Err == nil {
		s.Status, s.Err = l.Observer.Status(seen)
	}
	if s.Err == nil && s.Status == observe.Stopped {
		s.Err = observe.NotRunning(e.Name, observe.Stopped)
	}
	if s.Err != nil {
		return s
	}
	u, err := l.Containers.Usage(string(e.Name))
	s.Time = time.Now().UTC()
	if err != nil {
		s.Err = l.goneOr(e.Name, err)
		return s
	}
	s.fill(u, e.VPS.Limits)
	s.DiskLimit = l.diskInfo(e.VPS, seen.MonitorPID())
	return s
}

// goneOr is err, or fail.State if the VPS has ended meanwhile.
func (l Looker) goneOr(name vps.Name, err error) error {
	if seen, e := l.Observer.Observe(name); e == nil && !seen.Alive {
		return observe.NotRunning(name, observe.Stopped)
	}
	return err
}

func (s *Stats) fill(u container.Usage, l vps.Limits) {
	s.CPU = CPUStats{
		Used: u.CPU, User: u.CPUUser, System: u.CPUSystem, Throttled: u.Throttled, Throttles: u.Throttles,
		Limit: l.MilliCPUs, Pressure: pressure(u.CPUPressure),
	}
	s.Memory = MemoryStats{
		Used: u.Memory, Total: u.MemoryTotal, Peak: u.MemoryPeak, Limit: u.MemoryLimit, SwapLimit: u.SwapLimit,
		LimitHits: u.MemoryHits, OOMKills: u.OOMKills, Pressure: pressure(u.MemoryPressure),
	}
	if u.SwapCounted {
		s.Memory.Swap = &u.Swap
	}
	s.PIDs = PIDStats{u.PIDs, u.PIDsLimit, u.PIDHits}
	s.IO = IOStats{
		ReadBytes: u.ReadBytes, WrittenBytes: u.WrittenBytes, Reads: u.Reads, Writes: u.Writes, Counted: u.IOCounted,
		Pressure: pressure(u.IOPressure),
	}
}

func pressure(p *container.Pressure) *Pressure {
	if p == nil {
		return nil
	}
	out := &Pressure{Some: stall(p.Some)}
	if p.Full != nil {
		full := stall(*p.Full)
		out.Full = &full
	}
	return out
}

func stall(s container.Stall) Stall {
	return Stall{s.Percent10, s.Percent60, s.Percent300, uint64(s.Total)}
}

// addTraffic adds the traffic of all interfaces, with one question to the kernel.
func (l Looker) addTraffic(all []Stats, entries []state.Entry) error {
	networks := l.Tables.All()
	var plans []network.Plan
	owner := map[string]int{}
	for i, e := range entries {
		if all[i].Err != nil {
			continue
		}
		for _, at := range e.VPS.Interfaces {
			t := networks[at.Network]
			claim, ok := tables.ClaimOf(t, e.Name, at.Name)
			if !ok {
				continue
			}
			plan, err := network.NewPlan(t, claim)
			if err != nil || plan.HostLink == "" {
				continue
			}
			plans = append(plans, plan)
			owner[plan.HostLink] = i
		}
	}
	traffic, err := l.Networks.Traffic(plans)
	if err != nil {
		return err
	}
	for _, p := range plans {
		t, ok := traffic[p.HostLink]
		if !ok {
			continue
		}
		s := &all[owner[p.HostLink]]
		s.Interfaces = append(s.Interfaces, interfaceStats(p, t))
	}
	return nil
}

func interfaceStats(p network.Plan, t network.Traffic) InterfaceStats {
	s := InterfaceStats{Name: p.Interface, Network: p.Network, ReceivedBytes: t.ReceivedBytes, ReceivedPackets: t.ReceivedPackets,
		SentBytes: t.SentBytes, SentPackets: t.SentPackets, Dropped: map[string]uint64{}}
	for reason, packets := range t.Dropped {
		s.Dropped[string(reason)] = packets
	}
	return s
}
