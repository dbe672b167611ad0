package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/holder"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// prepareHolder returns a function that turns this process into the holder of v, with c
// and the files in h. Everything that can fail is done before it returns.
func (mon *monitor) prepareHolder(v vps.VPS, h *held, c holder.Config) (func() error, error) {
	defer trace.Span("prepare the holder")()
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find croft's own binary: %w", err)
	}
	fd := func(f *os.File) int {
		if f == nil {
			return holder.None
		}
		return int(f.Fd())
	}
	c.Booted, c.Filters, c.Exec = paths.Booted(mon.store, mon.name), paths.Filters(mon.store, mon.name), self
	c.Life, c.Notify, c.Console, c.Master = fd(mon.life), fd(h.notify), fd(h.console), fd(h.master)
	c.KernelLog = fd(h.kernelLog)
	c.Owner, c.IDs = int(v.IDs.First), int(v.IDs.Size)
	if err := mon.holderEvents(v, h, &c); err != nil {
		return nil, err
	}
	if h.own == nil || !h.own.messages {
		c.Hello = ""
	}
	if own := h.own; own != nil {
		c.Files, c.Cgroups = holder.Files{FD: fd(own.Server), Tasks: fd(own.Tasks)}, own.cgroups
	}
	c.Argv = mon.arguments(monitorEnded)
	return mon.become(mon.store.BinDir(), holderTitle(mon.name), c)
}

// holderTitle returns the name of a VPS's holder in ps(1).
func holderTitle(name vps.Name) string { return "croft: " + string(name) }

func becomeHolder(binDir, title string, c holder.Config) (func() error, error) {
	path, err := holder.Install(binDir)
	if err != nil {
		return nil, err
	}
	return func() error {
		trace.End() // it is of the start
		return holder.Exec(path, title, c)
	}, nil
}

// adopt becomes the holder of a running VPS whose monitor was killed. The VPS gets a
// new console, because the old one ended with the monitor. If a console cannot be
// mounted inside, that is a warning: the VPS gets a monitor anyway.
func (mon *monitor) adopt() error {
	v, err := mon.store.Get(mon.name)
	if err != nil {
		return err
	}
	run, err := mon.store.Run(mon.name)
	if err != nil {
		return err
	}
	init, err := inside.OpenProcess(run.Init.PID, run.Init.StartTime)
	if errors.Is(err, inside.ErrGone) {
		return fail.New(fail.State, "%s has just ended", v.Name)
	}
	if err != nil {
		return err
	}
	defer init.Close()
	h, err := mon.listen(v.Name)
	if err != nil {
		return err
	}
	defer h.close()
	if h.master, err = mon.guests.NewConsole(init, v.IDs.First, filepath.Dir(paths.ConsoleSocket(mon.store, v.Name))); err != nil {
		mon.warn(fmt.Sprintf("%s has no console until its next start: %v", v.Name, err))
	}
	if h.kernelLog, err = mon.guests.HoldKernelLog(init); err != nil {
		mon.warn(fmt.Sprintf("%s: %v", v.Name, err))
	}
	messages := h.kernelLog == nil && run.Settings != nil && !run.Settings.NoDmesg
	if h.own, err = mon.renewOwnFiles(v, init.Identity(), messages); err != nil {
		mon.warn(fmt.Sprintf("%s does not see all of its own memory and CPUs until its next start: %v", v.Name, err))
	}
	if err := mon.keepLinks(v, init); err != nil {
		mon.warn(fmt.Sprintf("%s: %v", v.Name, err))
	}
	if s := mon.side(v); s.err == nil {
		mon.noteFilters(v.Name, tables.PlansOf(s.plugs))
	}
	if run.Monitor, err = observe.ProcessOf(os.Getpid()); err != nil {
		return err
	}
	run.Adopted = true
	if err := mon.store.PutRun(v.Name, run); err != nil {
		return err
	}
	runner, err := mon.openRunner(v)
	if err != nil {
		return err
	}
	hold, err := mon.prepareHolder(v, h, holder.Config{Init: run.Init.PID, PIDFD: init.FD(), Runner: runner, Adopted: true,
		Hello: fmt.Sprintf("croft: VPS %s has a new monitor", v.Name),
		Log:   filepath.Join(mon.store.LogDir(v.Name), run.ConsoleAt)})
	if err != nil {
		return err
	}
	mon.warn(fmt.Sprintf("%s: its monitor was killed; it has a new one", v.Name))
	mon.event(v, events.Adopted)
	mon.tell(nil)
	return hold()
}

// keepLinks makes the network namespace of v, whose init is p, outlive v if it has
// links of the host.
func (mon *monitor) keepLinks(v vps.VPS, p *inside.Process) error {
	plugs, err := mon.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	for _, plug := range plugs {
		if err := mon.networks.PinNamespace(plug.Plan, p.Identity(), paths.KeptNamespace(mon.store, v.Name)); err != nil {
			return err
		}
	}
	return nil
}
