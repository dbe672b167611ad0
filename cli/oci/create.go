package oci

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"croft/runtime/container"
)

func createVerb() *verb {
	return &verb{
		name: "create", args: idArg, least: 1, most: 1,
		summary:  "create a container",
		examples: []string{"create --bundle /srv/bundle web"},
		about: `Creates a container from a bundle: a directory with config.json and a root
filesystem. The process waits for "start".`,
		options: []option{
			bundleOption(), consoleSocketOption(), pidfdSocketOption(), pidFileOption(),
			noPivotOption(), noKeyringOption(), preserveOption(),
		},
		run: func(l *line) (int, error) {
			status, err := l.make(nil)
			return status, during("create", err)
		},
	}
}

func runVerb() *verb {
	return &verb{
		name: "run", args: idArg, least: 1, most: 1,
		summary:  "create and run a container",
		examples: []string{"run --bundle /srv/bundle web", "run --detach --pid-file web.pid web"},
		about: `Creates a container from a bundle and starts its process. Without --detach the exit
status is that of the process, and the container is deleted when the process ends.`,
		options: []option{
			bundleOption(), consoleSocketOption(), pidfdSocketOption(), detachOption(),
			{names: []string{"keep"}, usage: "keep the container when its process has ended"},
			pidFileOption(), subreaperOption(), noPivotOption(), noKeyringOption(), preserveOption(),
		},
		run: func(l *line) (int, error) {
			status, err := l.make(nil)
			return status, during("run", err)
		},
	}
}

// during says which verb failed, in the words that callers know.
func during(verb string, err error) error {
	if err != nil {
		return fmt.Errorf("runc %s failed: %w", verb, err)
	}
	return nil
}

// make creates a container of a bundle, for create, run, and with the options
// for criu restore. If it fails, or has run in the foreground to its end,
// nothing is left unless --keep asks for it.
func (l *line) make(restore *container.CriuOptions) (status int, err error) {
	if err := l.absolute("pid-file"); err != nil {
		return 0, err
	}
	spec, err := l.enterBundle()
	if err != nil {
		return 0, err
	}
	if spec.Process != nil || l.verb.name != "create" {
		if err := checkProcess(spec.Process); err != nil {
			return 0, err
		}
	}
	id := l.words[0]
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
	if (err != nil || !a.detach) && !l.is("keep") {
		if e := c.Delete(); e != nil {
			logrus.Warn(e)
		}
	}
	return status, err
}

func (l *line) newContainer(id string, spec *specs.Spec) (*container.Container, error) {
	systemd := l.global.is("systemd-cgroup")
	rootless, err := container.RootlessCgroups(l.global.text("rootless"), systemd)
	if err != nil {
		return nil, err
	}
	return container.Make(l.root, id, spec, container.MakeOptions{
		Systemd: systemd, Rootless: rootless, NoPivot: l.is("no-pivot"), NoNewKeyring: l.is("no-new-keyring"),
	})
}

// prepareLaunch says how the init of c is started.
func (l *line) prepareLaunch(c *container.Container, spec *specs.Spec, notify *notifySocket, restore *container.CriuOptions) (*launch, error) {
	if spec.Process == nil { // which start refuses
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
	case l.verb.name == "run":
		if notify != nil {
			if err := notify.listen(); err != nil {
				return nil, err
			}
		}
		a.release = c.Go
	}
	if l.verb.name != "create" && !l.is("no-subreaper") {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			logrus.Warn(err)
		}
	}
	return a, nil
}
