package container

import (
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/sirupsen/logrus"
)

// accept changes in config what the specification allows and libcontainer
// refuses, into what the kernel would make of it.
func accept(config *configs.Config) {
	for _, d := range config.Devices {
		if d.Type == devices.FifoDevice {
			d.Major, d.Minor = 0, 0 // a FIFO has none (mknod(2))
		}
	}
	for _, m := range config.Mounts {
		if m.IsBind() && m.Data != "" {
			logrus.Warnf("mount %s: a bind mount has no options of its filesystem (mount(2)); ignored: %s", m.Destination, m.Data)
			m.Data = ""
		}
	}
}
