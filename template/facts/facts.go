// Package facts finds out what a root filesystem is: its distribution, its release and its
// init.
package facts

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/initkind"
	"croft/template/layer"
)

// Of finds distribution, init and date of the root filesystem t.
func Of(t *layer.Tree) Facts {
	f := Facts{Init: string(initOf(t))}
	if f.Init == string(initkind.AnyOpenRC) {
		f.ContainerEnv = "lxc" // of the values that OpenRC knows, only this fits a VPS
	}
	f.Distribution, f.Release, f.Created = osRelease(t)
	return f
}

// Facts are what the files of a root filesystem tell about it. What they do not tell is "".
type Facts struct {
	Distribution string    // ID of os-release
	Release      string    // VERSION_ID of os-release
	Created      time.Time // the time of os-release
	Init         string    // the kind of init
	ContainerEnv string    // the value of $container that the init needs; "" is any
}

// MergesLater reports whether the root filesystem t is one of Debian or a relative without
// a merged /usr. The package usrmerge of a later release refuses to merge it on overlayfs.
func MergesLater(t *layer.Tree) bool {
	for _, dir := range []string{"bin", "usr/bin", "var/lib/dpkg"} {
		fd, err := t.OpenPlain(dir)
		if err != nil {
			return false // a link, or missing
		}
		unix.Close(fd)
	}
	return true
}

// rootNames are names at the top of a root filesystem: each has at least one of them.
var rootNames = []string{"bin", "sbin", "usr", "etc", "nix"}

// IsRoot reports whether t is a root filesystem.
func IsRoot(t *layer.Tree) bool { return slices.ContainsFunc(rootNames, t.Exists) }
