package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"croft/cli/cmdline"

	"github.com/sirupsen/logrus"
)

func (p *program) psVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "ps", Args: idArg + " [ps options]", Inside: true,
		Summary:  "list the processes of a container",
		Examples: []string{"ps web", "ps --format json web"},
		About:    `Prints the table of ps(1) with the given options of ps (default: -ef).`,
		Options:  []cmdline.Option{formatOption()},
		Run: p.run(1, -1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			pids, err := c.Pids()
			if err != nil {
				return 0, l.explained(err)
			}
			switch l.Text("format") {
			case "json":
				return 0, json.NewEncoder(os.Stdout).Encode(pids)
			case "", "table":
				return 0, l.printProcesses(pids)
			}
			return 0, errors.New("invalid format option")
		}),
	}
}

// printProcesses prints the lines of ps(1) about pids.
func (l *line) printProcesses(pids []int) error {
	args := l.Words[1:]
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	text, err := exec.Command("ps", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return errors.New("couldn't find PID field in ps output")
	}
	fmt.Println(lines[0])
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil {
			return fmt.Errorf("unable to parse pid: %w", err)
		}
		if slices.Contains(pids, pid) {
			fmt.Println(line)
		}
	}
	return nil
}

// explained returns err. If permission is missing, it logs the probable cause.
func (l *line) explained(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		logrus.Warnf("%s %s failure might be caused by lack of full access to cgroups", l.name, l.Verb.Name)
	}
	return err
}
