package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) stateVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "state", Args: idArg,
		Summary:  "print the state of a container as JSON",
		Examples: []string{"state web"},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			s, err := c.State()
			if err != nil {
				return 0, err
			}
			data, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				return 0, err
			}
			_, err = os.Stdout.Write(data)
			return 0, err
		}),
	}
}

func formatOption() cmdline.Option {
	return cmdline.Option{Name: "format", Short: "f", Placeholder: "FORMAT", Usage: "table or json (default: table)"}
}

func (p *program) listVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Summary:  "list the containers below --root",
		Examples: []string{"list --format json"},
		Options:  []cmdline.Option{formatOption(), {Name: "quiet", Short: "q", Usage: "print only container ids"}},
		Run: p.run(0, 0, func(l *line) (int, error) {
			all, err := l.states()
			if err != nil {
				return 0, err
			}
			switch format := l.Text("format"); {
			case l.Is("quiet"):
				for _, s := range all {
					fmt.Println(s.ID)
				}
				return 0, nil
			case format == "json":
				return 0, json.NewEncoder(os.Stdout).Encode(all)
			case format != "" && format != "table":
				return 0, errors.New("invalid format option")
			}
			return 0, printStates(all)
		}),
	}
}

func printStates(all []container.State) error {
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.PID, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return w.Flush()
}

// states returns the states of all containers below the root. It prints an error
// for each state that it cannot read, and continues.
func (l *line) states() ([]container.State, error) {
	_, given := l.typed.Global("root")
	entries, err := os.ReadDir(l.root)
	if errors.Is(err, fs.ErrNotExist) && !given {
		return nil, nil // there has been no container yet
	}
	if err != nil {
		return nil, err
	}
	var all []container.State
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue // deleted meanwhile, or not a container
		}
		if err != nil {
			return nil, err
		}
		c, err := container.Load(l.root, e.Name())
		if err != nil {
			fmt.Fprintf(os.Stderr, "load container %s: %v\n", e.Name(), err)
			continue
		}
		s, err := c.State()
		if err != nil {
			fmt.Fprintf(os.Stderr, "state for %s: %v\n", e.Name(), err)
			continue
		}
		s.Owner = owner(info)
		all = append(all, s)
	}
	return all, nil
}

// owner returns the name of the owner of a file, or #UID.
func owner(info fs.FileInfo) string {
	uid := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid))
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "#" + uid
}
