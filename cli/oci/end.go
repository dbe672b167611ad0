package oci

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/runtime/container"
)

func killVerb() *verb {
	return &verb{
		name: "kill", args: idArg + " [signal]", least: 1, most: 2,
		summary:  "send a signal to the init of a container (default: SIGTERM)",
		examples: []string{"kill web KILL"},
		options:  []option{{names: []string{"all", "a"}, usage: "accepted for compatibility", hidden: true}},
		run: func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			sig := unix.SIGTERM
			if len(l.words) > 1 && l.words[1] != "" {
				if sig, err = parseSignal(l.words[1]); err != nil {
					return 0, err
				}
			}
			err = c.Signal(sig)
			if errors.Is(err, container.ErrNotRunning) && l.is("all") {
				err = nil
			}
			return 0, err
		},
	}
}

// parseSignal reads a signal's number or name, with or without SIG.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return unix.Signal(n), nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

func deleteVerb() *verb {
	return &verb{
		name: "delete", args: idArg, least: 1, most: 1,
		summary:  "delete a container",
		examples: []string{"delete web", "delete --force web"},
		options:  []option{{names: []string{"force", "f"}, usage: "kill a running container first; ignore a container that does not exist"}},
		run: func(l *line) (int, error) {
			c, err := l.load()
			if errors.Is(err, container.ErrAbsent) {
				if e := container.Forget(l.root, l.words[0]); e != nil || l.is("force") {
					return 0, e
				}
			}
			if err != nil {
				return 0, err
			}
			if l.is("force") {
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
			return 0, fmt.Errorf("cannot delete container %s that is not stopped: %s", l.words[0], status)
		},
	}
}

func pauseVerb() *verb {
	return &verb{
		name: "pause", args: idArg, least: 1, most: 1,
		summary:  "freeze all processes of a container",
		examples: []string{"pause web"},
		run: func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			return 0, l.explained(c.Pause())
		},
	}
}

func resumeVerb() *verb {
	return &verb{
		name: "resume", args: idArg, least: 1, most: 1,
		summary:  "resume a paused container",
		examples: []string{"resume web"},
		run: func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			return 0, l.explained(c.Resume())
		},
	}
}
