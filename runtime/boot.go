package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"croft/bundles"
	"croft/network"
	"croft/template/rootfs"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/consolelog"
	"croft/runtime/firstboot"
	"croft/runtime/holder"
	"croft/runtime/hooks"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/sysctls"
)

// boot starts a VPS from its saved settings. When its init runs, this process
// becomes its holder. So boot returns only on an error, and has undone everything
// then.
func (mon *monitor) boot(ctx context.Context) (err error) {
	v, err := mon.beforeBoot(ctx)
	if err != nil {
		return err
	}
	var steps undo.Stack
	defer steps.OnError(&err)
	steps.Arm(func() error { return mon.sweep(ctx, v) })

	if err := mon.sweepBefore(ctx, v); err != nil {
		return err
	}
	if mon.how != monitorEnded { // at a reboot the ids were in use by this VPS all the time
		if err := mon.unused(v.IDs); err != nil {
			return err
		}
	}
	if err := mon.checkMounts(v); err != nil {
		return err
	}
	if err := mon.networkTables().ClaimMissing(ctx, v); err != nil {
		return err
	}
	started := mon.side(v)
	devices, err := mon.startDevices(v)
	if err != nil {
		return err
	}
	run, log, err := mon.beginRun(v)
	if err != nil {
		return err
	}
	defer log.Close()
	root, err := mon.rootfs(v)
	if err != nil {
		return err
	}
	steps.Arm(func() error { return mon.rootfses.Unmount(root) })
	if err := mon.rootfses.Mount(root); err != nil {
		return err
	}
	files, err := mon.guests.Open(root.Target)
	if err != nil {
		return err
	}
	defer files.Close()
	cpus, err := mon.cpusAtStart(ctx, v)
	if err != nil {
		return err
	}
	if saved, ok, err := mon.store.Checkpoint(v.Name); err != nil || ok && mon.how != monitorEnded {
		if err != nil {
			return err
		}
		return mon.bootSaved(ctx, &steps, &begun{v, run, log, root, files, devices, cpus}, saved)
	}
	spec, err := mon.prepare(v, root, files, devices, cpus)
	if err != nil {
		return err
	}
	if err := mon.mountGiven(&steps, v); err != nil {
		return err
	}
	held, err := mon.listen(v.Name)
	if err != nil {
		return err
	}
	defer held.close()
	if err := mon.inScope(); err != nil {
		return err
	}
	waiting, err := mon.containers.Create(string(v.Name), spec, oomScore(v))
	if err != nil {
		return classifyStart(v.Name, err)
	}
	held.master = waiting.Console
	if err := mon.guests.FreeConsole(waiting.Console); err != nil {
		return err
	}
	if run.Init, err = observe.ProcessOf(waiting.PID); err != nil {
		return err
	}
	init, err := inside.OpenProcess(run.Init.PID, run.Init.StartTime)
	if err != nil {
		return err
	}
	defer init.Close()
	if err := mon.giveDevices(v, init, devices); err != nil {
		return err
	}
	if err := mon.mountData(root, init); err != nil {
		return err
	}
	if err := mon.mountAll(ctx, v, init); err != nil {
		return err
	}
	if err := mon.plugIn(ctx, v, init.Identity()); err != nil {
		return err
	}
	if err := mon.newBootID(init); err != nil {
		return err
	}
	if err := mon.giveOwnFiles(v, init, held); err != nil {
		return err
	}
	if err := mon.guests.TakeBack(paths.GivenDir(mon.store, v.Name)); err != nil {
		return err
	}
	if err := mon.setUserSysctls(v, spec); err != nil {
		return err
	}
	run.State = state.Running
	if err := mon.store.PutRun(v.Name, run); err != nil {
		return err
	}
	if err := mon.names().AtStart(ctx, v, files); err != nil {
		return err
	}
	runner, err := mon.openRunner(v)
	if err != nil {
		return err
	}
	hold, err := mon.prepareHolder(v, held, holder.Config{Init: waiting.PID, PIDFD: holder.None, Runner: runner, Log: log.Name(),
		Hello: fmt.Sprintf("croft: VPS %s has started (boot %d)", v.Name, run.Boot)})
	if err != nil {
		return err
	}
	if err := mon.markRunning(&steps); err != nil {
		return err
	}
	if mon.changedSince(started) {
		return errChanged
	}
	if mon.how == monitorEnded && mon.askedToStop() {
		return fail.New(fail.State, "%s was asked to stop while it rebooted", v.Name)
	}
	if err := mon.containers.StartInit(string(v.Name)); err != nil {
		return err
	}
	mon.log.Printf("init runs (boot %d)", run.Boot)
	mon.tellStarted(v, run)
	if mon.how == monitorEnded {
		if err := mon.hooksApart(v); err != nil {
			mon.warn(err.Error())
		}
	}
	if firstboot.Waits(mon.store.VPSDir(v.Name)) {
		if err := mon.monitors.FirstBoot(v.Name); err != nil {
			mon.warn(fmt.Sprintf("%s: its first-boot script does not run: %v", v.Name, err))
		}
	}
	mon.tell(nil)
	return hold()
}

