// Package look describes VPSs: list, inspect, stats, top, logs and wait. It reads
// and takes no lock.
package look

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/container"
	"croft/runtime/endreason"
	"croft/runtime/firstboot"
	"croft/runtime/hostfacts"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// A Looker looks at the VPSs of a store.
type Looker struct {
	Store      *state.Store
	Observer   observe.Observer
	Tables     tables.Tables
	Containers Containers
	Networks   Networks
	Applied    Applied
	Capacity   func() bundles.Capacity
	// Output runs a command inside and returns its standard output.
	Output func(ctx context.Context, name vps.Name, args ...string) (string, error)
	// Recover gives a running VPS without a monitor a new one, and starts a VPS
	// that ended without a monitor and should run. It is a no-op for others, and
	// while another command holds the lock of the VPS.
	Recover func(ctx context.Context, name vps.Name)
	// Superseded returns the digests of templates whose name another image has now.
	Superseded func() (map[string]string, error)
	Told       func(name vps.Name) // is called for a VPS that has booted and whose init did not report it; may be nil
	ReadOnly   bool                // do not call Recover, and write no notes
	Warn       func(string)
}

// Containers are the containers of VPSs.
type Containers interface {
	// Processes returns the processes of a running VPS.
	Processes(name string) ([]int, error)
	// Remains returns the processes that the kernel has in the VPS's cgroup,
	// Remaining the VPSs that may have some.
	Remains(name string) ([]int, error)
	Remaining() (map[string]bool, error)
	Usage(name string) (container.Usage, error)
}

// Networks tells about interfaces of VPSs.
type Networks interface {
	// ConnectionLimit is the bound on connections that a plan means on this host;
	// 0 is unlimited.
	ConnectionLimit(p network.Plan) (uint32, error)
	Dropped(p network.Plan) (map[network.Reason]uint64, error)
	Traffic(plans []network.Plan) (map[string]network.Traffic, error)
}

// patience is how long a list waits for guests.
const patience = time.Second

// An Info describes a VPS in list and inspect. Its JSON keys are stable
// (docs/state.md).
type Info struct {
	Name        vps.Name          `json:"name"`
	Status      observe.Status    `json:"status"`
	Booted      bool              `json:"booted"`
	UUID        string            `json:"uuid"`
	Hostname    string            `json:"hostname"`
	Template    string            `json:"template"`
	Digest      string            `json:"digest"`
	Outdated    bool              `json:"outdated"` // another image has the name of its template now
	Created     time.Time         `json:"created"`
	Started     *time.Time        `json:"started"`
	Boot        int               `json:"boot"`
	PID         int               `json:"pid"`        // of its init, on the host; 0 if it does not run
	MonitorPID  int               `json:"monitorPid"` // 0 if none
	IDs         vps.IDRange       `json:"ids"`
	Privileged  bool              `json:"privileged"`
	Storage     string            `json:"storage"` // overlay or plain
	Interfaces  []InterfaceInfo   `json:"interfaces"`
	Published   []vps.Publication `json:"published"` // ports of the host that lead to it
	Limits      vps.Limits        `json:"limits"`
	Disk        DiskInfo          `json:"disk"`
	PinnedCPUs  string            `json:"pinnedCpus"` // the CPUs that it has while it runs; "" if it may use all
	Allow       []string          `json:"allow"`      // what the system-call filter denies by default
	CapAdd      []string          `json:"capAdd"`
	CapDrop     []string          `json:"capDrop"`
	Devices     []vps.Device      `json:"devices"`
	Mounts      []vps.Mount       `json:"mounts"`      // beside the root filesystem
	Credentials []string          `json:"credentials"` // their names
	FirstBoot   *firstboot.Record `json:"firstBoot"`   // its last first-boot script; nil if it had none
	Checkpoint  *time.Time        `json:"checkpoint"`  // when its processes were saved; nil if the next start boots
	Fit         string            `json:"fit"`         // which steps the first start makes: all, none, or their names
	Fitted      []string          `json:"fitted"`      // steps that were needed there
	Labels      map[string]string `json:"labels"`
	Description string            `json:"description"`
	Ephemeral   bool              `json:"ephemeral"`
	OnBoot      string            `json:"onboot"` // last, yes or no
	BootOrder   int               `json:"bootOrder"`
	StopAfter   int               `json:"stopTimeoutSeconds"`
	Protected   bool              `json:"protected"`
	Dmesg       bool              `json:"dmesg"`   // whether it has kernel messages of its own
	Seccomp     string            `json:"seccomp"` // default, minimal or off
	Restart     vps.Restart       `json:"restart"` // no, on-failure, on-failure:N or always
	Restarts    Restarts          `json:"restarts"`
	Move        *MoveInfo         `json:"move"`      // its last move from or to another host; nil if there was none
	ShouldRun   bool              `json:"shouldRun"` // it was started and has not been stopped since
	Pending     []string          `json:"pending"`   // settings that take effect at the next start; of a VPS that runs
	LastEnd     *state.End        `json:"lastEnd"`
	Bundle      string            `json:"bundle"`
	Files       string            `json:"files"`      // the directory of its own files on the host
	Cgroup      string            `json:"cgroup"`     // as in its bundle; "" if it does not run
	MonitorLog  string            `json:"monitorLog"` // log file of its monitor; it exists after the first start
	Error       string            `json:"error,omitempty"`
}

