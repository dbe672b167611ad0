package layer

import (
	"path"
	"strings"
)

// An identity says how a template for many VPSs treats a file that may identify
// one VPS.
type identity int

const (
	shared  identity = iota // does not identify a VPS: kept
	emptied                 // kept without content
	removed                 // left out: the program that owns it creates a missing one
)

// identityOf returns how the file name, relative to the root, is treated.
// virt-sysprep and Incus reset the same files.
func identityOf(name string) identity {
	switch name {
	case "etc/machine-id": // systemd writes an empty one at boot (machine-id(5))
		return emptied
	case "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/urandom/random-seed", "var/lib/random-seed":
		return removed
	}
	if dir, base := path.Split(name); dir == "etc/ssh/" && strings.HasPrefix(base, "ssh_host_") &&
		(strings.HasSuffix(base, "_key") || strings.HasSuffix(base, "_key.pub")) {
		return removed
	}
	return shared
}