// errChanged is the error of a boot during which a command has changed the settings of
// the VPS. A boot after it has all that was changed.
var errChanged = errors.New("its settings have changed while it started")

// changedSince reports whether the VPS would be started in another way than started says.
// The record says already that the VPS runs. So a command that saves settings after
// this look finds the VPS, and changes it.
func (mon *monitor) changedSince(started side) bool {
	v, err := mon.store.Get(mon.name)
	return err == nil && !mon.side(v).StartsAs(started.VPS)
}

// beforeBoot returns the settings with which the VPS starts. It runs the hooks that come
// before a start, unless a command has done that.
func (mon *monitor) beforeBoot(ctx context.Context) (vps.VPS, error) {
	v, err := mon.store.Get(mon.name)
	if err == nil {
		err = mon.checkHere(mon.name)
	}
	if err != nil || mon.how != monitorEnded {
		return v, err
	}
	if err := mon.runHooks(ctx, hooks.PreStart, v); err != nil {
		return v, err
	}
	return mon.store.Get(mon.name) // a hook may have changed them
}

// sweepBefore removes what a killed monitor has left. At a reboot it only logs an
// error: if something is really in the way, a later step fails.
func (mon *monitor) sweepBefore(ctx context.Context, v vps.VPS) error {
	err := mon.sweep(ctx, v)
	if err != nil && mon.how == monitorEnded {
		mon.log.Printf("warning: %v", err)
		return nil
	}
	return err
}

// beginRun records that the VPS starts, and creates the console log of this boot.
func (mon *monitor) beginRun(v vps.VPS) (state.Run, *os.File, error) {
	defer trace.Span("record the start")()
	host, err := mon.host()
	if err != nil {
		return state.Run{}, nil, err
	}
	me, err := observe.ProcessOf(os.Getpid())
	if err != nil {
		return state.Run{}, nil, err
	}
	logs, err := consolelog.Open(mon.store.LogDir(mon.name))
	if err != nil {
		return state.Run{}, nil, err
	}
	boot := logs.Next()
	file, err := logs.Begin(boot)
	if err != nil {
		return state.Run{}, nil, err
	}
	if err := mon.store.PutDeferred(v.Name, nil); err != nil { // it starts with all saved settings
		file.Close()
		return state.Run{}, nil, err
	}
	settings := v.StartSettings()
	run := state.Run{Schema: state.Schema, HostBoot: host.BootID, Settings: &settings, State: state.Starting, Boot: boot,
		Started: time.Now().UTC(), Monitor: me, ConsoleAt: filepath.Base(file.Name())}
	if mon.how == monitorEnded {
		run.Restarts = mon.lastRun().Restarts
		run.Restarts.At = nil
	}
	if err := mon.store.PutRun(mon.name, run); err != nil {
		file.Close()
		return state.Run{}, nil, err
	}
	return run, file, nil
}

// plugIn gives the VPS its interfaces, before its init runs.
func (m *Manager) plugIn(ctx context.Context, v vps.VPS, init inside.Identity) error {
	defer trace.Span("give interfaces")()
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	if err := m.startFirewall(ctx, v, init); err != nil { // before a link is up
		return err
	}
	var plans []network.Plan
	for _, p := range plugs {
		t, err := m.networkTables().Get(p.Plan.Network) // with the ports of all
		if err != nil {
			return err
		}
		if err := m.networks.EnsureAtStart(ctx, t); err != nil {
			return err
		}
		if err := m.networks.PinNamespace(p.Plan, init, paths.KeptNamespace(m.store, v.Name)); err != nil {
			return err
		}
		if err := m.networks.Plug(ctx, p.Plan, init); err != nil {
			return err
		}
		plans = append(plans, p.Plan)
	}
	m.noteFilters(v.Name, plans)
	if err := m.startRoutes(v, plans, init); err != nil {
		return err
	}
	return m.publishAtStart(ctx, v)
}

// startFirewall gives a VPS that starts its firewall.
func (m *Manager) startFirewall(ctx context.Context, v vps.VPS, init inside.Identity) error {
	if f := v.Firewall; f.Any() {
		return m.networks.SetFirewall(ctx, f, init)
	}
	return nil
}

// startRoutes gives a VPS that starts its routes. A route that the kernel rejects
// is a warning, because addresses and networks may have changed since it was
// added, and the VPS starts without it.
func (m *Manager) startRoutes(v vps.VPS, plans []network.Plan, init inside.Identity) error {
	all := v.Routing
	if !all.Any() {
		return nil
	}
	if err := m.networks.SetRouting(all, plans, init); err == nil {
		return nil
	}
	kept := vps.Routing{Rules: all.Rules}
	for n, r := range all.Routes {
		next := kept
		next.Routes = append(slices.Clip(kept.Routes), r)
		err := m.networks.SetRouting(next, plans, init)
		switch {
		case err == nil:
			kept = next
		case fail.Is(err, fail.State):
			m.warn(fmt.Sprintf("%s starts without a route that it cannot have: %v (croft route %s remove %d)", v.Name, err, v.Name, n+1))
		default:
			return err
		}
	}
	return m.networks.SetRouting(kept, plans, init)
}

