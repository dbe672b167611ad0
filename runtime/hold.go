package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/runtime/holder"
)

// holder prepares to become the holder of what c says, with the descriptors of
// h. All that can fail before init runs has been done when it returns.
func (mon *monitor) holder(h *held, c holder.Config) (func() error, error) {
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
	c.Booted, c.Exec = bootedFile(mon.store, mon.name), self
	c.Life, c.Notify, c.Console, c.Master = fd(mon.life), fd(h.notify), fd(h.console), fd(h.master)
	c.Argv = []string{"croft", MonitorCommand, mon.name, string(monitorEnded), mon.store.Root, mon.store.RunRoot, mon.cgroups}
	return mon.become(mon.store.BinDir(), "croft: "+mon.name, c)
}

func becomeHolder(binDir, title string, c holder.Config) (func() error, error) {
	path, err := holder.Install(binDir)
	if err != nil {
		return nil, err
	}
	return func() error { return holder.Exec(path, title, c) }, nil
}

// adopt becomes the holder of a running VPS whose monitor was killed. The
// console went with that one: the VPS gets a new one.
func (mon *monitor) adopt() error {
	v, err := mon.store.Get(mon.name)
	if err != nil {
		return err
	}
	run, err := mon.store.Run(mon.name)
	if err != nil {
		return err
	}
	h, err := mon.listen(v.Name)
	if err != nil {
		return err
	}
	defer h.close()
	if h.master, err = mon.guests.NewConsole(run.Init.PID, v.IDs.First); err != nil {
		return err
	}
	plugs, err := mon.plugs(v)
	if err != nil {
		return err
	}
	for _, p := range plugs {
		if err := mon.networks.Keep(p.plan, run.Init.PID, keptNamespace(mon.store, v.Name)); err != nil {
			return err
		}
	}
	if run.Monitor, err = processOf(os.Getpid()); err != nil {
		return err
	}
	run.Adopted = true
	if err := mon.store.PutRun(v.Name, run); err != nil {
		return err
	}
	init, err := unix.PidfdOpen(run.Init.PID, 0)
	if err != nil || !alive(run.Init) { // asked once the pid cannot be anybody else's
		return fail.New(fail.State, "%s has just ended", v.Name)
	}
	hold, err := mon.holder(h, holder.Config{Init: run.Init.PID, PIDFD: init, Adopted: true,
		Log: filepath.Join(mon.store.LogDir(v.Name), run.ConsoleAt)})
	if err != nil {
		return err
	}
	mon.warn(fmt.Sprintf("%s: its monitor was killed; it has a new one", v.Name))
	mon.say(nil)
	return hold()
}
