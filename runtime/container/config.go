package container

import (
	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// accept replaces settings that the specification allows and libcontainer
// refuses. The kernel treats the replacements in the same way.
func accept(config *configs.Config) {
	for _, d := range config.Devices {
		if d.Type == devices.FifoDevice {
			d.Major, d.Minor = 0, 0 // a FIFO has none (mknod(2))
		}
	}
	ofHost := !config.Namespaces.Contains(configs.NEWCGROUP) && cgroups.IsCgroup2UnifiedMode()
	for _, m := range config.Mounts {
		if ofHost && (m.Device == "cgroup" || m.Device == "cgroup2") {
			bindCgroups(m)
		}
		if m.IsBind() && m.Data != "" {
			logrus.Warnf("mount %s: a bind mount has no options of its filesystem (mount(2)); ignored: %s", m.Destination, m.Data)
			m.Data = ""
		}
	}
}

// bindCgroups turns a mount of the host's cgroups into a bind mount of the
// existing one. A new mount from the first cgroup namespace would change the
// options of the hierarchy (apply_cgroup_root_flags in kernel/cgroup/cgroup.c):
// the host would lose nsdelegate and memory_recursiveprot.
func bindCgroups(m *configs.Mount) {
	m.Device, m.Source, m.Data = "bind", "/sys/fs/cgroup", ""
	m.Flags |= unix.MS_BIND
}