// A MoveInfo says how far a move of a VPS between two hosts is. Only the host to which the
// VPS belongs can start it.
type MoveInfo struct {
	Step  state.MoveStep `json:"step"`
	Host  string         `json:"host"` // the other one
	Name  vps.Name       `json:"name"` // of the VPS there
	Began time.Time      `json:"began"`
}

// String is the move in a few words.
func (m *MoveInfo) String() string {
	if m == nil {
		return ""
	}
	switch m.Step {
	case state.MoveIncoming:
		return "incoming from " + m.Host
	case state.MoveArrived:
		return "arrived from " + m.Host
	case state.MoveDone:
		return "moved to " + m.Host
	case state.MoveCommitted:
		return "belongs to " + m.Host
	case state.MoveAbandoned:
		return "not moved to " + m.Host
	}
	return "moving to " + m.Host
}

// Restarts are what the restart policy has done since a command started the VPS.
type Restarts struct {
	Count int        `json:"count"`
	Last  *state.End `json:"last"` // the end before the last restart; nil if there was none
	Next  *time.Time `json:"next"` // when it starts again; nil unless it waits for that
}

// An InterfaceInfo describes an interface of a VPS and its link on the host.
type InterfaceInfo struct {
	Name      string   `json:"name"`
	Network   string   `json:"network"`
	HostLink  string   `json:"hostLink"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"` // with prefix length, IPv4 first
	Rate      vps.Rate `json:"rate"`
	// Connections is the saved limit of connections in the host's table: 0 is the
	// default, -1 unlimited. ConnectionLimit is the number on this host, 0 if it
	// is unlimited; only inspect sets it.
	Connections     int64             `json:"connections"`
	ConnectionLimit uint32            `json:"connectionLimit,omitempty"`
	Dropped         map[string]uint64 `json:"dropped,omitempty"` // packets, by the filter that dropped them; only inspect sets it
}

// CheckRecord is fail.State if v, which was read from a file, is not a whole VPS.
func CheckRecord(v vps.VPS) error {
	if v.Template.Digest == "" || len(v.Template.Layers) == 0 {
		return fail.New(fail.State, "the settings of %s name no template", v.Name).WithHint("croft list --columns name,status,error %s", v.Name)
	}
	return nil
}

// List describes all VPSs, sorted by name. A VPS whose files cannot be read is
// observe.Broken.
func (l Looker) List(ctx context.Context) ([]Info, error) {
	entries, err := l.Store.All()
	if err != nil {
		return nil, err
	}
	claims, old := tables.ByOwner(l.Tables.All()), l.superseded()
	strays, err := l.Containers.Remaining()
	if err != nil {
		l.Warn(err.Error())
	}
	// The patience is for all guests together. So a guest that does not answer
	// whether it has booted delays the list only this long.
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := make([]Info, len(entries))
	var group sync.WaitGroup
	workers := max(4, goruntime.GOMAXPROCS(0))
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(entries) && ctx.Err() == nil; i += workers {
				e := entries[i]
				if e.Err == nil {
					e.Err = CheckRecord(e.VPS)
				}
				if e.Err != nil {
					all[i] = broken(e.Name, e.Err)
					continue
				}
				all[i] = l.describe(asking, e.VPS, claims.Of(e.VPS), strays)
				if l.mayRestart(ctx, all[i]) {
					all[i] = l.describe(asking, e.VPS, claims.Of(e.VPS), strays)
				}
				all[i].Outdated = old[e.VPS.Template.Digest] != ""
			}
		})
	}
	group.Wait()
	return all, ctx.Err()
}

