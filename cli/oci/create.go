package oci

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) createVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: idArg,
		Summary:  "create a container",
		Examples: []string{"create --bundle /srv/bundle web"},
		About: `Creates a container from a bundle: a directory with config.json and a root
filesystem. The process waits for "start".`,
		Options: []cmdline.Option{
			bundleOption(), consoleSocketOption(), pidfdSocketOption(), pidFileOption(),
			noPivotOption(), noKeyringOption(), preserveOption(),
		},
		Run: p.run(1, 1, func(l *line) (int, error) {
			status, err := l.make(nil)
			return status, during("create", err)
		}),
	}
}

func (p *program) runVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "run", Args: idArg,
		Summary:  "create and run a container",
		Examples: []string{"run --bundle /srv/bundle web", "run --detach --pid-file web.pid web"},
		About: `Creates a container from a bundle and starts its process. Without --detach the exit
status is that of the process, and the container is deleted when the process ends.`,
		Options: []cmdline.Option{
			bundleOption(), consoleSocketOption(), pidfdSocketOption(), detachOption(),
			{Name: "keep", Usage: "keep the container when its process has ended"},
			pidFileOption(), subreaperOption(), noPivotOption(), noKeyringOption(), preserveOption(),
		},
		Run: p.run(1, 1, func(l *line) (int, error) {
			status, err := l.make(nil)
			return status, during("run", err)
		}),
	}
}

// during adds the name of the verb that failed, in the words of runc.
func during(verb string, err error) error {
	if err != nil {
		return fmt.Errorf("runc %s failed: %w", verb, err)
	}
	return nil
}

// make creates a container from a bundle: for create, for run, and for restore
// with the settings of criu. It deletes the container if it fails, or when a
// container in the foreground has ended, unless --keep is given.
func (l *line) make(restore *container.CriuOptions) (status int, err error) {
	if err := l.absolute("pid-file"); err != nil {
		return 0, err
	}
	spec, err := l.enterBundle()
	if err != nil {
		return 0, err
	}
	if spec.Process != nil || l.Verb.Name != "create" {
		if err := checkProcess(spec.Process); err != nil {
			return 0, err
		}
	}
	id := l.Words[0]
	notify := l.newNotifySocket(id)
	if notify != nil {
		notify.offer(spec)
	}
	c, err := l.newContainer(id, spec)
	if err != nil {
		return 0, err
	}
	a, err := l.prepareLaunch(c, spec, notify, restore)
	if err == nil {
		status, err = a.run()
	}
	if (err != nil || !a.detach) && !l.Is("keep") {
		if e := c.Delete(); e != nil {
			logrus.Warn(e)
		}
	}
	return status, err
}

func (l *line) newContainer(id string, spec *specs.Spec) (*container.Container, error) {
	systemd := l.globalIs("systemd-cgroup")
	rootless, err := container.RootlessCgroups(l.global("rootless"), systemd)
	if err != nil {
		return nil, err
	}
	return container.Make(l.root, id, spec, container.MakeOptions{
		Systemd: systemd, Rootless: rootless, NoPivot: l.Is("no-pivot"), NoNewKeyring: l.Is("no-new-keyring"),
	})
}

// prepareLaunch returns how to start the init of c.
func (l *line) prepareLaunch(c *container.Container, spec *specs.Spec, notify *notifySocket, restore *container.CriuOptions) (*launch, error) {
	if spec.Process == nil { // start refuses it
		spec.Process = new(specs.Process)
	}
	a, err := l.newLaunch(c, spec.Process)
	if err != nil {
		return nil, err
	}
	if err := a.pass(l, spec.Process); err != nil {
		return nil, err
	}
	if a.notify = notify; notify != nil {
		if err := notify.makeDir(); err != nil {
			return nil, err
		}
	}
	a.start = func(s container.Streams) (*container.Running, error) { return c.Start(spec.Process, s) }
	switch {
	case restore != nil:
		a.start = func(s container.Streams) (*container.Running, error) { return c.Restore(spec.Process, s, restore) }
	case l.Verb.Name == "run":
		if notify != nil {
			if err := notify.listen(); err != nil {
				return nil, err
			}
		}
		a.release = c.StartInit
	}
	if l.Verb.Name != "create" && !l.Is("no-subreaper") {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			logrus.Warn(err)
		}
	}
	return a, nil
}
