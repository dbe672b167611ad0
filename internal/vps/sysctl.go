package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// OfUserNamespace reports whether a sysctl is a limit of the VPS's user namespace
// (namespaces(7)). libcontainer sets none of these.
func OfUserNamespace(key string) bool {
	return strings.HasPrefix(key, "user.") && len(key) > len("user.") && !strings.Contains(key, "..")
}

// CheckSysctl returns nil for a sysctl that a namespace of the VPS owns, and
// fail.Usage, naming it, for one that is the host's (namespaces(7), and
// libcontainer's own list). A privileged VPS has no user namespace.
func CheckSysctl(key string, privileged bool) error {
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
	case OfUserNamespace(key) && privileged:
		return fail.New(fail.Usage, "sysctl %s belongs to a user namespace, which a privileged VPS does not have", key)
	case OfUserNamespace(key):
		return nil
	case key == "kernel.hostname":
		return fail.New(fail.Usage, "sysctl kernel.hostname is set by the host name").
			WithHint("--hostname NAME")
	default:
		return fail.New(fail.Usage, "sysctl %s is the host's, not a VPS's", key)
	}
}
