package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"croft/template/rootfs"
	"croft/template/rootfs/diskfile"
	"croft/template/rootfs/tree"

	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/container"
	"croft/runtime/fit"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hostfacts"
	"croft/runtime/mounts"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/template"
	"croft/template/backups"
	"croft/template/layer"
)

// A world is a pretend machine, kept as files in a directory so that it
// outlives a process that dies. Every change to it is an effect. The n-th effect can fail,
// before or after its work, or kill the process. The world refuses what a real host would
// refuse.
type world struct {
	cannotGrow bool   // images of disks
	quotas     bool   // disks are limited by quotas
	filled     int64  // bytes in each of them
	above      string // a file of a VPS whose owner is a high id
	dir        string
	effects    int
	failAt     int // 0: never
	after      bool
	dieAt      int
	last       string                   // the newest effect up to that one
	before     func(n int, what string) // is told of each effect; may be nil
	inits      string                   // a directory; "": the test itself is every init
	own        string                   // where monitors mount root filesystems, for themselves

	mu        sync.Mutex          // VPSs are started at the same time
	held      map[string]*os.File // life locks that holders keep
	scoped    map[string]bool     // monitors that are in their own scopes
	emptyRoot string              // a directory: nothing is in any VPS

	limits   map[string]string       // of running VPSs, if they have been changed
	devices  map[string]*fakeDevices // of running VPSs
	told     map[uint32][]guest.Host // the names that a VPS knows, by its first id
	tellings int                     // how often one was told
	fitted   []string                // what was done to VPSs at their first start
	backup   template.Image          // that was read last

	ended func(id string) // a monitor writes down that its VPS has ended
}

var errWorld = errors.New("the world says no")

func newWorld(dir string) *world {
	return &world{dir: dir, emptyRoot: dir, held: map[string]*os.File{}, scoped: map[string]bool{}, limits: map[string]string{}, devices: map[string]*fakeDevices{}, told: map[uint32][]guest.Host{}}
}

