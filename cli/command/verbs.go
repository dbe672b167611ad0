package command

import "croft/cli/cmdline"

// The headings in the list of commands, in its order.
const (
	GroupLife   = "Lifecycle"
	GroupInside = "Access"
	GroupLook   = "Inspect"
	GroupChange = "Configure"
	GroupImages = "Templates"
	GroupNets   = "Networks"
	GroupHost   = "Host"
	GroupShell  = "Shell"
)

// AllOption is --all of the verbs that take several names.
func AllOption(what string) cmdline.Option {
	return cmdline.Option{Name: "all", Short: "a", Usage: what + " every VPS"}
}

// AllHereOption is AllOption of verbs that make no sense for a VPS that was moved to another
// host: Invocation.OnlyHere.
func AllHereOption(what string) cmdline.Option {
	return cmdline.Option{Name: "all", Short: "a", Usage: what + " every VPS that belongs to this host"}
}