// giveDevices gives v, whose init is p, its own device nodes, with the devices of
// startDevices. No-op for a privileged VPS, whose container is made with them.
func (mon *monitor) giveDevices(v vps.VPS, p *inside.Process, devices []bundles.Device) error {
	defer trace.Span("give devices")()
	if v.IDs.Size == 0 {
		return nil
	}
	host, err := mon.host()
	if err != nil {
		return err
	}
	return mon.guests.Devices(p, v.IDs.First, append(host.Devices, devices...), mon.store.RunDir(v.Name))
}

// mountData mounts the data directories of root in the VPS whose init is p.
func (mon *monitor) mountData(root rootfs.Rootfs, p *inside.Process) error {
	defer trace.Span("mount data directories")()
	dirs, err := mon.rootfses.DataDirs(root)
	if err != nil {
		return err
	}
	defer func() {
		for _, d := range dirs {
			d.Tree.Close()
		}
	}()
	return mon.guests.MountData(p, dirs)
}

// mountGiven makes the filesystem for the files that the VPS gets from the host.
// It stays mounted in this monitor's mount namespace until the VPS has the files.
func (mon *monitor) mountGiven(steps *undo.Stack, v vps.VPS) error {
	defer trace.Span("mount the files that the host gives")()
	dir := paths.GivenDir(mon.store, mon.name)
	if err := makeGivenDir(dir); err != nil {
		return err
	}
	steps.Arm(func() error { return mon.guests.TakeBack(dir) })
	if err := mon.guests.Give(dir); err != nil {
		return err
	}
	return mon.giveCredentials(v)
}

// makeGivenDir creates the directory dir on which guests.Give mounts. No-op if it
// exists.
func makeGivenDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	return nil
}

// newBootID gives the VPS whose init is p a new boot id.
func (mon *monitor) newBootID(p *inside.Process) error {
	file := paths.BootID(mon.store, mon.name)
	if err := os.WriteFile(file, []byte(uuid.NewString()+"\n"), 0o444); err != nil {
		return fmt.Errorf("make boot id: %w", err)
	}
	return mon.guests.BootID(p, file)
}

// setUserSysctls sets the sysctls of v that belong to its user namespace. The init
// of v waits, so no program of the VPS runs yet. The command is croft itself: the
// process that libcontainer makes inside has it as /proc/self/exe.
func (m *Manager) setUserSysctls(v vps.VPS, spec *specs.Spec) error {
	defer trace.Span("set sysctls of the user namespace")()
	args := sysctls.Arguments(v.Sysctls, vps.OfUserNamespace)
	if len(args) == 0 {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	resource := []string{"CAP_SYS_RESOURCE"} // also if init does not have it
	r, err := m.containers.Exec(string(v.Name), &specs.Process{
		Args: append([]string{"/proc/self/exe", sysctls.Command}, args...), Cwd: "/",
		Capabilities: &specs.LinuxCapabilities{Bounding: resource, Effective: resource, Permitted: resource},
	}, [3]*os.File{nil, write, nil})
	write.Close()
	if err != nil {
		return fmt.Errorf("set sysctls: %w", err)
	}
	status, err := r.Wait()
	if err != nil || status == 0 {
		return err
	}
	why := make([]byte, 256)
	n, _ := read.Read(why)
	return fail.New(fail.Host, "cannot set sysctl %s", why[:n])
}

// markRunning records that the VPS should run, before it runs. A start that fails
// undoes that, unless it was recorded before.
func (mon *monitor) markRunning(steps *undo.Stack) error {
	is, err := mon.store.ShouldRun(mon.name)
	if err != nil || is {
		return err
	}
	steps.Arm(func() error { return mon.store.UnmarkRunning(mon.name) })
	return mon.store.MarkRunning(mon.name)
}

// held has the files that the holder keeps open for a VPS.
type held struct {
	notify    *os.File
	console   *os.File
	master    *os.File
	kernelLog *os.File // nil if the kernel has no /proc/kmsg
	alarm     *os.File // of container.Watched; may be nil
	disk      *os.File // with the own files; nil without a limit
	own       *ownFiles
}

func (h *held) close() {
	if h.own != nil {
		h.own.Close()
	}
	for _, f := range []*os.File{h.notify, h.console, h.master, h.kernelLog, h.alarm, h.disk} {
		if f != nil {
			f.Close()
		}
	}
}

// listen creates the sockets at which the VPS and clients of its console reach the
// holder.
func (m *Manager) listen(name vps.Name) (_ *held, err error) {
	h := &held{}
	if err := makeGivenDir(paths.GivenDir(m.store, name)); err != nil { // a VPS of an older croft does not have it
		return nil, err
	}
	if h.notify, err = holder.ListenNotify(paths.NotifySocket(m.store, name)); err != nil {
		return nil, err
	}
	if h.console, err = holder.ListenConsole(paths.ConsoleSocket(m.store, name)); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// classifyStart classifies the error of a container that could not be created.
func classifyStart(name vps.Name, err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fail.New(fail.Host, "start %s: %w", name, err)
	}
	return fmt.Errorf("start %s: %w", name, err)
}
