package container

import (
	"fmt"
	"os"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/inherited"
	"croft/internal/nsthread"
)

// Exec runs a command in the running container id, connected to the pipes stdio
// unless spec asks for a terminal. The command's user owns them afterwards. Its
// capabilities and limits are those that spec names.
func (e Engine) Exec(id string, spec *specs.Process, stdio [3]*os.File) (_ *Running, err error) {
	c, err := e.load(id)
	if err != nil {
		return nil, err
	}
	cgroups, err := besideInit(c.lc)
	if err != nil {
		return nil, err
	}
	streams := Streams{Stdio: stdio}
	var ours *os.File
	if spec.Terminal {
		streams.Stdio = [3]*os.File{}
		if ours, streams.Console, err = ConsoleSocket(); err != nil {
			return nil, err
		}
		defer ours.Close()
		defer streams.Console.Close()
	} else if err := c.Give(stdio[:]...); err != nil {
		return nil, fmt.Errorf("give the command its pipes: %w", err)
	}
	if spec, err = withLimits(spec); err != nil {
		return nil, err
	}
	r, err := c.execBeside(spec, streams, cgroups)
	if keysUsedUp(err) {
		r, err = e.execWithoutKeys(id, spec, streams, cgroups)
	}
	if err != nil {
		return nil, fmt.Errorf("run command: %w", err)
	}
	if spec.Terminal {
		if r.Console, err = ReceiveConsole(ours); err != nil {
			_ = r.Signal(syscall.SIGKILL)
			_, _ = r.Wait()
			return nil, err
		}
	}
	return r, nil
}

// execClean is c.Exec for a process that inherits nothing of how this one runs.
func (c *Container) execClean(p *specs.Process, s Streams, cgroups map[string]string) (r *Running, err error) {
	inherited.DropProcess()
	nsthread.Do(func() {
		inherited.DropThread()
		r, err = c.Exec(p, s, cgroups)
	})
	return r, err
}
