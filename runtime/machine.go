package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"croft/template/rootfs"
	"croft/template/rootfs/diskfile"
	"croft/template/rootfs/quotadir"
	"croft/template/rootfs/tree"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/checkpoint"
	"croft/runtime/container"
	"croft/runtime/fit"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hostfacts"
	"croft/runtime/look"
	"croft/runtime/mounts"
	"croft/runtime/names"
	"croft/runtime/tables"
	"croft/template"
	"croft/template/backups"
	"croft/template/layer"
)

// A machine is everything through which a Manager reaches the host. Its parts promise
// results and not system calls, so the tests have a pretend machine that keeps state.
type machine struct {
	containers containers
	networks   networks
	rootfses   rootfses
	disks      disks
	monitors   monitors
	guests     guestAccess
	devices    hostDevices
	mounts     mounting
	criu       processSaver
	limits     kernelLimits
	host       func() (hostfacts.Facts, error)
	// newParcel begins a parcel: template.Store.Parcel.
	newParcel func(ctx context.Context, base string, r rootfs.Rootfs, o backups.Options) (parcel, error)
	// lacks returns what the host lacks, without which no VPS can run; nil: it is not checked.
	lacks func(ctx context.Context) ([]string, error)
	// sleep waits before a failed step is repeated.
	sleep func(time.Duration)
	// trySysctls is fail.Usage if a VPS cannot set one of sysctls.
	trySysctls func(ctx context.Context, sysctls map[string]string, privileged bool) error
	// unused is fail.Taken if a process of the host has one of ids.
	unused func(ids vps.IDRange) error
	// capacity returns what the host has; 0 for a number that is not known.
	capacity func() bundles.Capacity
	// cpus returns the CPUs that croft can choose for VPSs.
	cpus func() hostfacts.CPUs
	// disk returns the disk of a device, or with "" the one under the files of VPSs.
	disk func(device string) (bundles.Disk, error)
	// initFile returns a file on the host: the init of VPSs whose image has none.
	initFile func(binDir string) (string, error)
	// become prepares to turn this process into a holder. The function that it
	// returns does it, and returns only on an error.
	become func(binDir, title string, c holder.Config) (func() error, error)
}

// containers makes containers from bundles: container.Engine.
type containers interface {
	look.Containers
	Create(id string, spec *specs.Spec, oomScore int) (container.Prepared, error)
	StartInit(id string) error
	// Restore makes a container of the processes that start makes, in place of Create.
	Restore(id string, spec *specs.Spec, oomScore int, start func(place func(pid int) error) (init int, err error)) error
	Delete(id string) error
	Signal(id string, sig syscall.Signal) error
	Kill(id string) error
	Init(id string) (pid int, err error)
	OutOfMemory(id string) bool
	// Watched returns numbers of the kernel that a holder watches.
	Watched(id string) (container.Watched, error)
	SetLimits(id string, r *specs.LinuxResources) error
	SetDevices(id string, rules []specs.LinuxDeviceCgroup) error
	Freeze(id string) error
	Thaw(id string) error
	Frozen(id string) (bool, error)
	// Cgroups returns the directories of the cgroups, by their controllers.
	Cgroups(id string) (map[string]string, error)
	Exec(id string, p *specs.Process, stdio [3]*os.File) (*container.Running, error)
	// EndRemains kills the processes of Remains.
	EndRemains(id string) error
	// MoveToOwnScope moves this process out of the session that started it.
	MoveToOwnScope(ctx context.Context, id string) error
	// RemoveOwnScope removes what MoveToOwnScope made, before this process ends.
	RemoveOwnScope(id string) error
}

// networks makes the host's network match plans: hostnet.Networks.
type networks interface {
	tables.Host
	look.Networks
	look.Applied
	bridges
	links
	settings
	publishing
	ownSetups
	// SilentResolvers returns those of servers that do not answer the VPS whose init is
	// given within patience.
	SilentResolvers(ctx context.Context, init inside.Identity, servers []netip.Addr, patience time.Duration) ([]netip.Addr, error)
}