// superseded is Superseded; a store of templates that cannot be read is a warning.
func (l Looker) superseded() map[string]string {
	old, err := l.Superseded()
	if err != nil {
		l.Warn(fmt.Sprintf("which templates are outdated is not known: %v", err))
	}
	return old
}

// mayRestart reports whether a VPS that should run ended while it had no monitor.
// It has called Recover then, which may have started the VPS.
func (l Looker) mayRestart(ctx context.Context, info Info) bool {
	if l.ReadOnly || info.Status != observe.Stopped || !info.ShouldRun {
		return false
	}
	seen, err := l.Observer.Observe(info.Name)
	if err != nil || !seen.Unhandled() {
		return false
	}
	l.Recover(ctx, info.Name)
	return true
}

// Inspect describes one VPS, with the packets that its filters dropped.
func (l Looker) Inspect(ctx context.Context, name vps.Name) (Info, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return Info{}, err
	}
	if err := CheckRecord(v); err != nil {
		return Info{}, err
	}
	l.Recover(ctx, name)
	info := l.describe(ctx, v, l.Tables.Of(v), map[string]bool{string(name): true})
	info.Outdated = l.superseded()[v.Template.Digest] != ""
	if info.Status == observe.Stopped || info.Status == observe.Restarting {
		return info, nil
	}
	plugs, err := l.Tables.Plugs(v)
	if err != nil {
		return Info{}, err
	}
	for i, p := range plugs {
		if info.Interfaces[i].ConnectionLimit, err = l.Networks.ConnectionLimit(p.Plan); err != nil {
			return Info{}, err
		}
		dropped, err := l.Networks.Dropped(p.Plan)
		if err != nil {
			return Info{}, err
		}
		info.Interfaces[i].Dropped = map[string]uint64{}
		for reason, packets := range dropped {
			info.Interfaces[i].Dropped[string(reason)] = packets
		}
	}
	return info, nil
}

func broken(name vps.Name, err error) Info {
	return Info{Name: name, Status: observe.Broken, Error: err.Error(), Interfaces: []InterfaceInfo{}, Published: []vps.Publication{}, Mounts: []vps.Mount{}, Credentials: []string{}, Fitted: []string{}, Labels: map[string]string{}}
}

// fitted returns the steps that the first start of a VPS has made.
func (l Looker) fitted(name vps.Name) []string {
	text, err := os.ReadFile(paths.Configured(l.Store, name))
	if err != nil {
		return []string{}
	}
	return append([]string{}, strings.Fields(string(text))...)
}

