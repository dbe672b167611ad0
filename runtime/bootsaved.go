package runtime

import (
	"context"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/checkpoint"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// begun is what boot has when it knows whether it starts init or restores processes.
type begun struct {
	v       vps.VPS
	run     state.Run
	log     *os.File
	root    rootfs.Rootfs
	files   *inside.Root
	devices []bundles.Device
	cpus    string
}

// bootSaved is the rest of boot for a VPS with a checkpoint. criu makes its processes, its
// namespaces and its mounts. It does not touch the files of the VPS before that. On an error
// the checkpoint is as before.
func (mon *monitor) bootSaved(ctx context.Context, steps *undo.Stack, b *begun, c state.Checkpoint) error {
	spec, err := mon.specAgain(b)
	if err != nil {
		return err
	}
	if err := mon.mountGiven(steps, b.v); err != nil {
		return err
	}
	id := strings.TrimSpace(c.BootID) + "\n"
	if err := os.WriteFile(paths.BootID(mon.store, mon.name), []byte(id), 0o444); err != nil {
		return fmt.Errorf("make boot id: %w", err)
	}
	held, err := mon.listen(mon.name)
	if err != nil {
		return err
	}
	defer held.close()
	sources, err := mon.giveAgain(steps, b, c)
	if err != nil {
		return err
	}
	if err := mon.inScope(); err != nil {
		return err
	}
	var hold func() error
	err = mon.containers.Restore(string(mon.name), spec, oomScore(b.v), func(place func(int) error) (int, error) {
		made, err := mon.criu.Restore(ctx, checkpoint.Restore{
			Dir: state.ImagesDir(mon.store.CheckpointDir(mon.name)), Root: b.root.Target, Given: sources, Place: place,
			Linked: func(pid int) error { return mon.linkSaved(ctx, b.v, c, pid) },
			Ready: func(made checkpoint.Restored) (err error) {
				hold, err = mon.readySaved(ctx, steps, b, c, held, made)
				return err
			},
		})
		return made.PID, err
	})
	if err != nil {
		return cannotRestore(err)
	}
	if err := mon.setUserSysctls(b.v, spec); err != nil {
		mon.warn(err.Error()) // its processes run
	}
	if err := mon.store.RemoveCheckpoint(mon.name); err != nil {
		mon.warn(err.Error())
	}
	mon.log.Printf("restored from a checkpoint of %s (boot %d)", c.Time.Format("2006-01-02 15:04:05"), b.run.Boot)
	mon.tellStarted(b.v, b.run)
	mon.tell(nil)
	return hold()
}

// specAgain returns the specification of a VPS that is restored.
func (mon *monitor) specAgain(b *begun) (*specs.Spec, error) {
	host, err := mon.host()
	if err != nil {
		return nil, err
	}
	if err := mon.checkPassable(b.v); err != nil {
		return nil, err
	}
	return mon.writeBundle(b.v, b.root, b.files, host, mon.guests.FindInit(b.files), b.cpus)
}

// giveAgain puts together what the VPS had from the host, by mount points.
func (mon *monitor) giveAgain(steps *undo.Stack, b *begun, c state.Checkpoint) (map[string]string, error) {
	host, err := mon.host()
	if err != nil {
		return nil, err
	}
	data, err := mon.rootfses.DataDirs(b.root)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, d := range data {
			d.Tree.Close()
		}
	}()
	init, err := mon.initFile(mon.store.BinDir())
	if err != nil {
		return nil, err
	}
	steps.Arm(func() error { return mon.guests.TakeBack(mon.store.AgainDir()) })
	return mon.guests.GiveAgain(guests.Again{Dir: mon.store.AgainDir(), Given: paths.GivenDir(mon.store, mon.name),
		First: b.v.IDs.First, Devices: append(host.Devices, b.devices...), Init: init, Data: data}, c.Given)
}

// linkSaved gives a VPS its network, when it has only an init, which waits for criu.
func (mon *monitor) linkSaved(ctx context.Context, v vps.VPS, c state.Checkpoint, pid int) error {
	init, err := observe.ProcessOf(pid)
	if err != nil {
		return err
	}
	if err := mon.plugIn(ctx, v, inside.Identity(init)); err != nil {
		return err
	}
	refused, err := mon.networks.SetSysctls(c.Sysctls, inside.Identity(init))
	if len(refused) > 0 {
		mon.warn(fmt.Sprintf("%s: the kernel refuses the former values of %s", v.Name, strings.Join(refused, ", ")))
	}
	return err
}

// readySaved does what comes before the processes of a restored VPS run. The result makes
// this process the holder.
func (mon *monitor) readySaved(ctx context.Context, steps *undo.Stack, b *begun, c state.Checkpoint, h *held, made checkpoint.Restored) (func() error, error) {
	var err error
	if b.run.Init, err = observe.ProcessOf(made.PID); err != nil {
		return nil, err
	}
	init, err := inside.OpenProcess(b.run.Init.PID, b.run.Init.StartTime)
	if err != nil {
		return nil, err
	}
	defer init.Close()
	if err := mon.guests.RemovePlaceholders(init, c.Given); err != nil {
		return nil, err
	}
	if err := mon.giveOwnFiles(b.v, init, h); err != nil {
		return nil, err
	}
	for _, dir := range []string{paths.GivenDir(mon.store, mon.name), mon.store.AgainDir()} {
		if err := mon.guests.TakeBack(dir); err != nil {
			return nil, err
		}
	}
	if h.master = made.Console; h.master == nil { // no process had it open
		if h.master, err = mon.guests.NewConsole(init, b.v.IDs.First, mon.store.RunDir(mon.name)); err != nil {
			return nil, err
		}
	}
	b.run.State = state.Running
	if err := mon.store.PutRun(mon.name, b.run); err != nil {
		return nil, err
	}
	if err := mon.names().AtStart(ctx, b.v, b.files); err != nil {
		return nil, err
	}
	runner, err := mon.openRunner(b.v)
	if err != nil {
		return nil, err
	}
	hold, err := mon.prepareHolder(b.v, h, holder.Config{Init: made.PID, PIDFD: holder.None, Runner: runner, Log: b.log.Name(),
		Hello: fmt.Sprintf("croft: VPS %s has been restored from a checkpoint", mon.name)})
	if err != nil {
		return nil, err
	}
	return hold, mon.markRunning(steps)
}