// bridges are the networks themselves on the host.
type bridges interface {
	Ensure(ctx context.Context, p network.HostPlan) error
	EnsureAtStart(ctx context.Context, t network.Table) error
	Remove(ctx context.Context, p network.HostPlan) error
}

// links are the interfaces of VPSs.
type links interface {
	Plug(ctx context.Context, p network.Plan, init inside.Identity) error
	Unplug(ctx context.Context, p network.Plan) error
	Replug(ctx context.Context, p network.Plan, init inside.Identity) (made bool, err error)
	// Join and Leave give a running VPS an interface, and take one from it.
	Join(ctx context.Context, p network.Plan, init inside.Identity) error
	Leave(ctx context.Context, p network.Plan, init inside.Identity) error
	PinNamespace(p network.Plan, init inside.Identity, path string) error
	ReturnLink(p network.Plan, path string) error
	Readdress(ctx context.Context, was, now network.Plan, init inside.Identity) error
	Withdraw(was, now network.Plan) error
	SetRates(ctx context.Context, plans []network.Plan) error
	SetConnections(ctx context.Context, plans []network.Plan) error
}

// ownSetups are what VPSs have made in their network namespaces themselves.
type ownSetups interface {
	// CheckOwnSetup is fail.State if there is more than Plug with plans makes.
	CheckOwnSetup(ctx context.Context, plans []network.Plan, init inside.Identity) error
	Sysctls(init inside.Identity) (map[string]string, error)
	SetSysctls(all map[string]string, init inside.Identity) (refused []string, err error)
}

// processSaver writes the processes of VPSs to files and makes them again: checkpoint.Criu,
// which documents the methods.
type processSaver interface {
	Check(ctx context.Context) (checkpoint.Version, error)
	CheckLimits() error
	Host() (checkpoint.Host, error)
	// Pack and Unpack send images to another host.
	Pack(ctx context.Context, dir string, w io.Writer) error
	Unpack(ctx context.Context, dir string, r io.Reader) error
	// CheckVPS is fail.State if the processes with these pids, or their mounts, cannot be
	// saved. given are the mounts that croft makes again.
	CheckVPS(init inside.Identity, pids []int, data []string) (given []state.GivenMount, err error)
	Dump(ctx context.Context, d checkpoint.Dump) error
	Restore(ctx context.Context, r checkpoint.Restore) (checkpoint.Restored, error)
}

// settings are the firewall and the routes inside VPSs.
type settings interface {
	SetRouting(r vps.Routing, interfaces []network.Plan, init inside.Identity) error
	SetFirewall(ctx context.Context, f vps.Firewall, init inside.Identity) error
}

// publishing is the translation of published ports.
type publishing interface {
	// CheckPorts is fail.Taken if a socket of the host listens on one of ports.
	CheckPorts(ports []vps.Publication) error
	Publish(ctx context.Context, all []network.Published) error
	Unpublish(ctx context.Context, p network.Plan) error
}

