package container

import (
	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// CriuOptions is what criu is asked to do.
type CriuOptions = libcontainer.CriuOpts

// Checkpoint has criu write the running container to files. It has ended then,
// unless o leaves it running.
func (c *Container) Checkpoint(o *CriuOptions) error { return c.lc.Checkpoint(o) }

// Restore has criu make the container's processes of the files of a
// checkpoint. They run.
func (c *Container) Restore(p *specs.Process, s Streams, o *CriuOptions) (*Running, error) {
	lp, err := newProcess(p, s)
	if err != nil {
		return nil, err
	}
	lp.Init = true
	if err := c.lc.Restore(lp, o); err != nil {
		return nil, err
	}
	return newRunning(lp)
}
