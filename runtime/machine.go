package runtime

import (
	"context"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"croft/template/rootfs"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/container"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hostfacts"
	"croft/runtime/paths"
	"croft/template"
)

// A machine is all that a Manager reaches the host through. Each part names
// results and not system calls, so that a pretend one is a small world.
type machine struct {
	containers containers
	networks   networks
	rootfses   rootfses
	monitors   monitors
	guests     guestAccess
	host       func() (hostfacts.Facts, error)
	// sleep waits before something that failed is tried again.
	sleep func(time.Duration)
	// trySysctls is fail.Usage, naming it, if a VPS cannot set one of sysctls.
	trySysctls func(ctx context.Context, sysctls map[string]string, privileged bool) error
	// unused is fail.Taken if a process of the host has one of ids.
	unused func(ids vps.IDRange) error
	// capacity is what the host has. What is not known is 0.
	capacity func() bundles.Capacity
	// initFile is the host's program that is the init of VPSs whose image has
	// none.
	initFile func(binDir string) (string, error)
	// become prepares to turn this process into a holder. The function that it
	// returns does it, and returns only if it cannot.
	become func(binDir, title string, c holder.Config) (func() error, error)
}

// containers makes running things out of bundles: container.Engine.
type containers interface {
	Create(id string, spec *specs.Spec) (container.Waiting, error)
	Go(id string) error
	Delete(id string) error
	Signal(id string, sig syscall.Signal) error
	Kill(id string) error
	Init(id string) (pid int, err error)
	OutOfMemory(id string) bool
	Freeze(id string) error
	Thaw(id string) error
	Frozen(id string) (bool, error)
	Exec(id string, p *specs.Process, stdio [3]*os.File) (*container.Running, error)
	Processes(id string) ([]int, error)
	// Remains, EndRemains and Remaining ask the kernel alone, whatever files say.
	Remains(id string) ([]int, error)
	EndRemains(id string) error
	Remaining() (map[string]bool, error)
	Usage(id string) (container.Usage, error)
	// Shelter takes this process out of the session that it was started from.
	Shelter(ctx context.Context, id string) error
	// Leave removes what Shelter made, before this process ends.
	Leave(id string) error
}

// networks makes the host's network match plans: network.Host.
type networks interface {
	Ensure(ctx context.Context, p network.HostPlan) error
	Plug(ctx context.Context, p network.Plan, init inside.Identity) error
	Unplug(ctx context.Context, p network.Plan) error
	Replug(ctx context.Context, p network.Plan, init inside.Identity) (made bool, err error)
	PinNamespace(p network.Plan, init inside.Identity, path string) error
	ReturnLink(p network.Plan, path string) error
	Readdress(ctx context.Context, was, now network.Plan, init inside.Identity) error
	Withdraw(was, now network.Plan) error
	SetRates(ctx context.Context, plans []network.Plan) error
	SetConnections(ctx context.Context, plans []network.Plan) error
	// ConnectionLimit is the bound on connections that a plan means on this
	// host; 0 is none.
	ConnectionLimit(p network.Plan) (uint32, error)
	Remove(ctx context.Context, p network.HostPlan) error
	Dropped(p network.Plan) (map[network.Reason]uint64, error)
	Answering(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error)
	Traffic(plans []network.Plan) (map[string]network.Traffic, error)
	SetRouting(r vps.Routing, interfaces []network.Plan, init inside.Identity) error
	Routing(name string, r vps.Routing, interfaces []network.Plan, init inside.Identity) (network.RoutingInfo, error)
	SetFirewall(ctx context.Context, f vps.Firewall, init inside.Identity) error
	Firewall(ctx context.Context, name string, f vps.Firewall, init inside.Identity) (network.FirewallInfo, error)
	// CheckPorts is fail.Taken if a socket of the host's listens on one.
	CheckPorts(ports []vps.Publication) error
	Publish(ctx context.Context, all []network.Published) error
	Unpublish(ctx context.Context, p network.Plan) error
	Published(ctx context.Context, p network.Published) (network.PublishedInfo, error)
	Seed(name string) (network.Seed, error)
	Addresses() ([]netip.Addr, error)
}

// rootfses mounts root filesystems of VPSs into this process's mount
// namespace: template.Rootfs.
type rootfses interface {
	Make(r rootfs.Rootfs) error
	Mount(r rootfs.Rootfs) error
	Unmount(r rootfs.Rootfs) error
	DataDirs(r rootfs.Rootfs) ([]rootfs.DataDir, error)
	// Mounted, Release and View are for those that croft mount may have
	// mounted.
	Mounted(r rootfs.Rootfs) (bool, error)
	Release(r rootfs.Rootfs) error
	View(r rootfs.Rootfs, do func(root string) error) error
}

// monitors starts the process that holds a running VPS.
type monitors interface {
	// Spawn starts name's monitor and returns when its init runs, or with why
	// not. The monitor takes over life; the caller still closes its own.
	Spawn(ctx context.Context, name string, life *os.File, how spawnHow) error
}