// rootfses mounts root filesystems of VPSs into the mount namespace of this process:
// rootfs.Rootfs.
type rootfses interface {
	MakeOver(r rootfs.Rootfs) error
	// Fill makes the files of a plain root filesystem, which do not exist yet, those that
	// stack shows. The layers are mounted at the directory at.
	Fill(ctx context.Context, at string, stack []rootfs.Frozen, r rootfs.Rootfs, progress func(done int64)) error
	// MakeOwn makes a VPS that has all files of its frozen layers as its own.
	MakeOwn(ctx context.Context, r rootfs.Rootfs) error
	// Add puts the frozen layers of a VPS that is being created above its own files.
	Add(ctx context.Context, r rootfs.Rootfs) error
	// ToPlain and ToOverlay make the files of a root filesystem, which do not exist yet,
	// those of one of the other kind.
	ToPlain(ctx context.Context, at string, r, plain rootfs.Rootfs, progress func(done int64)) error
	ToOverlay(ctx context.Context, at string, plain, r rootfs.Rootfs, progress func(done int64)) error
	// CopyTree makes a plain root filesystem an exact copy of the files from.
	CopyTree(ctx context.Context, from rootfs.Frozen, r rootfs.Rootfs, progress func(done int64)) error
	// CheckKept says why Keep cannot keep paths, and Keep copies them from a root filesystem
	// to a new one, with another template: tree.Keep.
	CheckKept(r rootfs.Rootfs, paths []string) error
	Keep(ctx context.Context, at string, from, to rootfs.Rootfs, paths []string, progress func(done int64)) error
	// RemoveOthers removes the files of a storage that the VPS does not have any more.
	RemoveOthers(ctx context.Context, r rootfs.Rootfs) error
	Freeze(r rootfs.Rootfs, to string) error
	Changed(r rootfs.Rootfs) (bool, error)
	// Digest returns a digest of the own files, which each change of a file changes.
	Digest(r rootfs.Rootfs) (string, error)
	// Diff lists the differences between two stacks of layers. They are mounted at the directory at.
	Diff(ctx context.Context, at string, old, new []rootfs.Frozen, emit func(tree.Change) error) error
	Merge(ctx context.Context, upper, lower string) error // of layers of a VPS
	// CopyLive begins a copy of the own files of a VPS, which may run. They become those of
	// the root filesystem to, which has none yet.
	CopyLive(r, to rootfs.Rootfs) (liveCopy, error)
	// CopyOwn copies the own files of a VPS that does not run to another place.
	CopyOwn(ctx context.Context, from, to rootfs.Rootfs) error
	Mount(r rootfs.Rootfs) error
	Unmount(r rootfs.Rootfs) error
	DataDirs(r rootfs.Rootfs) ([]rootfs.DataDir, error)
	// Mounted and Release are for the mounts of croft mount. View shows do the
	// files of a root filesystem that is not mounted.
	Mounted(r rootfs.Rootfs) (bool, error)
	Release(r rootfs.Rootfs) error
	View(r rootfs.Rootfs, do func(root string) error) error
	// MountView mounts layers of a snapshot on a directory of the host, and Views lists
	// these mounts, whose sources begin with prefix.
	MountView(at, source string, stack []rootfs.Frozen, target string) error
	Views(prefix string) ([]rootfs.MountedView, error)
	ReleaseView(target string) error
	// Above returns a file of an id that is not among the first size ones, or "".
	Above(r rootfs.Rootfs, size uint32) (string, error)
	// OpenDir opens the directory with the own files of a VPS, which may run.
	OpenDir(r rootfs.Rootfs) (*os.File, error)
	// Open is for copying files of a VPS that does not run.
	Open(r rootfs.Rootfs) (*os.File, error)
}

// monitors starts the process that holds a running VPS: spawner.
type monitors interface {
	// Spawn starts the monitor of name and returns when init runs, or with the
	// reason why it does not. The monitor takes over life; the caller still closes
	// its own descriptor.
	Spawn(ctx context.Context, name vps.Name, life *os.File, how spawnHow) error
	// FirstBoot starts a process that waits for the boot of name, runs its first-boot
	// script, and outlives the caller. From then on store.FirstBootHeld, until it ends.
	FirstBoot(name vps.Name) error
	// AwaitEnd returns when the process of a monitor has ended: fail.Timeout if it has not
	// within patience.
	AwaitEnd(ctx context.Context, monitor state.Process, patience time.Duration) error
}

