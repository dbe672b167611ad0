package container

import (
	"os"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
)

// A Status is the state of a container, in the words of the OCI specification.
type Status = libcontainer.Status

// The statuses.
const (
	Created = libcontainer.Created // its init waits for StartInit
	Alive   = libcontainer.Running
	Paused  = libcontainer.Paused
	Stopped = libcontainer.Stopped
)

// Status asks the kernel what c does.
func (c *Container) Status() (Status, error) { return c.lc.Status() }

// A State describes a container, with the fields of the OCI specification and
// some of runc's.
type State struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	PID         int               `json:"pid"` // of its init on the host; 0 if that has ended
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"` // of its directory; the caller fills it in
}

// State describes c.
func (c *Container) State() (State, error) {
	status, err := c.lc.Status()
	if err != nil {
		return State{}, err
	}
	s, err := c.lc.State()
	if err != nil {
		return State{}, err
	}
	bundle, annotations := utils.Annotations(s.Config.Labels)
	state := State{
		Version: s.Config.Version, ID: s.ID, PID: s.InitProcessPid, Status: status.String(),
		Bundle: bundle, Rootfs: s.Config.Rootfs, Created: s.Created, Annotations: annotations,
	}
	if status == Stopped {
		state.PID = 0
	}
	return state, nil
}

// Give makes pipes the property of c's root. A command may open /dev/stdout
// again, which the owner of a pipe alone may do; libcontainer passes them on to
// the user that the command runs as.
func (c *Container) Give(pipes ...*os.File) error {
	uid, gid, err := c.Root()
	for _, f := range pipes {
		if err == nil && f != nil {
			err = f.Chown(uid, gid)
		}
	}
	return err
}

// Root returns which ids of the host c's root is.
func (c *Container) Root() (uid, gid int, err error) {
	config := c.lc.Config()
	if uid, err = config.HostRootUID(); err != nil {
		return 0, 0, err
	}
	gid, err = config.HostRootGID()
	return uid, gid, err
}
