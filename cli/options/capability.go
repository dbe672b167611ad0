package options

import (
	"strings"

	"croft/cli/command"
	"croft/internal/vps"
)

// CapabilityAbout is the help for verbs with these options.
const CapabilityAbout = `--cap-add and --cap-drop change the capabilities of a VPS: NET_RAW, or CAP_NET_RAW, in
any case. --cap-drop takes one from all programs of the VPS, and those of "croft exec".
--cap-add gives one that croft leaves out by default: SYS_MODULE, SYS_RAWIO, SYS_TIME,
AUDIT_CONTROL, AUDIT_READ, MAC_OVERRIDE, MAC_ADMIN. Only in a privileged VPS are they over
the host. With --cap-drop ALL a VPS has only what --cap-add names; --cap-add ALL gives the
same as --allow capabilities, and --cap-drop takes from both.`

// capabilities are the values of an option of create.
func capabilities(i *command.Invocation, option string) []string {
	return command.GetMany(i, option, vps.ParseCapability)
}

// capabilityEdits reads --cap-add and --cap-drop of set: CAPABILITY or -CAPABILITY.
func capabilityEdits(i *command.Invocation) []vps.Edit {
	add := command.GetMany(i, "cap-add", capabilityEdit(
		func(c string) vps.Edit { return vps.AddCapability{Name: c} }, func(c string) vps.Edit { return vps.ForgetAddedCapability{Name: c} }))
	return append(add, command.GetMany(i, "cap-drop", capabilityEdit(
		func(c string) vps.Edit { return vps.DropCapability{Name: c} }, func(c string) vps.Edit { return vps.ForgetDroppedCapability{Name: c} }))...)
}

func capabilityEdit(put, remove func(string) vps.Edit) func(string) (vps.Edit, error) {
	return func(s string) (vps.Edit, error) {
		name, removes := strings.CutPrefix(s, "-")
		c, err := vps.ParseCapability(name)
		if removes {
			return remove(c), err
		}
		return put(c), err
	}
}
