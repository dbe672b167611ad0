package container

import (
	"context"
	"fmt"
	"strconv"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/opencontainers/cgroups"
)

// buildPrefix begins the name of the cgroup of a build. The number of its first process
// follows.
const buildPrefix = "_build-"

// BoundBuild moves the process pid, the first of the build of a template, into a cgroup of its
// own with limits of memory, in bytes, and of processes and threads. -1 is no limit. The
// caller calls remove when all processes of the build have ended. If croft is killed before
// that, a command that ends or starts a VPS removes the cgroup. With systemd it is a scope.
func (e Engine) BoundBuild(ctx context.Context, pid int, memory, tasks int64) (remove func(), err error) {
	if e.Manager.Resolve() == Systemd {
		conn, err := systemd.NewWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("reach systemd: %w", err)
		}
		defer conn.Close()
		s := scope{name: "croft" + buildPrefix + strconv.Itoa(pid) + ".scope", description: "build of a template", pid: pid, memory: memory, tasks: tasks}
		if err := s.start(ctx, conn); err != nil {
			return nil, fmt.Errorf("make scope for the build: %w", err)
		}
		return func() {}, nil // systemd removes it
	}
	cm, err := besideManager(buildPrefix+strconv.Itoa(pid), &cgroups.Resources{SkipDevices: true})
	if err != nil {
		return nil, err
	}
	if err := e.bound(cm, pid, memory, tasks); err != nil {
		_ = e.removeBeside(cm)
		return nil, fmt.Errorf("move the build into a cgroup: %w", err)
	}
	return func() { _ = e.removeBeside(cm) }, nil
}