// guestAccess changes and reads what a VPS has inside: guests.Access, which documents
// the methods. Whatever the VPS has put there is at most a warning.
type guestAccess interface {
	names.Guests
	Open(dir string) (*inside.Root, error)
	FindInit(root *inside.Root) guests.Init
	Prepare(root *inside.Root, first uint32) (warnings []string, err error)
	Configure(root *inside.Root, first uint32, s guest.Settings) (warnings []string, err error)
	// Fit makes the steps of asked in files that no program uses yet.
	Fit(root *inside.Root, first uint32, own guests.OwnDirs, g fit.Guest, asked vps.Fit) (done, warnings []string, err error)
	// Change makes all of what or nothing; undo makes the files what they were.
	Change(ctx context.Context, root *inside.Root, v vps.VPS, what vps.Inside) (undo func(*inside.Root) error, err error)
	MountData(p *inside.Process, dirs []rootfs.DataDir) error
	Devices(p *inside.Process, first uint32, extra []bundles.Device, scratch string) error
	ChangeDevices(ctx context.Context, id inside.Identity, first uint32, devices []bundles.Device, removed []string, scratch string) error
	BootID(p *inside.Process, path string) error
	// GiveCredentials makes the directory dir with the files, in what Give has mounted.
	GiveCredentials(dir string, owner uint32, files map[string][]byte) error
	Give(dir string) error
	TakeBack(dir string) error
	KernelLog(p *inside.Process, path string, first uint32) (*os.File, error)
	HoldKernelLog(p *inside.Process) (*os.File, error)
	OwnFiles(p *inside.Process, owner uint32, wanted guests.OwnFilesWanted, scratch string) (*guests.OwnFiles, error)
	// GiveAgain and RemovePlaceholders are for a VPS that was saved.
	GiveAgain(a guests.Again, mounts []state.GivenMount) (map[string]string, error)
	RemovePlaceholders(p *inside.Process, mounts []state.GivenMount) error
	FreeConsole(master *os.File) error
	NewConsole(p *inside.Process, first uint32, scratch string) (*os.File, error)
}

// hostDevices finds devices of the host: hostdevices.Host.
type hostDevices interface {
	Find(d vps.Device) ([]bundles.Device, error)
	Uses(devices []bundles.Device) []string
}

// mounting mounts directories of the host, volumes and tmpfs in VPSs: mounts.Access,
// which documents the methods.
type mounting interface {
	Check(all []mounts.Mount, privileged bool) error
	Ensure(ctx context.Context, g mounts.Guest, all []mounts.Mount) error
	Remove(ctx context.Context, g mounts.Guest, m mounts.Mount) error
}

// disks keeps the own files of VPSs in images, diskfile, or in directories with a quota,
// quotadir.
type disks interface {
	// Kind is how a new disk in the directory dir is limited.
	Kind(dir string) vps.DiskKind
	// Create makes an image with an empty file system, or an empty directory.
	Create(ctx context.Context, kind vps.DiskKind, image string, size diskfile.Size) error
	// Grow makes an image larger. It is fail.Permission, and changes nothing, where only
	// copying its files helps.
	Grow(image string, bytes int64) error
	// SetQuota gives a directory other limits. No-op if it has them.
	SetQuota(dir string, size diskfile.Size) error
	// Fits is an error that wraps ENOSPC if a directory has more files than size allows.
	Fits(dir string, size diskfile.Size) error
}

// limitedDisks is disks on the real host.
type limitedDisks struct{}

func (limitedDisks) Kind(dir string) vps.DiskKind {
	if quotadir.Why(dir) == nil {
		return vps.DiskQuota
	}
	return vps.DiskImage
}
func (limitedDisks) Create(ctx context.Context, kind vps.DiskKind, image string, size diskfile.Size) error {
	if kind == vps.DiskQuota {
		return quotadir.Create(image, size)
	}
	return diskfile.Create(ctx, image, size)
}
func (limitedDisks) Grow(image string, bytes int64) error { return diskfile.Grow(image, bytes) }
func (limitedDisks) SetQuota(dir string, size diskfile.Size) error {
	return quotadir.Set(dir, size)
}
func (limitedDisks) Fits(dir string, size diskfile.Size) error { return quotadir.Fits(dir, size) }

// liveCopy copies files that change meanwhile.
type liveCopy interface {
	// Pass copies what has changed since the last one.
	Pass(ctx context.Context) (tree.Copied, error)
	LastPass(ctx context.Context) (tree.Copied, error) // nothing writes meanwhile
	Finish() error                                     // makes the copy durable
	// Leave ends the passes. What has changed since is still known: backups.Changed.
	Leave()
	backups.Changed
	Close()
}

// parcel is a backup that is sent in parts: backups.Parcel, which documents the methods.
type parcel interface {
	Blobs() []backups.Blob
	Add(ctx context.Context, settings json.RawMessage, c backups.Changed, at string, old, now []rootfs.Frozen) error
	SnapshotsSent() error
	Write(ctx context.Context, w io.Writer, step string, has func(digest string) bool) error
	Close()
}