func (w *world) effect(what string, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects++
	if w.effects <= max(w.failAt, w.dieAt) {
		w.last = what
	}
	if w.before != nil {
		w.before(w.effects, what)
	}
	if w.effects == w.dieAt {
		fmt.Println(what)
		w.loseMounts()
		os.Exit(99)
	}
	if w.effects == w.failAt && !w.after {
		return fmt.Errorf("%s: %w", what, errWorld)
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if w.effects == w.failAt {
		return fmt.Errorf("%s: %w", what, errWorld)
	}
	return nil
}

func (w *world) path(kind, name string) string { return filepath.Join(w.dir, kind+" "+name) }

func (w *world) has(kind, name string) bool { return paths.Exists(w.path(kind, name)) }

func (w *world) put(kind, name, text string) error {
	return os.WriteFile(w.path(kind, name), []byte(text), 0o600)
}

func (w *world) drop(kind, name string) error {
	if err := os.Remove(w.path(kind, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// set is put, or drop if text is empty.
func (w *world) set(kind, name, text string, any bool) error {
	if !any {
		return w.drop(kind, name)
	}
	return w.put(kind, name, text)
}

// String prints the world, one thing a line.
func (w *world) String() string {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(w.dir, e.Name()))
		lines = append(lines, strings.TrimSpace(e.Name()+" "+string(text)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// The world's containers.

func (w *world) Create(id string, spec *specs.Spec, _ int) (made container.Prepared, err error) {
	err = w.effect("make container", func() error {
		if w.has("container", id) {
			return errors.New("it exists")
		}
		if !w.has("mount", id) {
			return errors.New("its root filesystem is not mounted")
		}
		if !w.scoped[id] {
			return errors.New("its monitor is in the cgroup of the command")
		}
		w.devices[id] = newFakeDevices(spec)
		return w.put("container", id, "waiting")
	})
	if err != nil {
		// The engine's contract: on error nothing is left.
		delete(w.devices, id)
		return container.Prepared{}, errors.Join(err, w.drop("container", id))
	}
	pid, err := w.newInit(id)
	if err != nil {
		return container.Prepared{}, err
	}
	console, err := os.Open(os.DevNull)
	return container.Prepared{PID: pid, Console: console}, err
}

// newInit starts the init of a container: a process that does nothing. Like a real init
// it outlives the process that has started it.
func (w *world) newInit(id string) (int, error) {
	if w.inits == "" {
		return os.Getpid(), nil
	}
	cmd := exec.Command("sleep", "86400")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }()
	init, err := observe.ProcessOf(cmd.Process.Pid)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.inits, id), fmt.Appendf(nil, "%d %d", init.PID, init.StartTime), 0o600)
	}
	return init.PID, err
}

// initOf returns the init of a container; the zero Process if it has ended.
func (w *world) initOf(id string) state.Process {
	if w.inits == "" {
		return state.Process{}
	}
	var init state.Process
	text, err := os.ReadFile(filepath.Join(w.inits, id))
	if err == nil {
		_, err = fmt.Sscan(string(text), &init.PID, &init.StartTime)
	}
	if err != nil || !observe.Alive(init) {
		return state.Process{}
	}
	return init
}

// endInit ends the init of a container with its network namespace and returns when it has
// ended.
func (w *world) endInit(id string) error {
	init := w.initOf(id)
	if init.PID != 0 {
		_ = w.drop("firewall", strconv.Itoa(init.PID))
		_ = w.drop("routes", strconv.Itoa(init.PID))
		_ = w.drop("mounts", strconv.Itoa(init.PID))
	}
	for observe.Alive(init) {
		if err := syscall.Kill(init.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		goruntime.Gosched()
	}
	return nil
}

// endInits ends every init of this world.
func (w *world) endInits() error {
	entries, err := os.ReadDir(w.inits)
	for _, e := range entries {
		err = errors.Join(err, w.endInit(e.Name()))
	}
	return err
}

func (w *world) StartInit(id string) error {
	return w.effect("run init", func() error {
		if others, _ := filepath.Glob(w.path("link", id+" *")); len(others) == 0 && !w.has("link", id) {
			return errors.New("it has no network")
		}
		return w.put("container", id, "running")
	})
}

func (w *world) Delete(id string) error {
	return w.effect("delete container", func() error {
		delete(w.devices, id)
		return errors.Join(w.endInit(id), w.drop("container", id))
	})
}

func (w *world) Signal(id string, sig syscall.Signal) error {
	return w.effect("signal", func() error { return w.put("signal", id, sig.String()) })
}

func (w *world) Kill(id string) error {
	err := w.effect("kill", func() error {
		if !w.has("container", id) {
			return container.ErrAbsent
		}
		return nil
	})
	if err == nil {
		err = w.endInit(id)
	}
	// The croft that the holder executes. Without a holder there is none.
	if err == nil && (w.inits == "" || w.holds(id)) {
		w.ended(id)
		w.end(id)
	}
	return err
}

// holds reports whether container id has a holder in this process.
func (w *world) holds(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[id] != nil
}

func (w *world) OutOfMemory(string) bool { return false }

func (w *world) Watched(string) (container.Watched, error) { return container.Watched{}, nil }

func (w *world) SetLimits(id string, r *specs.LinuxResources) error {
	return w.effect("limit "+id, func() error {
		if !w.has("container", id) {
			return container.ErrAbsent
		}
		w.limits[id] = fmt.Sprintf("memory %d swap %d low %d quota %d shares %d cpus %q pids %d io %d, %d limits", *r.Memory.Limit, *r.Memory.Swap, *r.Memory.Reservation,
			*r.CPU.Quota, *r.CPU.Shares, r.CPU.Cpus, *r.Pids.Limit, *r.BlockIO.Weight, len(r.BlockIO.ThrottleReadBpsDevice)+len(r.BlockIO.ThrottleWriteIOPSDevice))
		return nil
	})
}

func (w *world) Init(id string) (int, error) {
	if init := w.initOf(id); init.PID != 0 {
		return init.PID, nil
	}
	return 0, container.ErrAbsent
}

func (w *world) Cgroups(string) (map[string]string, error) { return nil, nil }

func (w *world) Freeze(id string) error {
	return w.effect("freeze", func() error { return w.put("container", id, "frozen") })
}

func (w *world) Thaw(id string) error {
	return w.effect("thaw", func() error { return w.put("container", id, "running") })
}

func (w *world) Frozen(id string) (bool, error) {
	text, err := os.ReadFile(w.path("container", id))
	return err == nil && string(text) == "frozen", nil
}

func (w *world) Exec(string, *specs.Process, [3]*os.File) (*container.Running, error) {
	return nil, container.ErrAbsent
}

func (w *world) Processes(id string) ([]int, error) {
	if !w.has("container", id) {
		return nil, container.ErrAbsent
	}
	return w.pidsOf(id), nil
}

// pidsOf returns the processes of a container, which is only its init.
func (w *world) pidsOf(id string) []int {
	if w.inits == "" {
		return []int{os.Getpid()}
	}
	if init := w.initOf(id); init.PID != 0 {
		return []int{init.PID}
	}
	return nil
}

func (w *world) Remains(id string) ([]int, error) {
	if !w.has("container", id) {
		return nil, nil
	}
	return w.pidsOf(id), nil
}

func (w *world) EndRemains(id string) error {
	return w.effect("end remains", func() error { return errors.Join(w.endInit(id), w.drop("container", id)) })
}

func (w *world) Remaining() (map[string]bool, error) {
	found, err := filepath.Glob(w.path("container", "*"))
	all := map[string]bool{}
	for _, path := range found {
		all[strings.TrimPrefix(filepath.Base(path), "container ")] = true
	}
	return all, err
}

func (w *world) Usage(id string) (container.Usage, error) {
	if !w.has("container", id) {
		return container.Usage{}, container.ErrAbsent
	}
	return container.Usage{CPU: 5, Memory: 1 << 20, MemoryTotal: 2 << 20, PIDs: 3, ReadBytes: 7, IOCounted: true}, nil
}

func (w *world) MoveToOwnScope(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scoped[id] = true
	return nil
}

func (w *world) RemoveOwnScope(string) error { return nil }

// The world's network.

type fakeNetworks struct{ *world }

func (w fakeNetworks) Ensure(context.Context, network.HostPlan) error {
	return w.effect("make bridge", func() error { return nil })
}

func (w fakeNetworks) EnsureAtStart(ctx context.Context, t network.Table) error {
	return w.Ensure(ctx, network.NewHostPlan(t))
}

func (w fakeNetworks) Plug(_ context.Context, p network.Plan, init inside.Identity) error {
	name := linkOf(p)
	return w.effect("plug", func() error {
		if !w.has("container", ownerOf(p)) {
			return errors.New("there is no network namespace to plug into")
		}
		if w.has("link", name) {
			return errors.New("the link exists")
		}
		if p.Rate != (vps.Rate{}) {
			if err := w.put("rate", name, fmt.Sprint(p.Rate)); err != nil {
				return err
			}
		}
		return w.put("link", name, "")
	})
}

func (w fakeNetworks) Unplug(_ context.Context, p network.Plan) error {
	return w.effect("unplug", func() error {
		return errors.Join(w.drop("link", linkOf(p)), w.drop("rate", linkOf(p)), w.drop("connections", linkOf(p)), w.drop("addresses", linkOf(p)))
	})
}

func (w fakeNetworks) Replug(ctx context.Context, p network.Plan, init inside.Identity) (bool, error) {
	if w.has("link", linkOf(p)) {
		return false, nil
	}
	return true, w.Plug(ctx, p, init)
}
func (w fakeNetworks) Join(ctx context.Context, p network.Plan, init inside.Identity) error {
	if w.has("link", linkOf(p)) {
		return nil
	}
	return w.Plug(ctx, p, init)
}
func (w fakeNetworks) Leave(ctx context.Context, p network.Plan, _ inside.Identity) error {
	return w.Unplug(ctx, p)
}
func (w fakeNetworks) PinNamespace(network.Plan, inside.Identity, string) error {
	return w.effect("keep links", func() error { return nil })
}
func (w fakeNetworks) ReturnLink(network.Plan, string) error {
	return w.effect("give links back", func() error { return nil })
}
func (w fakeNetworks) Remove(context.Context, network.HostPlan) error {
	return w.effect("remove bridge", func() error { return nil })
}
func (w fakeNetworks) Dropped(network.Plan) (map[network.Reason]uint64, error) {
	return map[network.Reason]uint64{}, nil
}
func (w fakeNetworks) Answering(_ context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	found := map[netip.Addr]string{}
	for _, a := range addrs {
		if w.has("lan", link+" "+a.String()) {
			found[a] = "02:00:00:00:00:99"
		}
	}
	return found, nil
}
func (w fakeNetworks) Traffic(plans []network.Plan) (map[string]network.Traffic, error) {
	all := map[string]network.Traffic{}
	for _, p := range plans {
		if w.has("link", string(p.Owner)) {
			all[p.HostLink] = network.Traffic{ReceivedBytes: 10, SentBytes: 20, Dropped: map[network.Reason]uint64{network.ReasonMAC: 2}}
		}
	}
	return all, nil
}
func (w fakeNetworks) SetFirewall(_ context.Context, f vps.Firewall, init inside.Identity) error {
	return w.effect("set firewall", func() error {
		if w.inits != "" && !observe.Alive(state.Process(init)) {
			return inside.ErrGone
		}
		return w.set("firewall", strconv.Itoa(init.PID), fmt.Sprintf("%+v", f), f.Any())
	})
}
func (w fakeNetworks) Firewall(_ context.Context, name vps.Name, f vps.Firewall, _ inside.Identity) (network.FirewallInfo, error) {
	info := network.SavedFirewall(f, name)
	info.Running = true
	return info, nil
}
func (w fakeNetworks) Readdress(_ context.Context, _, now network.Plan, _ inside.Identity) error {
	return w.effect("readdress", func() error {
		if !w.has("link", linkOf(now)) {
			return errors.New("it has no link")
		}
		return w.put("addresses", linkOf(now), fmt.Sprint(now.Addresses))
	})
}
func (w fakeNetworks) SetRates(_ context.Context, plans []network.Plan) error {
	return w.effect("set rates", func() error {
		for _, p := range plans {
			if !w.has("link", linkOf(p)) {
				continue
			}
			if err := w.set("rate", linkOf(p), fmt.Sprint(p.Rate), p.Rate != (vps.Rate{})); err != nil {
				return err
			}
		}
		return nil
	})
}
func (w fakeNetworks) SetConnections(_ context.Context, plans []network.Plan) error {
	return w.effect("bound connections", func() error {
		for _, p := range plans {
			if !w.has("link", linkOf(p)) {
				continue
			}
			if err := w.set("connections", linkOf(p), fmt.Sprint(p.Connections), p.Connections != vps.DefaultConnections); err != nil {
				return err
			}
		}
		return nil
	})
}
func (w fakeNetworks) ConnectionLimit(p network.Plan) (uint32, error) {
	return uint32(max(0, p.Connections)), nil
}
func (w fakeNetworks) Withdraw(network.Plan, network.Plan) error {
	return w.effect("withdraw", func() error { return nil })
}
func (w fakeNetworks) SetRouting(r vps.Routing, _ []network.Plan, init inside.Identity) error {
	return w.effect("set routes", func() error {
		if w.inits != "" && !observe.Alive(state.Process(init)) {
			return inside.ErrGone
		}
		return w.set("routes", strconv.Itoa(init.PID), fmt.Sprintf("%+v", r), r.Any())
	})
}
func (w fakeNetworks) Routing(name vps.Name, r vps.Routing, _ []network.Plan, _ inside.Identity) (network.RoutingInfo, error) {
	return network.SavedRouting(r, name), nil
}
func (w fakeNetworks) CheckOwnSetup(context.Context, []network.Plan, inside.Identity) error {
	return nil
}
func (w fakeNetworks) Sysctls(inside.Identity) (map[string]string, error) { return nil, nil }
func (w fakeNetworks) SetSysctls(map[string]string, inside.Identity) ([]string, error) {
	return nil, w.effect("set sysctls", func() error { return nil })
}
func (w fakeNetworks) CheckPorts([]vps.Publication) error { return nil }
func (w fakeNetworks) Publish(_ context.Context, all []network.Published) error {
	return w.effect("publish", func() error {
		for _, p := range all {
			if p.Plan.Bridge == "" {
				return errors.New("there is no network to publish on")
			}
			if !w.has("link", linkOf(p.Plan)) || len(p.Ports) == 0 {
				if err := w.drop("published", publisherOf(p.Plan)); err != nil {
					return err
				}
				continue
			}
			if err := w.put("published", publisherOf(p.Plan), fmt.Sprint(p.Plan.Addresses[0].Addr(), p.Ports)); err != nil {
				return err
			}
		}
		return nil
	})
}
func (w fakeNetworks) Unpublish(_ context.Context, p network.Plan) error {
	return w.effect("unpublish", func() error { return w.drop("published", publisherOf(p)) })
}
func (w fakeNetworks) Published(_ context.Context, p network.Published) (network.PublishedInfo, error) {
	info := p.SavedInfo()
	info.Running, info.Applied = true, w.has("published", publisherOf(p.Plan))
	return info, nil
}
func (fakeNetworks) SilentResolvers(context.Context, inside.Identity, []netip.Addr, time.Duration) ([]netip.Addr, error) {
	return nil, nil
}
func (fakeNetworks) Seed(name string) (network.Seed, error) { return network.Seed{Name: name}, nil }
func (fakeNetworks) Addresses() ([]netip.Addr, error)       { return nil, nil }

// The world's root filesystems. A real mount ends with the process that made it, because
// it is in the mount namespace of that process.

type fakeRootfses struct{ *world }

func (w fakeRootfses) MakeOver(r rootfs.Rootfs) error {
	return w.effect("make root filesystem", func() error { return errors.Join(os.MkdirAll(r.Dir, 0o755), os.MkdirAll(upperOf(r), 0o755)) })
}

func (w fakeRootfses) Fill(_ context.Context, _ string, stack []rootfs.Frozen, r rootfs.Rootfs, _ func(int64)) error {
	return w.effect("fill a plain tree", func() error {
		to := ownOf(r)
		if err := errors.Join(os.MkdirAll(r.Dir, 0o755), os.MkdirAll(to, 0o755)); err != nil {
			return err
		}
		for _, l := range slices.Backward(stack) {
			files, _ := os.ReadDir(dirOf(l)) // the layers of templates do not exist here
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(to, f.Name()), nil, 0o600); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (w fakeRootfses) MakeOwn(_ context.Context, r rootfs.Rootfs) error {
	return w.effect("copy frozen files", func() error {
		err := os.MkdirAll(upperOf(r), 0o755)
		for _, f := range r.Frozen {
			if f.Dir != "/layer" { // those of images do not exist here
				err = errors.Join(err, os.CopyFS(upperOf(r), os.DirFS(f.Dir)))
			}
		}
		return err
	})
}

func (w fakeRootfses) Add(_ context.Context, r rootfs.Rootfs) error {
	return w.effect("add files", func() error { _, err := os.Stat(ownOf(r)); return err })
}

func (w fakeRootfses) ToPlain(ctx context.Context, at string, r, plain rootfs.Rootfs, _ func(int64)) error {
	return w.Fill(ctx, at, r.Stack(), plain, nil)
}

func (w fakeRootfses) ToOverlay(_ context.Context, _ string, plain, r rootfs.Rootfs, _ func(int64)) error {
	return w.effect("fill an upper directory", func() error { return os.CopyFS(upperOf(r), os.DirFS(ownOf(plain))) })
}

func (w fakeRootfses) CopyTree(ctx context.Context, from rootfs.Frozen, r rootfs.Rootfs, _ func(int64)) error {
	return w.Fill(ctx, "", []rootfs.Frozen{from}, r, nil)
}

func (w fakeRootfses) CheckKept(r rootfs.Rootfs, kept []string) error {
	for _, p := range kept {
		if !slices.ContainsFunc(r.Stack(), func(l rootfs.Frozen) bool { return paths.Exists(filepath.Join(dirOf(l), p)) }) {
			return fail.New(fail.NotFound, "keep %s: the VPS has no such file", p)
		}
	}
	return nil
}

func (w fakeRootfses) Keep(_ context.Context, _ string, from, to rootfs.Rootfs, kept []string, _ func(int64)) error {
	return w.effect("keep files", func() error {
		err := errors.Join(w.CheckKept(from, kept), os.MkdirAll(ownOf(to), 0o755))
		for _, p := range kept {
			err = errors.Join(err, os.WriteFile(filepath.Join(ownOf(to), p), nil, 0o600))
		}
		return err
	})
}

func (w fakeRootfses) RemoveOthers(ctx context.Context, r rootfs.Rootfs) error {
	return w.effect("remove other files", func() error { return r.RemoveOthers(ctx) })
}

func (w fakeRootfses) Freeze(r rootfs.Rootfs, to string) error {
	err := w.effect("freeze files", func() error {
		if w.has("mount", vpsOf(r)) {
			return errors.New("it is mounted")
		}
		if paths.Exists(to) {
			return nil
		}
		return os.Rename(upperOf(r), to)
	})
	if err != nil {
		return err
	}
	return w.effect("make upper directory", func() error { return os.MkdirAll(upperOf(r), 0o755) })
}

func (w fakeRootfses) Changed(r rootfs.Rootfs) (bool, error) {
	files, err := os.ReadDir(upperOf(r))
	return len(files) > 0, err
}

func (w fakeRootfses) Digest(r rootfs.Rootfs) (string, error) {
	return "files of " + vpsOf(r), w.effect("read files", func() error { return nil })
}
func (w fakeRootfses) Merge(_ context.Context, upper, lower string) error {
	return w.effect("merge layers", func() error {
		files, err := os.ReadDir(lower)
		for _, f := range files {
			err = errors.Join(err, os.Rename(filepath.Join(lower, f.Name()), filepath.Join(upper, f.Name())))
		}
		return err
	})
}

func (w fakeRootfses) Diff(_ context.Context, _ string, old, new []rootfs.Frozen, emit func(tree.Change) error) error {
	return emit(tree.Change{Kind: tree.Changed, Path: fmt.Sprintf("/%d layers to %d", len(old), len(new))})
}

func (w fakeRootfses) CopyLive(r, to rootfs.Rootfs) (liveCopy, error) {
	err := w.effect("begin a copy", func() error { return os.MkdirAll(ownOf(to), 0o755) })
	return fakeCopy{w, ownOf(r), ownOf(to)}, err
}

func (w fakeRootfses) CopyOwn(_ context.Context, from, to rootfs.Rootfs) error {
	return w.effect("copy own files", func() error { return os.CopyFS(ownOf(to), os.DirFS(ownOf(from))) })
}

// A fakeCopy copies the names of files.
type fakeCopy struct {
	fakeRootfses
	from, to string
}

func (c fakeCopy) Pass(context.Context) (tree.Copied, error) {
	return tree.Copied{}, c.effect("copy files", func() error { return errors.Join(os.RemoveAll(c.to), os.CopyFS(c.to, os.DirFS(c.from))) })
}

func (c fakeCopy) LastPass(ctx context.Context) (tree.Copied, error) {
	return tree.Copied{}, c.effect("copy the last files", func() error { return nil })
}

func (c fakeCopy) Finish() error { return c.effect("finish a copy", func() error { return nil }) }
func (c fakeCopy) Close()        {}
func (c fakeCopy) Leave()        {}

func (c fakeCopy) Changes(_ context.Context, _ string, old, new []rootfs.Frozen, _ func(*os.File, func(func(tree.Change) error) error) error) error {
	return c.effect("find the last changes", func() error {
		if old[0].Dir != c.to || len(old) != len(new) {
			return fmt.Errorf("the layers are %v and %v", old, new)
		}
		return nil
	})
}

func (w fakeRootfses) Mount(r rootfs.Rootfs) error {
	return w.effect("mount", func() error {
		if w.has("mount", vpsOf(r)) {
			return errors.New("it is mounted")
		}
		if r.Target == w.own {
			return w.put("mount", vpsOf(r), "of its monitor")
		}
		return w.put("mount", vpsOf(r), "")
	})
}

// loseMounts ends the mount namespaces of monitors that die.
func (w *world) loseMounts() {
	mounts, _ := filepath.Glob(w.path("mount", "*"))
	for _, path := range mounts {
		if text, _ := os.ReadFile(path); string(text) != "" {
			_ = os.Remove(path)
		}
	}
}

func (w fakeRootfses) Unmount(r rootfs.Rootfs) error {
	return w.effect("unmount", func() error { return w.drop("mount", vpsOf(r)) })
}

func (w fakeRootfses) DataDirs(rootfs.Rootfs) ([]rootfs.DataDir, error) { return nil, nil }

func (w fakeRootfses) Mounted(r rootfs.Rootfs) (bool, error) { return w.has("mount", vpsOf(r)), nil }

func (w fakeRootfses) Above(r rootfs.Rootfs, size uint32) (string, error) {
	if r.First == 0 || size == 0 {
		return "", errors.New("it has no ids")
	}
	return w.above, nil
}

func (w fakeRootfses) Release(r rootfs.Rootfs) error {
	return w.effect("release", func() error {
		if w.has("user of mount", vpsOf(r)) {
			return fail.New(fail.Busy, "%s is in use", r.Target)
		}
		return w.drop("mount", vpsOf(r))
	})
}

func (w fakeRootfses) MountView(_, source string, stack []rootfs.Frozen, target string) error {
	return w.effect("mount a snapshot", func() error {
		for _, f := range stack {
			if f.Size != 0 && !paths.Exists(f.Dir) {
				return errors.New("a layer is missing")
			}
		}
		return w.put("view", source, target)
	})
}

func (w fakeRootfses) Views(prefix string) ([]rootfs.MountedView, error) {
	files, err := filepath.Glob(w.path("view", prefix+"*"))
	var all []rootfs.MountedView
	for _, file := range files {
		target, e := os.ReadFile(file)
		err = errors.Join(err, e)
		all = append(all, rootfs.MountedView{Source: strings.TrimPrefix(filepath.Base(file), "view "), Target: string(target)})
	}
	return all, err
}

func (w fakeRootfses) ReleaseView(target string) error {
	return w.effect("unmount a snapshot", func() error {
		all, err := w.Views("")
		for _, view := range all {
			if view.Target == target {
				err = errors.Join(err, w.drop("view", view.Source))
			}
		}
		return err
	})
}

func (w fakeRootfses) View(r rootfs.Rootfs, do func(string) error) error {
	if w.has("mount", vpsOf(r)) {
		return errors.New("it is mounted")
	}
	return do(r.Target)
}

func (w fakeRootfses) OpenDir(rootfs.Rootfs) (*os.File, error) { return os.Open("/") }

func (w fakeRootfses) Open(r rootfs.Rootfs) (*os.File, error) {
	return os.Open(r.Dir)
}

// ownOf is where the own files of r are.
func ownOf(r rootfs.Rootfs) string {
	if r.Image != "" {
		r.Dir = r.Image
	}
	return r.Own().Dir
}

// dirOf is where the files of l are.
func dirOf(l rootfs.Frozen) string {
	if l.Image != "" {
		return filepath.Join(l.Image, filepath.Base(l.Dir))
	}
	return l.Dir
}

// upperOf is the upper directory of r. An image is a directory here.
func upperOf(r rootfs.Rootfs) string {
	if r.Image != "" {
		return filepath.Join(r.Image, "upper")
	}
	return r.Upper()
}

type fakeDisks struct{ *world }

func (w fakeDisks) Kind(string) vps.DiskKind {
	if w.quotas {
		return vps.DiskQuota
	}
	return vps.DiskImage
}

func (w fakeDisks) Create(_ context.Context, kind vps.DiskKind, image string, size diskfile.Size) error {
	return w.effect("create image", func() error {
		err := os.Mkdir(image, 0o755)
		if err == nil && kind == vps.DiskQuota {
			err = w.putQuota(image, size)
		}
		return err
	})
}

func (w fakeDisks) putQuota(dir string, size diskfile.Size) error {
	return os.WriteFile(filepath.Join(dir, "quota"), fmt.Append(nil, size), 0o600)
}

func (w fakeDisks) SetQuota(dir string, size diskfile.Size) error {
	if text, err := os.ReadFile(filepath.Join(dir, "quota")); err != nil || string(text) == fmt.Sprint(size) {
		return err
	}
	return w.effect("set quota", func() error { return w.putQuota(dir, size) })
}

func (w fakeDisks) Fits(_ string, size diskfile.Size) error {
	if w.filled > size.Bytes {
		return unix.ENOSPC
	}
	return nil
}

func (w fakeDisks) Grow(image string, bytes int64) error {
	return w.effect("grow image", func() error {
		if w.cannotGrow {
			return fail.New(fail.Permission, "no capability")
		}
		return os.WriteFile(filepath.Join(image, "size"), fmt.Append(nil, bytes), 0o600)
	})
}

func vpsOf(r rootfs.Rootfs) string { return filepath.Base(filepath.Dir(r.Dir)) }

// ownerOf returns the VPS of the plan p. In these tests the text of the plan has it.
func ownerOf(p network.Plan) string { return string(p.Owner) }

// publisherOf names the ports that lead to an interface.
func publisherOf(p network.Plan) string {
	if p.Network == DefaultNetwork {
		return ownerOf(p)
	}
	return ownerOf(p) + " " + p.Network
}

// linkOf names a link. The first one of a VPS on the default network has the VPS's name.
func linkOf(p network.Plan) string {
	if p.Interface == "eth0" && p.Network == DefaultNetwork {
		return ownerOf(p)
	}
	return ownerOf(p) + " " + p.Interface + " " + p.Network
}

// The world's monitors: a start in the real order, and a holder that is only a lock.

type fakeMonitors struct {
	*world
	m *Manager
}

func (f fakeMonitors) Spawn(ctx context.Context, name vps.Name, life *os.File, how spawnHow) error {
	fd, err := unix.FcntlInt(life.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	mon := &monitor{Manager: f.m, name: name, how: how, life: os.NewFile(uintptr(fd), "life")}
	mon.inScope = mon.moveToOwnScope(ctx)
	if how == spawnAdopt {
		err = mon.adopt()
	} else {
		err = mon.boot(ctx)
	}
	// A mount namespace ends with its process, unless that becomes the holder.
	if err != nil {
		_ = f.drop("mount", string(name))
		_ = mon.recordFailure(ctx, err)
		mon.life.Close()
		return err
	}
	f.hold(string(name), mon.life)
	return nil
}

// AwaitEnd does not wait: the process of the monitors of a pretend machine is that of the test. So
// commands find what is left to a monitor as if that had been killed.
func (fakeMonitors) AwaitEnd(ctx context.Context, _ state.Process, _ time.Duration) error {
	return ctx.Err()
}

func (f fakeMonitors) FirstBoot(name vps.Name) error {
	return f.effect("run the first-boot script apart", func() error { return nil })
}

// hold keeps the life lock of a container, as its holder does.
func (w *world) hold(id string, life *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[id] = life
}

// letGo closes the life lock of the holder of a container.
func (w *world) letGo(id string) *os.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	life := w.held[id]
	delete(w.held, id)
	return life
}

// reboot is a reboot of a VPS from inside, with the work of its monitor.
func (f fakeMonitors) reboot(ctx context.Context, name vps.Name) error {
	return f.ends(ctx, name, uint32(syscall.SIGHUP))
}

// ends is the end of an init with a wait status, with the work of its monitor.
func (f fakeMonitors) ends(ctx context.Context, name vps.Name, status uint32) error {
	mon := &monitor{Manager: f.m, name: name, life: f.letGo(string(name)), inScope: func() error { return nil }}
	if err := f.endInit(string(name)); err != nil {
		return err
	}
	err := mon.afterInit(ctx, holder.End{Known: true, Status: status})
	if err != nil || !f.has("container", string(name)) {
		mon.life.Close()
		return err
	}
	f.hold(string(name), mon.life)
	return nil
}

// end is the end of an init, with the work of the holder and its croft.
func (w *world) end(id string) {
	_ = w.drop("container", id)
	_ = w.drop("link", id)
	_ = w.drop("rate", id)
	_ = w.drop("published", id)
	_ = w.drop("mount", id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.held[id]; f != nil {
		f.Close()
		delete(w.held, id)
	}
}

// The world's guests and templates.

type fakeGuests struct{ *world }

func (w fakeGuests) Open(string) (*inside.Root, error)            { return inside.OpenRoot(w.emptyRoot) }
func (fakeGuests) FindInit(*inside.Root) guests.Init              { return guests.Init{Path: "/sbin/init"} }
func (fakeGuests) Prepare(*inside.Root, uint32) ([]string, error) { return nil, nil }
func (w fakeGuests) Configure(*inside.Root, uint32, guest.Settings) ([]string, error) {
	return nil, w.effect("write the guest's files", func() error { return nil })
}
func (w fakeGuests) Fit(_ *inside.Root, _ uint32, _ guests.OwnDirs, g fit.Guest, asked vps.Fit) (done, warnings []string, err error) {
	err = w.effect("fit the guest's files", func() error { w.fitted = append(w.fitted, asked.String()+" of "+g.UUID); return nil })
	return []string{"machine-id"}, nil, err
}
func (w fakeGuests) Hosts(_ *inside.Root, first uint32, all []guest.Host) ([]string, error) {
	return nil, w.effect("write names", func() error { w.told[first] = all; w.tellings++; return nil })
}
func (w *world) toldOf(first uint32) []guest.Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[first]
}

// insidePath is the file with what was changed inside the VPS with the ids from first.
// It is not in String, because it ends with the files of the VPS.
func (w *world) insidePath(first uint32) string { return fmt.Sprintf("%s.inside.%d", w.dir, first) }

func (w *world) changedInside(first uint32) string {
	text, _ := os.ReadFile(w.insidePath(first))
	return string(text)
}

func (w fakeGuests) Change(_ context.Context, _ *inside.Root, v vps.VPS, what vps.Inside) (func(*inside.Root) error, error) {
	first := v.IDs.First
	was := w.changedInside(first)
	put := func(text string) error { return os.WriteFile(w.insidePath(first), []byte(text), 0o600) }
	undo := func(*inside.Root) error { return put(was) }
	if err := w.effect("change files inside", func() error { return put(vps.ChangeInside{Inside: what}.String()) }); err != nil {
		return nil, errors.Join(err, undo(nil))
	}
	return undo, nil
}

func (w fakeGuests) MountData(*inside.Process, []rootfs.DataDir) error {
	return w.effect("mount data directories", func() error { return nil })
}
func (w fakeGuests) Devices(_ *inside.Process, first uint32, extra []bundles.Device, _ string) error {
	return w.effect("give devices", func() error { return w.giveDevices(first, extra) })
}
func (w fakeGuests) BootID(*inside.Process, string) error {
	return w.effect("give a boot id", func() error { return nil })
}
func (w fakeGuests) Give(string) error {
	return w.effect("mount what is given", func() error { return nil })
}
func (w fakeGuests) GiveCredentials(string, uint32, map[string][]byte) error {
	return w.effect("give credentials", func() error { return nil })
}
func (w fakeGuests) TakeBack(string) error {
	return w.effect("unmount what is given", func() error { return nil })
}
func (w fakeGuests) KernelLog(*inside.Process, string, uint32) (*os.File, error) {
	return nil, w.effect("give a kernel log", func() error { return nil })
}
func (fakeGuests) HoldKernelLog(*inside.Process) (*os.File, error) { return nil, nil }
func (w fakeGuests) OwnFiles(*inside.Process, uint32, guests.OwnFilesWanted, string) (*guests.OwnFiles, error) {
	return nil, w.effect("give files of its own", func() error { return nil })
}
func (w fakeGuests) GiveAgain(guests.Again, []state.GivenMount) (map[string]string, error) {
	return nil, w.effect("give again", func() error { return nil })
}
func (w fakeGuests) RemovePlaceholders(*inside.Process, []state.GivenMount) error {
	return w.effect("remove placeholders", func() error { return nil })
}
func (fakeGuests) FreeConsole(*os.File) error { return nil }
func (fakeGuests) NewConsole(*inside.Process, uint32, string) (*os.File, error) {
	return os.Open(os.DevNull)
}

// The world's mounts in VPSs. They end with their init. A source whose path has
// "absent" is missing, and a target that has "busy" is in use.

type fakeMounts struct{ *world }

func (fakeMounts) Check(all []mounts.Mount, _ bool) error {
	for _, m := range all {
		if strings.Contains(m.Path, "absent") {
			return fail.New(fail.State, "cannot mount %s: it does not exist", m.Path)
		}
	}
	return nil
}

func (w fakeMounts) Ensure(_ context.Context, g mounts.Guest, all []mounts.Mount) error {
	return w.changeMounts("mount in the VPS", g, func(has []string) []string {
		for _, m := range all {
			if !slices.Contains(has, m.String()) {
				has = append(has, m.String())
			}
		}
		return has
	})
}

func (w fakeMounts) Remove(_ context.Context, g mounts.Guest, m mounts.Mount) error {
	if strings.Contains(m.Target, "busy") {
		return fail.New(fail.Busy, "the mount on %s is in use inside", m.Target)
	}
	return w.changeMounts("unmount in the VPS", g, func(has []string) []string {
		return slices.DeleteFunc(has, func(text string) bool { return text == m.String() })
	})
}

func (w fakeMounts) changeMounts(what string, g mounts.Guest, change func(has []string) []string) error {
	return w.effect(what, func() error {
		pid := strconv.Itoa(g.Process.PID())
		text, _ := os.ReadFile(w.path("mounts", pid))
		all := change(strings.Fields(string(text)))
		return w.set("mounts", pid, strings.Join(all, " "), len(all) > 0)
	})
}

type fakeTemplates struct{}

func (fakeTemplates) Ensure(_ context.Context, ref string) (template.Image, error) {
	return fakeTemplates{}.Resolve(ref)
}
func (fakeTemplates) Resolve(ref string) (template.Image, error) {
	if ref == "absent" {
		return template.Image{}, fail.New(fail.NotFound, "no template %q", ref)
	}
	image := template.Image{Name: ref, Digest: "sha256:00", Layers: []string{"sha256:01"}, Init: "systemd"}
	if ref == "newer" {
		image.Digest, image.Layers = "sha256:10", []string{"sha256:11"}
	}
	return image, nil
}
func (fakeTemplates) List() ([]template.Image, error) { return nil, nil }
func (fakeTemplates) LayerDirs(im template.Image) ([]string, error) {
	return slices.Repeat([]string{"/layer"}, max(len(im.Layers), 1)), nil
}
func (fakeTemplates) Confirm(context.Context, template.Image) error { return nil }
func (fakeTemplates) Remove(context.Context, string, func() (map[string][]string, error)) error {
	return nil
}
func (fakeTemplates) Prune(context.Context, func() (map[string][]string, error)) error { return nil }
func (fakeTemplates) Derive(_ context.Context, _, base string, _ rootfs.Rootfs, _ template.DeriveOptions) (template.Image, error) {
	return fakeTemplates{}.Resolve(base)
}
func (fakeTemplates) Backup(context.Context, string, rootfs.Rootfs, io.Writer, backups.Options) (layer.LeftOut, error) {
	return layer.LeftOut{}, nil
}
func (fakeTemplates) OpenPush(context.Context, string, template.PushOptions) (backups.Target, error) {
	return backups.Target{}, nil
}
func (fakeTemplates) PushBackup(context.Context, string, rootfs.Rootfs, backups.Target, backups.Options) (backups.Pushed, error) {
	return backups.Pushed{}, nil
}
func (fakeTemplates) PullBackup(context.Context, string, template.PullOptions, backups.Use) error {
	return nil
}
func (fakeTemplates) AcceptBackup(string) error                                  { return nil }
func (fakeTemplates) ImportBackup(context.Context, io.Reader, backups.Use) error { return nil }
func (f fakeTemplates) UseBelow(_ context.Context, _ string, n int, u backups.Use) error {
	image, err := f.Resolve("t")
	if err != nil {
		return err
	}
	image.Layers = image.Layers[:n]
	return u.Use(image)
}
func (f fakeTemplates) ImportSystem(_ context.Context, _ template.System, use func(template.Image) error, _ func() (map[string][]string, error)) error {
	image, err := f.Resolve("t")
	if err != nil {
		return err
	}
	return use(image)
}
func (fakeTemplates) HasBlob(string) bool { return false }
func (fakeTemplates) RemoveAbandoned(context.Context, func() (map[string][]string, error)) error {
	return nil
}
func (fakeTemplates) Search(context.Context, string, []string, template.SearchOptions) ([]template.ServerImage, error) {
	return nil, nil
}
func (fakeTemplates) Remotes() ([]template.Remote, error)                    { return nil, nil }
func (fakeTemplates) AddRemote(context.Context, template.Remote, bool) error { return nil }
func (fakeTemplates) RemoveRemote(context.Context, string) error             { return nil }

func (fakeTemplates) Pull(context.Context, string, template.PullOptions) (template.Image, error) {
	return template.Image{}, nil
}
func (fakeTemplates) Tag(_ context.Context, ref, _ string, _ bool) (template.Image, error) {
	return fakeTemplates{}.Resolve(ref)
}
func (fakeTemplates) Untag(context.Context, string) error { return nil }
func (fakeTemplates) Refresh(_ context.Context, name string, _ template.RefreshOptions) (template.Image, error) {
	return fakeTemplates{}.Resolve(name)
}
func (fakeTemplates) Check(_ context.Context, name string, _ template.RefreshOptions) (template.Checked, error) {
	return template.Checked{Name: name, Freshness: template.Current}, nil
}
func (fakeTemplates) Superseded() (map[string]string, error)                           { return nil, nil }
func (fakeTemplates) Push(context.Context, string, string, template.PushOptions) error { return nil }
func (fakeTemplates) Export(context.Context, string, io.Writer, template.ExportOptions) error {
	return nil
}
func (fakeTemplates) Build(context.Context, string, template.BuildOptions) (template.Image, error) {
	return template.Image{}, nil
}
func (fakeTemplates) Import(context.Context, string, io.Reader, template.ImportOptions) (template.Image, error) {
	return template.Image{}, nil
}

// newFake returns a Manager with files and a world in dir.
func newFake(t testing.TB, dir string) (*Manager, *world) {
	t.Helper()
	worldDir := filepath.Join(dir, "world")
	if err := os.MkdirAll(worldDir, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(filepath.Join(dir, "root"), filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	if cwd, err := os.Getwd(); err == nil { // a monitor enters its bundle
		t.Cleanup(func() { _ = os.Chdir(cwd) })
	}
	w := newWorld(worldDir)
	w.ended = func(id string) {
		if run, err := store.Run(vps.Name(id)); err == nil {
			run.State = state.Ended
			_ = store.PutRun(vps.Name(id), run)
		}
	}
	m := &Manager{store: store, templates: fakeTemplates{}, command: "test", warn: func(string) {}, lockWait: time.Second}
	m.machine = machine{
		containers: w, networks: fakeNetworks{w}, rootfses: fakeRootfses{w}, disks: fakeDisks{w}, monitors: fakeMonitors{w, m}, guests: fakeGuests{w}, devices: fakeHostDevices{}, mounts: fakeMounts{w}, criu: fakeCriu{w}, limits: fakeLimits{},
		unused: func(vps.IDRange) error { return nil },
		capacity: func() bundles.Capacity {
			return bundles.Capacity{Tasks: 32768, Memory: 2 << 30, LimitMemory: true, LimitCPU: true, LimitCPUSet: true, LimitIO: true, BFQ: true, CPUs: 2, CPUList: "0-1"}
		},
		cpus: func() hostfacts.CPUs { return hostfacts.CPUs{0: 20, 1: 10} },
		disk: func(device string) (bundles.Disk, error) {
			if device == "/dev/none" {
				return bundles.Disk{}, fail.New(fail.Usage, "no disk")
			}
			return bundles.Disk{Name: "vda", Major: 254, Weighs: true}, nil
		},
		sleep:      func(time.Duration) {},
		trySysctls: func(context.Context, map[string]string, bool) error { return nil },
		host: func() (hostfacts.Facts, error) {
			return hostfacts.Facts{BootID: hostBoot(t), NoFile: 1024, Arch: "amd64"}, nil
		},
		initFile: func(string) (string, error) { return "/holder", nil },
		become: func(string, string, holder.Config) (func() error, error) {
			return func() error { return nil }, nil
		},
		newParcel: func(_ context.Context, _ string, _ rootfs.Rootfs, o backups.Options) (parcel, error) {
			b, err := backupOf(o)
			if err != nil {
				return nil, err
			}
			return &fakeParcel{w: w, has: b, layers: 1}, w.effect("pack", func() error { return nil })
		},
	}
	return m, w
}

func hostBoot(t testing.TB) string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// files prints the files of croft below dir, except those that may always exist.
func files(t testing.TB, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() || strings.HasPrefix(rel, "run/locks") {
			return nil
		}
		lines = append(lines, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// onNetworks are interfaces on networks, for CreateOptions.
func onNetworks(names ...string) []vps.AddInterface {
	var all []vps.AddInterface
	for _, n := range names {
		all = append(all, vps.AddInterface{Network: n})
	}
	return all
}