// guestAccess reads and writes files of a VPS's own, resolved inside its root
// filesystem. What the VPS has put there is at most a warning.
type guestAccess interface {
	// Open opens the root filesystem of a VPS that is mounted at dir.
	Open(dir string) (*inside.Root, error)
	// FindInit finds the init of a root filesystem.
	FindInit(root *inside.Root) guests.Init
	// Prepare makes sure that a start can mount on the directories of root that
	// it needs, owned by the root that host id first is.
	Prepare(root *inside.Root, first uint32) (warnings []string, err error)
	// Configure makes the guest's own files match s, as the root that host id
	// first is.
	Configure(root *inside.Root, first uint32, s guest.Settings) (warnings []string, err error)
	// Hosts makes /etc/hosts of the VPS name all.
	Hosts(root *inside.Root, first uint32, all []guest.Host) (warnings []string, err error)
	// MountData mounts dirs in the VPS whose init is p and has not run yet.
	// One that is not a directory inside any more is left out.
	MountData(p *inside.Process, dirs []rootfs.DataDir) error
	// Devices gives a VPS with a user namespace device nodes of its own, the usual
	// ones and extra, in place of the host's. Its init is p and has not run yet.
	// scratch is a directory of the host's.
	Devices(p *inside.Process, first uint32, extra []bundles.Device, scratch string) error
	// BootID makes the text of the file at path the boot id that the VPS whose
	// init is p sees.
	BootID(p *inside.Process, path string) error
	// Give mounts a filesystem at dir for files that a VPS gets: in this process's
	// mount namespace, in place of one that it has mounted there before.
	Give(dir string) error
	// TakeBack unmounts it. What a VPS has of it stays there.
	TakeBack(dir string) error
	// KernelLog gives the VPS whose init is p an empty kernel log: a pipe that it
	// makes at path. The caller closes its end, which may be nil: readers inside
	// then come to their end.
	KernelLog(p *inside.Process, path string, first uint32) (*os.File, error)
	// HoldKernelLog opens the one that a running VPS has, nil if it has none.
	HoldKernelLog(p *inside.Process) (*os.File, error)
	// FreeConsole takes a console away from the init that was started on it.
	FreeConsole(master *os.File) error
	// NewConsole gives a running VPS another /dev/console, owned by the root
	// that host id first is, and returns its master, which the caller closes.
	// scratch is a directory of the host's.
	NewConsole(p *inside.Process, first uint32, scratch string) (*os.File, error)
}

// templates is the store of OS templates: template.Store.
type templates interface {
	Ensure(ctx context.Context, ref string) (template.Image, error)
	Resolve(ref string) (template.Image, error)
	List() ([]template.Image, error)
	// Confirm is nil if img is there and no Remove or Prune that does not yet
	// see its user is under way.
	Confirm(ctx context.Context, img template.Image) error
	LayerDirs(img template.Image) ([]string, error)
	Build(ctx context.Context, name string, o template.BuildOptions) (template.Image, error)
	Import(ctx context.Context, name string, r io.Reader, o template.ImportOptions) (template.Image, error)
	Derive(ctx context.Context, name, base string, r rootfs.Rootfs, o template.DeriveOptions) (template.Image, error)
	Pull(ctx context.Context, ref string, o template.PullOptions) (template.Image, error)
	Push(ctx context.Context, name, ref string, o template.PushOptions) error
	Export(ctx context.Context, ref string, w io.Writer, o template.ExportOptions) error
	Prune(ctx context.Context, used func() (map[string][]string, error)) error
	Remove(ctx context.Context, ref string, used func() (map[string][]string, error)) error
}

type overlays struct{}

func (overlays) Make(r rootfs.Rootfs) error    { return r.Make() }
func (overlays) Mount(r rootfs.Rootfs) error   { return r.Mount() }
func (overlays) Unmount(r rootfs.Rootfs) error { return r.Unmount() }
func (overlays) Release(r rootfs.Rootfs) error { return r.Release() }

func (overlays) DataDirs(r rootfs.Rootfs) ([]rootfs.DataDir, error)     { return r.DataDirs() }
func (overlays) Mounted(r rootfs.Rootfs) (bool, error)                  { return r.Mounted() }
func (overlays) View(r rootfs.Rootfs, do func(root string) error) error { return r.View(do) }

// rootfs is where v's root filesystem is and what it is made of.
func (m *Manager) rootfs(v vps.VPS) (rootfs.Rootfs, error) {
	layers, err := m.templates.LayerDirs(template.Image{Name: v.Template.Name, Digest: v.Template.Digest, Layers: v.Template.Layers})
	if err != nil {
		return rootfs.Rootfs{}, err
	}
	return rootfs.Rootfs{
		Layers: layers, Dir: m.store.FSDir(v.Name), Target: paths.Rootfs(m.store, v.Name),
		Scratch: paths.LowerDir(m.store, v.Name), First: v.IDs.First, Size: v.IDs.Size,
	}, nil
}
