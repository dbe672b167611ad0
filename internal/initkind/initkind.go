// Package initkind is the table of the init programs that croft knows: where a
// root filesystem has one, and which family a program belongs to.
package initkind

import (
	"path"
	"strings"
)

// A Kind is a family of init programs that are stopped and rebooted in the same
// way.
type Kind string

// The kinds of init. Their names are stored in template images.
const (
	Systemd Kind = "systemd"
	SysV    Kind = "sysvinit"
	Busybox Kind = "busybox"
	OpenRC  Kind = "openrc-init"
	// AnyOpenRC is any init program of an image that hands over to OpenRC.
	AnyOpenRC Kind = "openrc"
	Upstart   Kind = "upstart"
	Runit     Kind = "runit"
	S6        Kind = "s6"
	Croft     Kind = "croft-init" // runs the command of an image without an init
	Other     Kind = "other"
)

// Paths returns the files that can be the init of a root filesystem, in the
// order of the kernel (init/main.c, kernel_init), and /init last, which
// embedded systems use.
func Paths() []string { return []string{"/sbin/init", "/etc/init", "/bin/init", "/init"} }

// Of returns the kind of the init program file, a path without symbolic links.
func Of(file string) Kind {
	base := path.Base(file)
	switch {
	case strings.HasPrefix(base, "systemd"):
		return Systemd
	case strings.HasPrefix(base, "busybox"):
		return Busybox
	case base == string(Croft):
		return Croft
	case base == "openrc-init":
		return OpenRC
	case base == "upstart":
		return Upstart
	case base == "runit", base == "runit-init":
		return Runit
	case base == "s6-svscan", base == "s6-linux-init", base == "s6-overlay-suexec":
		return S6
	case base == "init": // all others are symbolic links to another name
		return SysV
	}
	return Other
}
