package bundles

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// CheckSysctl returns nil for a sysctl that a namespace of the VPS owns, and
// fail.Usage, naming it, for one that is the host's (namespaces(7), and
// libcontainer's own list).
func CheckSysctl(key string) error {
	namespaced := []string{
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
		"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.domainname",
	}
	switch {
	case strings.HasPrefix(key, "net.") && len(key) > len("net.") && !strings.Contains(key, ".."):
		return nil
	case strings.HasPrefix(key, "fs.mqueue.") && len(key) > len("fs.mqueue."):
		return nil
	case slices.Contains(namespaced, key):
		return nil
	case key == "kernel.hostname":
		return fail.New(fail.Usage, "sysctl kernel.hostname is set by the host name").
			WithHint("--hostname NAME")
	default:
		return fail.New(fail.Usage, "sysctl %s is the host's, not a VPS's", key)
	}
}
