package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/checkpoint"
	"croft/runtime/endreason"
	"croft/runtime/events"
	"croft/runtime/hooks"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/tables"
	"croft/template/rootfs"
)

// Checkpoint saves the processes of a running VPS to files and ends the VPS. The next start
// makes the processes again. On an error the VPS runs on, as before. It is fail.State if
// name does not run or has something that cannot be saved, and fail.Host if criu is missing
// or does not work here.
func (m *Manager) Checkpoint(ctx context.Context, name vps.Name) error {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	seen, c, err := m.savableNow(ctx, v)
	if err != nil {
		return err
	}
	return m.checkpointLocked(ctx, l, v, seen, c)
}

// savableNow is fail.State if the locked VPS v does not run or cannot be saved. It returns
// what a checkpoint has besides the processes.
func (m *Manager) savableNow(ctx context.Context, v vps.VPS) (seen observe.Observation, c state.Checkpoint, err error) {
	if seen, err = m.observe(v.Name); err != nil {
		return seen, c, err
	}
	if !seen.Alive || !seen.Monitored {
		return seen, c, m.observer().NotRunning(v.Name)
	}
	c, err = m.checkSavable(ctx, v, seen)
	return seen, c, err
}

// checkpointLocked saves the processes of v as savableNow has seen them.
func (m *Manager) checkpointLocked(ctx context.Context, l *state.Locked, v vps.VPS, seen observe.Observation, c state.Checkpoint) error {
	name := v.Name
	if err := m.runHooks(ctx, hooks.PreStop, v); err != nil {
		return err
	}
	if err := m.save(ctx, v, seen, c); err != nil {
		return err
	}
	m.unmarkRunning(name)
	life, err := l.WaitLife(context.WithoutCancel(ctx)) // its monitor removes what it has left
	if err != nil {
		return err
	}
	m.unmarkRunning(name)
	state.ReleaseLife(life)
	m.event(v, events.Checkpointed)
	m.afterStop(ctx, v)
	return nil
}

// checkSavable returns what a checkpoint of v has besides the processes.
func (m *Manager) checkSavable(ctx context.Context, v vps.VPS, seen observe.Observation) (state.Checkpoint, error) {
	frozen, err := m.containers.Frozen(string(v.Name))
	if err == nil && frozen {
		err = fail.New(fail.State, "it is paused").WithHint("croft resume %s", v.Name)
	}
	if err == nil {
		err = savable(v)
	}
	if err == nil && initkind.Of(proc.Executable(seen.Init().PID)) == initkind.Systemd {
		err = fail.New(fail.State, "its init is systemd: croft does not save its mounts and the namespaces of its services")
	}
	if err != nil {
		return state.Checkpoint{}, err
	}
	version, err := m.criu.Check(ctx)
	if err == nil && v.IDs.Size > 0 {
		err = m.criu.CheckLimits()
	}
	if err != nil {
		return state.Checkpoint{}, err
	}
	c := state.Checkpoint{Time: time.Now().UTC(), VPS: v, Criu: version.String(), Kernel: kernelRelease()}
	if err := m.checkNetwork(ctx, v, seen.Init(), &c); err != nil {
		return state.Checkpoint{}, err
	}
	pids, err := m.containers.Processes(string(v.Name))
	if err != nil {
		return state.Checkpoint{}, err
	}
	c.BootID, err = bootIDOf(seen.Init())
	if err == nil {
		c.Given, err = m.criu.CheckVPS(seen.Init(), pids, dataPaths())
	}
	return c, err
}

// dataPaths returns the data directories of a VPS.
func dataPaths() []string {
	all := rootfs.DataPaths()
	for n := range all {
		all[n] = "/" + all[n]
	}
	return all
}

func kernelRelease() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // it cannot fail
	return unix.ByteSliceToString(u.Release[:])
}

// savable is fail.State if v has settings with which it cannot be saved or restored.
func savable(v vps.VPS) error {
	for what, has := range map[string]bool{
		"mounts of the host (croft set --mount)": len(v.Mounts) > 0,
		"devices of the host":                    len(v.Devices) > 0,
		"a disk limit, and so a disk image":      v.Disk.Image != "",
		"firewall rules of croft firewall":       v.Firewall.Any(),
		"routes of croft route":                  v.Routing.Any(),
	} {
		if has {
			return fail.New(fail.State, "it has %s: croft does not save a VPS with them", what)
		}
	}
	if v.Ephemeral {
		return fail.New(fail.State, "it belongs to a croft run, which would remove it")
	}
	return nil
}

// checkNetwork is fail.State if the network of v, whose init is given, cannot be made again
// from its settings. The rest of it goes into c.
func (m *Manager) checkNetwork(ctx context.Context, v vps.VPS, init inside.Identity, c *state.Checkpoint) error {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	plans := tables.PlansOf(plugs)
	for _, p := range plans {
		if p.Mode == network.ModeMACVLAN || p.Mode == network.ModePhysical {
			return fail.New(fail.State, "its interface %s has mode %s: croft does not save that", p.Interface, p.Mode)
		}
	}
	if err := m.networks.CheckOwnSetup(ctx, plans, init); err != nil {
		return err
	}
	c.Sysctls, err = m.networks.Sysctls(init)
	return err
}

