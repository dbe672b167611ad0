package oci

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"croft/cli/cmdline"
	"croft/internal/signame"
	"croft/runtime/container"
)

func (p *program) killVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "kill", Harmful: true, Args: idArg + " [signal]",
		Summary:  "send a signal to the init of a container (default: SIGTERM)",
		Examples: []string{"kill web KILL"},
		Options:  []cmdline.Option{{Name: "all", Short: "a", Usage: "accepted for compatibility", Hidden: true}},
		Run: p.run(1, 2, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			sig := unix.SIGTERM
			if len(l.Words) > 1 && l.Words[1] != "" {
				if sig, err = parseSignal(l.Words[1]); err != nil {
					return 0, err
				}
			}
			err = c.Signal(sig)
			if errors.Is(err, container.ErrNotRunning) && l.Is("all") {
				err = nil
			}
			return 0, err
		}),
	}
}

// parseSignal reads a signal. It accepts every number, as runc does: kill(2)
// checks it.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return unix.Signal(n), nil
	}
	return signame.Parse(s)
}

func (p *program) deleteVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "delete", Harmful: true, Args: idArg,
		Summary:  "delete a container",
		Examples: []string{"delete web", "delete --force web"},
		Options:  []cmdline.Option{{Name: "force", Short: "f", Usage: "kill a running container first; ignore a container that does not exist"}},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if errors.Is(err, container.ErrAbsent) {
				if e := container.Forget(l.root, l.Words[0]); e != nil || l.Is("force") {
					return 0, e
				}
			}
			if err != nil {
				return 0, err
			}
			if l.Is("force") {
				return 0, c.Delete()
			}
			status, err := c.Status()
			switch {
			case err != nil:
				return 0, err
			case status == container.Stopped:
				return 0, c.Remove()
			case status == container.Created:
				return 0, c.Delete()
			}
			return 0, fmt.Errorf("cannot delete container %s that is not stopped: %s", l.Words[0], status)
		}),
	}
}

func (p *program) pauseVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "pause", Args: idArg,
		Summary:  "freeze all processes of a container",
		Examples: []string{"pause web"},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			return 0, l.explained(c.Pause())
		}),
	}
}

func (p *program) resumeVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "resume", Args: idArg,
		Summary:  "resume a paused container",
		Examples: []string{"resume web"},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			return 0, l.explained(c.Resume())
		}),
	}
}
