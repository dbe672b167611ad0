package oci

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) execVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "exec", Args: idArg + " [<command>...]",
		Inside:   true,
		Summary:  "execute another process inside a container",
		Examples: []string{"exec web ps -ef", "exec --tty --user 1000:1000 web sh"},
		About: `The process has the settings of the bundle's process and another command. With
--process the settings come from a file, and the command is optional.`,
		Options: []cmdline.Option{
			consoleSocketOption(), pidfdSocketOption(),
			{Name: "cwd", Placeholder: "DIR", Usage: "working directory inside"},
			{Name: "env", Short: "e", Many: true, Placeholder: "NAME=VALUE", Usage: "environment variable; may be repeated"},
			{Name: "tty", Short: "t", Usage: "allocate a terminal"},
			{Name: "user", Short: "u", Placeholder: "UID[:GID]", Usage: "user and group of the process"},
			{Name: "additional-gids", Short: "g", Many: true, Placeholder: "GID", Usage: "additional group; may be repeated"},
			{Name: "process", Short: "p", Placeholder: "FILE", Usage: "file with the settings of the process (JSON)"},
			detachOption(), pidFileOption(),
			{Name: "process-label", Placeholder: "LABEL", Usage: "SELinux label of the process"},
			{Name: "apparmor", Placeholder: "PROFILE", Usage: "AppArmor profile of the process"},
			{Name: "no-new-privs", Usage: "deny new privileges by execve(2)"},
			{Name: "cap", Short: "c", Many: true, Placeholder: "CAPABILITY", Usage: "capability to add; may be repeated"},
			preserveOption(),
			{
				Name: "cgroup", Many: true, Placeholder: "[CONTROLLER:]PATH",
				Usage: "cgroup below that of the container to run in; may be repeated",
			},
			{Name: "ignore-paused", Usage: "allow exec in a paused container"},
		},
		Run: p.run(1, -1, func(l *line) (int, error) {
			status, err := l.exec()
			if err != nil {
				return 0, failure{255, fmt.Errorf("exec failed: %w", err)}
			}
			return status, nil
		}),
	}
}

func (l *line) exec() (int, error) {
	if err := l.absolute("pid-file"); err != nil {
		return 0, err
	}
	c, err := l.load()
	if err != nil {
		return 0, err
	}
	status, err := c.Status()
	switch {
	case err != nil:
		return 0, err
	case status == container.Stopped:
		return 0, errors.New("cannot exec in a stopped container")
	case status == container.Paused && !l.Is("ignore-paused"):
		return 0, errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	p, err := l.process(c)
	if err == nil {
		err = checkProcess(p)
	}
	if err != nil {
		return 0, err
	}
	cgroups, err := parseCgroups(l.Texts("cgroup"))
	if err != nil {
		return 0, err
	}
	a, err := l.newLaunch(c, p)
	if err != nil {
		return 0, err
	}
	if err := a.pass(l, p); err != nil {
		return 0, err
	}
	a.start = func(s container.Streams) (*container.Running, error) { return c.Exec(p, s, cgroups) }
	return a.run()
}

// process returns the process to execute. It is read from the file of --process.
// Without that option it is the process of the bundle, with the command and
// options of the command line.
func (l *line) process(c *container.Container) (*specs.Process, error) {
	if name := l.Text("process"); name != "" {
		return readProcess(name)
	}
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(state.Bundle); err != nil {
		return nil, err
	}
	spec, err := readConfig()
	if err != nil {
		return nil, err
	}
	p := spec.Process
	if p == nil {
		p = &specs.Process{Cwd: "/"}
	}
	if len(l.Words) < 2 {
		return nil, errors.New("exec args cannot be empty")
	}
	p.Args = l.Words[1:]
	p.Env = append(p.Env, l.Texts("env")...)
	p.Terminal = l.Is("tty")
	if cwd := l.Text("cwd"); cwd != "" {
		p.Cwd = cwd
	}
	if profile := l.Text("apparmor"); profile != "" {
		p.ApparmorProfile = profile
	}
	if label := l.Text("process-label"); label != "" {
		p.SelinuxLabel = label
	}
	if l.Has("no-new-privs") {
		p.NoNewPrivileges = l.Is("no-new-privs")
	}
	l.addCapabilities(p)
	return p, l.setUser(&p.User)
}

// addCapabilities adds the capabilities of --cap. It leaves inheritable
// capabilities unchanged; without inheritable capabilities it adds no ambient ones.
func (l *line) addCapabilities(p *specs.Process) {
	added := l.Texts("cap")
	if len(added) == 0 {
		return
	}
	if p.Capabilities == nil {
		p.Capabilities = new(specs.LinuxCapabilities)
	}
	c := p.Capabilities
	c.Bounding = append(c.Bounding, added...)
	c.Effective = append(c.Effective, added...)
	c.Permitted = append(c.Permitted, added...)
	if c.Inheritable != nil {
		c.Ambient = append(c.Ambient, added...)
	}
}

func (l *line) setUser(u *specs.User) error {
	if text := l.Text("user"); text != "" {
		uid, gid, both := strings.Cut(text, ":")
		n, err := strconv.ParseUint(uid, 10, 32)
		if err != nil {
			return fmt.Errorf("bad uid: %w", err)
		}
		u.UID = uint32(n)
		if both {
			if n, err = strconv.ParseUint(gid, 10, 32); err != nil {
				return fmt.Errorf("bad gid: %w", err)
			}
			u.GID = uint32(n)
		}
	}
	for _, text := range l.Texts("additional-gids") {
		gid, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("additional-gids must be a positive number %s", text)
		}
		u.AdditionalGids = append(u.AdditionalGids, uint32(gid))
	}
	return nil
}

// parseCgroups reads --cgroup. With cgroup version 2 it is a path, under the
// key "". With version 1 it is CONTROLLER[,CONTROLLER…]:PATH.
func parseCgroups(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	paths := map[string]string{}
	for _, arg := range args {
		controllers, path, named := strings.Cut(arg, ":")
		if !named {
			if len(args) != 1 {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", arg)
			}
			return map[string]string{"": arg}, nil
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "" {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", arg)
			}
			if _, twice := paths[controller]; twice {
				return nil, fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", controller)
			}
			paths[controller] = path
		}
	}
	return paths, nil
}
