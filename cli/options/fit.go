package options

import (
	"croft/cli/cmdline"
	"croft/internal/vps"
)

// FitAbout is the help of verbs with --fit.
const FitAbout = `--fit chooses the steps that make the files of the template fit a VPS: all, none,
keep-identity, or some of machine-id, ssh-keys, random-seed, root-password, ping, console, units,
sysctl, fstab, network-wait and oom, with commas between them. With "-" before each step
all others are made. --fit keep-identity is --fit -machine-id,-ssh-keys: for the files of
a server that moves.
They are made once, at the first start, so that --fit can be set until then. Files that
were written into the VPS before its first start stay as they are. "croft inspect"
shows which steps were needed.`

func fitOption() cmdline.Option {
	choices := []string{"all", string(vps.FitNone), vps.KeepIdentity}
	for _, s := range vps.FitSteps() {
		choices = append(choices, string(s))
	}
	return cmdline.Option{Name: "fit", Placeholder: "STEP,...|-STEP,...", Dash: true, Choices: choices,
		Usage: "what the first start does to the files of the template: all, none, keep-identity, or a list of steps (default: all)"}
}
