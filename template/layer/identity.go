package layer

import (
	"path"
	"strings"
)

// An identity is what becomes of a file by which one VPS is told from others,
// in a template for many.
type identity int

const (
	shared  identity = iota // it is no such file
	blanked                 // it stays, and is empty
	removed                 // what makes it does so when it is missing
)

// identityOf tells what the file name, relative to the root, is. virt-sysprep and
// Incus take away the same ones.
func identityOf(name string) identity {
	switch name {
	case "etc/machine-id": // systemd writes an empty one at boot (machine-id(5))
		return blanked
	case "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/urandom/random-seed", "var/lib/random-seed":
		return removed
	}
	if dir, base := path.Split(name); dir == "etc/ssh/" && strings.HasPrefix(base, "ssh_host_") &&
		(strings.HasSuffix(base, "_key") || strings.HasSuffix(base, "_key.pub")) {
		return removed
	}
	return shared
}
