package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

func checkpointVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "checkpoint", Harmful: true, Group: command.GroupLife, Args: "NAME... | --all", Words: command.RunningNames,
		Summary:  "save the processes of VPSs and stop the VPSs",
		Examples: []string{"croft checkpoint web", "croft checkpoint --all"},
		About: `The next start continues the processes where they were, also after a reboot of the
host. It is refused if the files or the settings of the VPS have changed in between;
"croft start --cold" boots the VPS and removes the checkpoint. On an error the VPS
runs on. Needs criu. The guide lists what cannot be saved.`,
		Options:  []cmdline.Option{command.AllOption("checkpoint")},
		Synonyms: []string{"hibernate", "chkpnt"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForEach(ctx, i, "checkpoint", func(ctx context.Context, m command.Manager, name vps.Name) error { return m.Checkpoint(ctx, name) })
		}),
	}
}