// bootIDOf reads the boot id that the VPS with this init sees.
func bootIDOf(init inside.Identity) (string, error) {
	return inside.Look(context.Background(), init, func(root *inside.Root) (string, error) {
		text, err := root.Read("/proc/sys/kernel/random/boot_id", 64)
		return string(text), err
	})
}

// save writes the checkpoint of v and ends v. On an error v runs on, and there is no
// checkpoint.
func (m *Manager) save(ctx context.Context, v vps.VPS, seen observe.Observation, c state.Checkpoint) (err error) {
	var steps undo.Stack
	defer steps.OnError(&err)
	root, err := m.rootfs(v)
	if err != nil {
		return err
	}
	dirs, err := m.containers.Cgroups(string(v.Name))
	if err != nil {
		return err
	}
	steps.Arm(func() error { return m.store.RemoveCheckpoint(v.Name) })
	draft, err := m.store.DraftCheckpoint(v.Name)
	if err != nil {
		return err
	}
	steps.Arm(func() error { return removeIfThere(paths.StopRequest(m.store, v.Name)) })
	if err := requestStop(m.store, v.Name); err != nil {
		return err
	}
	// If this process and criu are killed, the next command thaws the VPS.
	steps.Arm(func() error { return m.thawFrozen(v.Name) })
	if err := os.WriteFile(paths.Frozen(m.store, v.Name), nil, 0o600); err != nil {
		return fmt.Errorf("cannot freeze %s: %w", v.Name, err)
	}
	kept := false
	err = m.criu.Dump(context.WithoutCancel(ctx), checkpoint.Dump{
		Dir: state.ImagesDir(draft), Init: seen.Init().PID, Given: mountPoints(c.Given), Freezer: freezer(dirs),
		Written: func() (err error) {
			if c.Files, err = m.rootfses.Digest(root); err != nil {
				return err
			}
			err = m.store.KeepCheckpoint(v.Name, c)
			kept = err == nil
			return err
		},
	})
	if err != nil && (!kept || observe.Alive(state.Process(seen.Init()))) {
		return err
	}
	return removeIfThere(paths.Frozen(m.store, v.Name))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func mountPoints(given []state.GivenMount) []string {
	all := make([]string, len(given))
	for n, g := range given {
		all[n] = g.At
	}
	return all
}

// freezer returns the cgroup that freezes processes, of those with these directories by
// their controllers.
func freezer(dirs map[string]string) string {
	if dir := dirs["freezer"]; dir != "" {
		return dir
	}
	return dirs[""]
}

// checkRestorable is fail.State if v has a checkpoint from which it cannot start any more,
// and fail.Host if criu cannot.
func (m *Manager) checkRestorable(ctx context.Context, v vps.VPS) error {
	c, ok, err := m.store.Checkpoint(v.Name)
	if err == nil && !ok {
		return nil
	}
	if err == nil && !c.VPS.StartsAs(v) {
		err = fail.New(fail.State, "its settings have changed since")
	}
	if err == nil {
		_, err = m.criu.Check(ctx)
	}
	if err == nil {
		err = m.checkFiles(v, c)
	}
	if err != nil {
		return cannotRestore(err)
	}
	return nil
}

// cannotRestore is the error of a start from a checkpoint. Only the user decides that the
// checkpoint is lost.
func cannotRestore(err error) error {
	err = fmt.Errorf("its checkpoint cannot be used: %w", err)
	if fail.HintOf(err) != "" {
		return err
	}
	return fail.New(fail.KindOf(err), "%w", err).WithHint("croft help start")
}

// checkFiles is fail.State if the files of v are not those of the checkpoint.
func (m *Manager) checkFiles(v vps.VPS, c state.Checkpoint) error {
	root, err := m.rootfs(v)
	if err != nil {
		return err
	}
	files, err := m.rootfses.Digest(root)
	if err == nil && files != c.Files {
		err = fail.New(fail.State, "its files have changed since")
	}
	return err
}

// discardCheckpoint removes the checkpoint of name, which the caller has locked, for a
// start that boots. No-op without one.
func (m *Manager) discardCheckpoint(name vps.Name) error {
	seen, err := m.observe(name)
	if err != nil || seen.Runs() {
		return err // the start says that
	}
	return m.store.RemoveCheckpoint(name)
}

// dropOldCheckpoint removes the checkpoint of a VPS that runs: it has been restored, or a
// killed command has not ended it. No-op for other VPSs.
func (m *Manager) dropOldCheckpoint(name vps.Name) error {
	if !paths.Exists(m.store.CheckpointDir(name)) {
		return nil
	}
	seen, err := m.observe(name)
	if err != nil || !seen.Alive {
		return err
	}
	return m.store.RemoveCheckpoint(name)
}

// dropCheckpointAfter removes the checkpoint of a VPS that has ended in another way than by
// Checkpoint: it has run on after that.
func (mon *monitor) dropCheckpointAfter(end state.End) error {
	if mon.askedToStop() && endreason.WasKilled(end) {
		return nil
	}
	return mon.store.RemoveCheckpoint(mon.name)
}
