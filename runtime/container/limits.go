package container

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SetLimits changes the limits of memory, CPU time and processes of a running
// container to those of r, which names each of them. Memory in use that is above
// a new limit is reclaimed as far as the kernel can. If more stays in use, nothing
// has changed and the error is fail.State, with the amount. An absent container is
// ErrAbsent.
func (e Engine) SetLimits(id string, r *specs.LinuxResources) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	state, err := c.lc.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	if limit := *r.Memory.Limit; limit > 0 {
		if err := makeRoom(state.CgroupPaths, limit); err != nil {
			return err
		}
	}
	update := specs.LinuxResources{Memory: r.Memory, CPU: r.CPU, Pids: r.Pids, BlockIO: &specs.LinuxBlockIO{}}
	if err := c.Update(&update, RDT{}); err != nil {
		return fmt.Errorf("change limits: %w", err)
	}
	return nil
}
