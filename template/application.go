package template

import (
	"path"
	"slices"
	"strings"

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