// describe describes v. perhaps has the VPSs that may have processes although
// their files say that they are stopped.
func (l Looker) describe(ctx context.Context, v vps.VPS, networks map[string]network.Table, perhaps map[string]bool) Info {
	info := Info{
		Name: v.Name, UUID: v.UUID, Hostname: v.Hostname, Template: v.Template.Name, Digest: v.Template.Digest,
		Created: v.Created, Storage: v.Storage.String(), IDs: v.IDs, Privileged: v.Privileged, Limits: hostfacts.EffectiveLimits(v.Limits, l.Capacity()), Ephemeral: v.Ephemeral, Labels: v.Labels, Description: v.Description, Pending: []string{},
		OnBoot: v.OnBoot.String(), BootOrder: v.BootOrder, StopAfter: int(v.StopTimeout().Seconds()), Protected: v.Protected, Dmesg: !v.NoDmesg, Seccomp: v.Seccomp.String(), Restart: v.Restart,
		Interfaces: describeInterfaces(v, networks), Published: append([]vps.Publication{}, v.Published...),
		Allow: append([]string{}, v.Allow...), CapAdd: append([]string{}, v.CapAdd...), CapDrop: append([]string{}, v.CapDrop...), Devices: append([]vps.Device{}, v.Devices...), Mounts: append([]vps.Mount{}, v.Mounts...), Credentials: []string{},
		Bundle: l.Store.BundleDir(v.Name), Files: filepath.Join(l.Store.FSDir(v.Name), cmp.Or(v.Tree, "upper")),
		MonitorLog: paths.MonitorLog(l.Store, v.Name), Fit: v.Fit.String(), Fitted: l.fitted(v.Name),
	}
	for _, c := range v.Credentials {
		info.Credentials = append(info.Credentials, c.Name)
	}
	if info.Labels == nil {
		info.Labels = map[string]string{}
	}
	alive, err := l.Store.FirstBootHeld(v.Name)
	if err == nil {
		info.FirstBoot, err = firstboot.Load(l.Store.VPSDir(v.Name), alive)
	}
	if err != nil { // it is no part of the VPS
		l.Warn(fmt.Sprintf("%s: %v", v.Name, err))
	}
	if c, ok, err := l.Store.Checkpoint(v.Name); err != nil {
		l.Warn(err.Error())
	} else if ok {
		info.Checkpoint = &c.Time
	}
	if record, err := l.Store.Move(v.Name); err != nil {
		l.Warn(err.Error())
	} else if record != nil {
		info.Move = &MoveInfo{Step: record.Step, Host: record.Host, Name: record.Name, Began: record.Began}
	}
	seen, err := l.Observer.Observe(v.Name)
	if err == nil {
		info.ShouldRun, err = l.Store.ShouldRun(v.Name)
	}
	if err == nil {
		info.Status, err = l.Observer.Status(seen)
	}
	if err == nil && info.Status == observe.Stopped && perhaps[string(v.Name)] {
		var pids []int
		if pids, err = l.Containers.Remains(string(v.Name)); len(pids) > 0 {
			info.Status = observe.Orphaned
		}
	}
	if err != nil {
		info.Status, info.Error = observe.Broken, err.Error()
		return info
	}
	run := seen.Run
	info.Disk = l.diskInfo(v, seen.MonitorPID())
	info.Boot, info.LastEnd = run.Boot, run.End
	info.Restarts = Restarts{Count: run.Restarts.Count, Last: run.Restarts.Last, Next: run.Restarts.At}
	if seen.EndedUnseen() || run.State == state.Starting {
		info.LastEnd = new(endreason.Unseen())
	}
	if info.Status == observe.Stopped || info.Status == observe.Restarting {
		return info
	}
	info.Cgroup, info.PinnedCPUs = l.cgroupsPath(v.Name), l.Store.CPUs(v.Name)
	if run.Settings != nil {
		info.Pending = append(v.StartSettings().Pending(*run.Settings), l.Store.Deferred(v.Name)...)
	}
	if info.FirstBoot != nil && info.FirstBoot.State == firstboot.Pending && !alive {
		info.Pending = append(info.Pending, "first-boot")
	}
	info.PID, info.MonitorPID, info.Started = run.Init.PID, seen.MonitorPID(), &run.Started
	info.LastEnd = nil
	if info.Status == observe.Stopping {
		info.PID = 0
	}
	info.Booted = l.Booted(ctx, v.Name, run)
	return info
}

// cgroupsPath returns the cgroup in the VPS's bundle; "" without a bundle.
func (l Looker) cgroupsPath(name vps.Name) string {
	spec, err := bundles.Read(l.Store.BundleDir(name))
	if err != nil || spec.Linux == nil {
		return ""
	}
	return spec.Linux.CgroupsPath
}

func describeInterfaces(v vps.VPS, networks map[string]network.Table) []InterfaceInfo {
	all := []InterfaceInfo{}
	for _, i := range v.Interfaces {
		info := InterfaceInfo{Name: i.Name, Network: i.Network, Addresses: []string{}, Rate: i.Rate}
		t := networks[i.Network]
		c, ok := tables.ClaimOf(t, v.Name, i.Name)
		if !ok { // an interrupted rename has not changed this table
			c, ok = tables.ClaimOf(t, v.RenamedFrom, i.Name)
		}
		if ok {
			info.HostLink, info.MAC, info.Connections = c.HostLink, c.MAC, c.Connections
			addrs := slices.Clone(c.Addresses)
			slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
			for _, a := range addrs {
				info.Addresses = append(info.Addresses, t.WithBits(a).String())
			}
		}
		all = append(all, info)
	}
	return all
}