// templates is the store of OS templates: template.Store.
type templates interface {
	Ensure(ctx context.Context, ref string) (template.Image, error)
	Resolve(ref string) (template.Image, error)
	List() ([]template.Image, error)
	// Confirm is nil if img exists and no Remove or Prune is running that does not
	// see the user of img yet.
	Confirm(ctx context.Context, img template.Image) error
	LayerDirs(img template.Image) ([]string, error)
	Build(ctx context.Context, name string, o template.BuildOptions) (template.Image, error)
	Import(ctx context.Context, name string, r io.Reader, o template.ImportOptions) (template.Image, error)
	Derive(ctx context.Context, name, base string, r rootfs.Rootfs, o template.DeriveOptions) (template.Image, error)
	Pull(ctx context.Context, ref string, o template.PullOptions) (template.Image, error)
	Search(ctx context.Context, remote string, words []string, o template.SearchOptions) ([]template.ServerImage, error)
	Remotes() ([]template.Remote, error)
	AddRemote(ctx context.Context, r template.Remote, replace bool) error
	RemoveRemote(ctx context.Context, name string) error
	Push(ctx context.Context, name, ref string, o template.PushOptions) error
	Tag(ctx context.Context, ref, name string, replace bool) (template.Image, error)
	Untag(ctx context.Context, name string) error
	Refresh(ctx context.Context, name string, o template.RefreshOptions) (template.Image, error)
	Check(ctx context.Context, name string, o template.RefreshOptions) (template.Checked, error)
	// Superseded returns the digests of former images of a name that another image has now.
	Superseded() (map[string]string, error)
	Export(ctx context.Context, ref string, w io.Writer, o template.ExportOptions) error
	Backup(ctx context.Context, base string, r rootfs.Rootfs, w io.Writer, o backups.Options) (layer.LeftOut, error)
	OpenPush(ctx context.Context, ref string, o template.PushOptions) (backups.Target, error)
	PushBackup(ctx context.Context, base string, r rootfs.Rootfs, to backups.Target, o backups.Options) (backups.Pushed, error)
	PullBackup(ctx context.Context, ref string, o template.PullOptions, u backups.Use) error
	ImportBackup(ctx context.Context, r io.Reader, u backups.Use) error
	AcceptBackup(file string) error
	UseBelow(ctx context.Context, digest string, n int, u backups.Use) error
	ImportSystem(ctx context.Context, y template.System, use func(template.Image) error, used func() (map[string][]string, error)) error
	HasBlob(digest string) bool
	RemoveAbandoned(ctx context.Context, used func() (map[string][]string, error)) error
	Prune(ctx context.Context, used func() (map[string][]string, error)) error
	Remove(ctx context.Context, ref string, used func() (map[string][]string, error)) error
}

// overlays is rootfses on the real host.
type overlays struct{}

func (overlays) MakeOver(r rootfs.Rootfs) error { return r.Within(r.MakeOver) }
func (overlays) MakeOwn(ctx context.Context, r rootfs.Rootfs) error {
	return within(r, func(r rootfs.Rootfs) error { return tree.MakeOwn(ctx, r) })
}
func (overlays) Add(ctx context.Context, r rootfs.Rootfs) error {
	return within(r, func(r rootfs.Rootfs) error { return tree.Add(ctx, r) })
}

