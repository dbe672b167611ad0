package oci

import (
	"errors"
	"fmt"

	"croft/runtime/container"
)

func startVerb() *verb {
	return &verb{
		name: "start", args: idArg, least: 1, most: 1,
		summary:  "start the process of a created container",
		examples: []string{"start web"},
		run: func(l *line) (int, error) {
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
		},
	}
}

// load returns the container that the first word names.
func (l *line) load() (*container.Container, error) { return container.Load(l.root, l.words[0]) }

// start lets the init of c go, and waits for it to be ready if a service
// manager wants to know.
func (l *line) start(c *container.Container) error {
	notify := l.newNotifySocket(l.words[0])
	if notify != nil {
		if err := notify.listen(); err != nil {
			return err
		}
	}
	if err := c.Go(); err != nil {
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
