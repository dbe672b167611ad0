package oci

import (
	"errors"
	"fmt"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) startVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "start", Args: idArg,
		Summary:  "start the process of a created container",
		Examples: []string{"start web"},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			status, err := c.Status()
			if err != nil {
				return 0, err
			}
			switch status {
			case container.Created:
				return 0, l.start(c)
			case container.Stopped:
				return 0, errors.New("cannot start a container that has stopped")
			case container.Alive:
				return 0, errors.New("cannot start an already running container")
			}
			return 0, fmt.Errorf("cannot start a container in the %s state", status)
		}),
	}
}

// load returns the container whose id is the first word.
func (l *line) load() (*container.Container, error) { return container.Load(l.root, l.Words[0]) }

// start runs the init of c. If a service manager waits for its message, start
// waits until init is ready.
func (l *line) start(c *container.Container) error {
	notify := l.newNotifySocket(l.Words[0])
	if notify != nil {
		if err := notify.listen(); err != nil {
			return err
		}
	}
	if err := c.StartInit(); err != nil {
		return err
	}
	if notify == nil {
		return nil
	}
	state, err := c.State()
	if err != nil {
		return err
	}
	return notify.forward(state.PID, state.PID)
}