// within calls do with r at a place that every thread of this process reaches, also if the
// image of r is mounted nowhere. Dir is created if it is missing.
func within(r rootfs.Rootfs, do func(r rootfs.Rootfs) error) error {
	dir, err := r.OpenDir()
	if err != nil {
		return err
	}
	defer dir.Close()
	r.Dir, r.Image = fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), ""
	return do(r)
}
func (overlays) Freeze(r rootfs.Rootfs, to string) error { return r.Freeze(to) }
func (overlays) CopyLive(r, to rootfs.Rootfs) (copied liveCopy, err error) {
	err = within(to, func(to rootfs.Rootfs) error {
		return r.Own().Within(func(dir string) error {
			copied, err = tree.NewLiveCopy(dir, to.Own().Dir)
			return err
		})
	})
	return copied, err
}
func (overlays) CopyOwn(ctx context.Context, from, to rootfs.Rootfs) error {
	return tree.CopyOwn(ctx, from, to)
}
func (overlays) Fill(ctx context.Context, at string, stack []rootfs.Frozen, r rootfs.Rootfs, progress func(done int64)) error {
	return within(r, func(r rootfs.Rootfs) error { return tree.Fill(ctx, at, stack, r.Own().Dir, progress) })
}
func (overlays) MountView(at, source string, stack []rootfs.Frozen, target string) error {
	return rootfs.MountView(at, source, stack, target)
}
func (overlays) Views(prefix string) ([]rootfs.MountedView, error) { return rootfs.Views(prefix) }
func (overlays) ReleaseView(target string) error                   { return rootfs.ReleaseView(target) }
func (overlays) ToPlain(ctx context.Context, at string, r, plain rootfs.Rootfs, progress func(done int64)) error {
	return within(plain, func(plain rootfs.Rootfs) error { return tree.ToPlain(ctx, at, r, plain, progress) })
}
func (overlays) ToOverlay(ctx context.Context, at string, plain, r rootfs.Rootfs, progress func(done int64)) error {
	return within(r, func(r rootfs.Rootfs) error { return tree.ToOverlay(ctx, at, plain, r, progress) })
}
func (overlays) CopyTree(ctx context.Context, from rootfs.Frozen, r rootfs.Rootfs, progress func(done int64)) error {
	return within(r, func(r rootfs.Rootfs) error { return tree.CopyTree(ctx, from, r.Own().Dir, progress) })
}
func (overlays) CheckKept(r rootfs.Rootfs, paths []string) error {
	return r.View(func(root string) error { return tree.CheckKept(root, paths) })
}
func (overlays) Keep(ctx context.Context, at string, from, to rootfs.Rootfs, paths []string, progress func(done int64)) error {
	return within(to, func(to rootfs.Rootfs) error { return tree.Keep(ctx, at, from, to, paths, progress) })
}
func (overlays) RemoveOthers(ctx context.Context, r rootfs.Rootfs) error { return r.RemoveOthers(ctx) }
func (overlays) Merge(ctx context.Context, upper, lower string) error {
	return tree.Merge(ctx, upper, lower)
}
func (overlays) Diff(ctx context.Context, at string, old, new []rootfs.Frozen, emit func(tree.Change) error) error {
	return tree.Diff(ctx, at, old, new, emit)
}
func (overlays) Changed(r rootfs.Rootfs) (changed bool, err error) {
	err = r.Within(func() error {
		changed, err = r.Changed()
		return err
	})
	return changed, err
}
func (overlays) Digest(r rootfs.Rootfs) (digest string, err error) {
	err = r.Within(func() error {
		digest, err = checkpoint.Digest(r.Own().Dir)
		return err
	})
	return digest, err
}
func (overlays) Above(r rootfs.Rootfs, size uint32) (path string, err error) {
	err = r.Within(func() error {
		path, err = r.Above(size)
		return err
	})
	return path, err
}
func (overlays) Mount(r rootfs.Rootfs) error   { return r.Mount() }
func (overlays) Unmount(r rootfs.Rootfs) error { return r.Unmount() }
func (overlays) Release(r rootfs.Rootfs) error { return r.Release() }

func (overlays) Open(r rootfs.Rootfs) (*os.File, error)    { return r.Open() }
func (overlays) OpenDir(r rootfs.Rootfs) (*os.File, error) { return r.OpenDir() }

func (overlays) DataDirs(r rootfs.Rootfs) ([]rootfs.DataDir, error)     { return r.DataDirs() }
func (overlays) Mounted(r rootfs.Rootfs) (bool, error)                  { return r.Mounted() }
func (overlays) View(r rootfs.Rootfs, do func(root string) error) error { return r.View(do) }

// imageOf is the image that v was created from.
func imageOf(v vps.VPS) template.Image {
	return template.Image{Name: v.Template.Name, Digest: v.Template.Digest, Layers: v.Template.Layers}
}
