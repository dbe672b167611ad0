package cli

import "croft/cli/cmdline"

// The headings in the list of commands, in its order.
const (
	groupLife   = "Lifecycle"
	groupInside = "Access"
	groupLook   = "Inspect"
	groupChange = "Configure"
	groupImages = "Templates"
	groupNets   = "Networks"
	groupHost   = "Host"
	groupShell  = "Shell"
)

// allOption is --all of the verbs that take several names.
func allOption(what string) cmdline.Option {
	return cmdline.Option{Name: "all", Short: "a", Usage: what + " every VPS"}
}
