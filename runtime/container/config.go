package container

import (
	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// accept changes in config what the specification allows and libcontainer
// refuses, into what the kernel would make of it.
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

// bindCgroups makes a mount of the host's cgroups one of what the host has
// mounted. Mounted anew from the first cgroup namespace, the hierarchy has the
// options of the newest mount (apply_cgroup_root_flags in kernel/cgroup/cgroup.c):
// the host would lose its nsdelegate and memory_recursiveprot.
func bindCgroups(m *configs.Mount) {
	m.Device, m.Source, m.Data = "bind", "/sys/fs/cgroup", ""
	m.Flags |= unix.MS_BIND
}
