// Package identity names the files of a system that must differ from VPS to VPS. A
// template for many VPSs does not have them, and the first start of a VPS replaces or
// removes those of its template. virt-sysprep and Incus reset the same files.
package identity

import (
	"path"
	"slices"
	"strings"
)

// The files with a machine id (machine-id(5)). Names are relative to the root directory.
const (
	MachineID     = "etc/machine-id"
	DBusMachineID = "var/lib/dbus/machine-id"
)

// The directories of the host keys of OpenSSH and of dropbear.
const (
	SSHDir      = "etc/ssh"
	DropbearDir = "etc/dropbear"
)

// HostKey reports whether name is a host key of OpenSSH or dropbear, or the public half of
// one.
func HostKey(name string) bool {
	dir, base := path.Split(name)
	private := strings.TrimSuffix(base, ".pub")
	switch dir {
	case SSHDir + "/":
		return strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(private, "_key")
	case DropbearDir + "/":
		return strings.HasPrefix(base, "dropbear_") && strings.HasSuffix(private, "_host_key")
	}
	return false
}

// Seeds are the files with a random seed, and the key with which systemd encrypts
// credentials. Their programs create missing ones.
func Seeds() []string {
	return []string{
		"var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
		"var/lib/urandom/random-seed", "var/lib/random-seed", "var/lib/misc/random-seed",
		"var/lib/seedrng/seed.credit", "var/lib/seedrng/seed.no-credit",
	}
}

// Removed reports whether a template for many VPSs leaves the file name out.
func Removed(name string) bool {
	return name == DBusMachineID || HostKey(name) || slices.Contains(Seeds(), name)
}
