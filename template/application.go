package template

import (
	"path"
	"slices"
	"strings"

	"croft/internal/initkind"
)

// Command is what the image's config says to run: nothing, for most that boot.
func (im Image) Command() []string { return slices.Concat(im.Entrypoint, im.Cmd) }

// Application reports whether im is made to run its command and not to boot: it
// has no init, or only busybox, which has one in it that nobody may have meant.
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

// namesInit reports whether a command is an init by its name.
func namesInit(command string) bool {
	base := path.Base(command)
	return base == "init" || strings.HasPrefix(base, "systemd") || strings.HasSuffix(base, "-init") || strings.HasPrefix(base, "s6-")
}
