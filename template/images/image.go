package images

import (
	"path"
	"slices"
	"strings"
	"time"

	"croft/internal/initkind"
)

// Command returns the command in the image's config. Most images that boot have
// none.
func (im Image) Command() []string { return slices.Concat(im.Entrypoint, im.Cmd) }

// Application reports whether im is meant to run its command instead of booting. It
// has no init, or its only init is busybox. Many images have busybox for its shell,
// so such an image boots only if its command is an init or it has no command.
func (im Image) Application() bool {
	command := im.Command()
	switch im.Init {
	case "":
		return true
	case string(initkind.Busybox):
		return len(command) > 0 && !namesInit(command[0])
	}
	return false
}

// namesInit reports whether the name of a command is that of an init.
func namesInit(command string) bool {
	base := path.Base(command)
	return base == "init" || strings.HasPrefix(base, "systemd") || strings.HasSuffix(base, "-init") || strings.HasPrefix(base, "s6-")
}

// An Image is a template in the store.
type Image struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest"`       // of its manifest
	Former       bool      `json:"former"`       // a newer image has the name now
	Layers       []string  `json:"layers"`       // diff ids, lowest first
	Distribution string    `json:"distribution"` // as os-release's ID
	Release      string    `json:"release"`
	Variant      string    `json:"variant"`
	Architecture string    `json:"architecture"` // the name that Go and OCI use
	Init         string    `json:"init"`         // systemd, sysvinit, openrc, busybox, …; "" if croft finds no init
	Env          []string  `json:"env"`          // NAME=value
	Created      time.Time `json:"created"`      // the date of its content: the newest package index of its build
	// KeepsIdentity means that the template is a backup of one VPS: machine-id, ssh host
	// keys and random seeds are those of that VPS.
	KeepsIdentity bool           `json:"keepsIdentity"`
	Size          int64          `json:"size"`         // total size of the files in all its layers, in bytes
	Recipe        string         `json:"recipe"`       // from which it was built; "" if it was not
	BuiltWith     BuildSettings  `json:"builtWith"`    // what the user gave for that build
	ContainerEnv  string         `json:"containerEnv"` // the value of $container for init; "" is croft
	Entrypoint    []string       `json:"entrypoint"`
	Cmd           []string       `json:"cmd"`
	User          string         `json:"user"`         // of Entrypoint and Cmd: name|uid[:group|gid]; "" is root
	WorkingDir    string         `json:"workingDir"`   // of Entrypoint and Cmd; "" is /
	StopSignal    string         `json:"stopSignal"`   // that stops them; "" is SIGTERM
	Source        string         `json:"source"`       // the reference from which it was pulled, or the file from which it was imported; "" if it has none
	SourceDigest  string         `json:"sourceDigest"` // of its manifest in that registry, or of that file
	SourceFile    string         `json:"-"`            // what says whether that file has changed
	ImportedWith  ImportSettings `json:"importedWith"` // what the user gave for an import of that file
	SignedBy      []string       `json:"signedBy"`     // whose signatures were checked when it was pulled: see trust.Check
}
