package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) eventsVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "events", Args: idArg,
		Summary:  "print the resource usage and out-of-memory events of a container",
		Examples: []string{"events --stats web", "events --interval 10s web"},
		About:    `Prints one line of JSON for each event, until the container ends.`,
		Options: []cmdline.Option{
			{Name: "interval", Placeholder: "TIME", Usage: "interval between measurements (default: 5s)"},
			{Name: "stats", Usage: "print the usage once and exit"},
		},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			interval := 5 * time.Second
			if text := l.Text("interval"); text != "" {
				if interval, err = time.ParseDuration(text); err != nil {
					return 0, fmt.Errorf("invalid value %q for flag -interval: %w", text, err)
				}
			}
			if interval <= 0 {
				return 0, errors.New("duration interval must be greater than 0")
			}
			status, err := c.Status()
			if err != nil {
				return 0, err
			}
			if status == container.Stopped {
				return 0, fmt.Errorf("container with id %s is not running", l.Words[0])
			}
			if l.Is("stats") {
				stats, err := c.Stats()
				if err != nil {
					return 0, err
				}
				return 0, l.printEvent("stats", stats)
			}
			return 0, l.follow(c, interval)
		}),
	}
}

// printEvent prints one line.
func (l *line) printEvent(kind string, data any) error {
	return json.NewEncoder(os.Stdout).Encode(struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Data any    `json:"data,omitempty"`
	}{kind, l.Words[0], data})
}

// follow prints events until the container ends.
func (l *line) follow(c *container.Container, interval time.Duration) error {
	oom, err := c.OutOfMemory()
	if err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case _, ok := <-oom:
			if !ok { // its cgroups are gone
				return nil
			}
			err = l.printEvent("oom", nil)
		case <-tick.C:
			stats, e := c.Stats()
			if e != nil {
				logrus.Error(e)
				continue
			}
			err = l.printEvent("stats", stats)
		}
		if err != nil {
			return err
		}
	}
}
