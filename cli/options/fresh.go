package options

import (
	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

// FreshOptions are the options of a verb that gives a VPS the files of a template.
func FreshOptions() []cmdline.Option {
	return append([]cmdline.Option{fitOption(), LoginUserOption()}, insideOptions()...)
}

// FreshEdits reads those of FreshOptions that are settings. InsideEdits reads the others.
func FreshEdits(i *command.Invocation) []vps.Edit {
	return addEdit(nil, i, "fit", vps.ParseFit, func(f vps.Fit) vps.Edit { return vps.SetFit{Fit: f} })
}
