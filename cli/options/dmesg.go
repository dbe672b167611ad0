package options

import (
	"fmt"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

// DmesgAbout is the help for verbs with these options.
const DmesgAbout = `A VPS has kernel messages of its own, for dmesg and the journal: that it has started,
and which processes were killed for lack of memory. With --dmesg off it has none.`

func dmesgOption(when string) cmdline.Option {
	return cmdline.Option{Name: "dmesg", Placeholder: "on|off", Choices: []string{"on", "off"},
		Usage: "whether it has kernel messages of its own" + when + " (default: on)"}
}

// onOrOff takes yes and no too, which a file of settings may have.
func onOrOff(text string) (bool, error) {
	switch text {
	case "on", "yes":
		return true, nil
	case "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("invalid value %q: on or off", text)
}

func dmesgEdits(edits []vps.Edit, i *command.Invocation) []vps.Edit {
	return addEdit(edits, i, "dmesg", onOrOff, func(on bool) vps.Edit { return vps.SetDmesg{On: on} })
}
