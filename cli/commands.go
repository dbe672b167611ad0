package cli

import (
	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/look"
	"croft/cli/networks"
	"croft/cli/options"
	"croft/cli/snapshots"
	"croft/cli/templates"
	"croft/cli/values"
)

// commands is the whole command line: the options that every command takes,
// and the commands in the order in which help lists them.
func commands(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:    "croft",
		Summary: "run virtual private servers out of Linux containers",
		Closing: grammarInBrief + "\n\nExit status:\n" + statusList(),
		Options: []cmdline.Option{
			{Name: "root", Placeholder: "DIR", Usage: "directory of VPSs, templates and networks (CROFT_ROOT; default: /var/lib/croft)"},
			{Name: "run-dir", Placeholder: "DIR", Usage: "directory of runtime state, cleared at reboot (CROFT_RUN_DIR; default: /run/croft)"},
			{Name: "config-dir", Placeholder: "DIR", Usage: "directory of defaults, profiles, hooks, recipes and policy.yaml (CROFT_CONFIG_DIR; default: /etc/croft)"},
			{
				Name: "cgroup-manager", Placeholder: "MANAGER", Choices: values.CgroupManagers(),
				Usage: "cgroup manager: auto, systemd or cgroupfs (CROFT_CGROUP_MANAGER; default: auto)",
			},
			{
				Name: "host", Short: "H", Placeholder: "HOST", Here: true,
				Usage: "run the command on another host by ssh: ssh://[USER@]HOST[:PORT] (CROFT_HOST)",
			},
			{Name: "lock-timeout", Placeholder: "TIME", Usage: "how long to wait for a VPS that another command is changing (default: 0)"},
			{Name: "debug", Usage: "print each step, and the causes of an error, on stderr"},
			{Name: "help", Short: "h", Usage: "show help for the command"},
		},
		Verbs: []*cmdline.Verb{
			createVerb(a), startVerb(a), stopVerb(a), restartVerb(a), killVerb(a), pauseVerb(a), resumeVerb(a), checkpointVerb(a), destroyVerb(a), trashVerb(a), cloneVerb(a), options.ConvertVerb(a), rebaseVerb(a), reinstallVerb(a), snapshots.SnapshotVerb(a), exportVerb(a), importVerb(a), pushVerb(a), adoptVerb(a), moveVerb(a), runVerb(a),
			execVerb(a), enterVerb(a), consoleVerb(a), cpVerb(a), mountVerb(a), umountVerb(a),
			look.ListVerb(a), look.StatusVerb(a), look.DiffVerb(a), look.InspectVerb(a), look.StatsVerb(a), look.MetricsVerb(a), look.TopVerb(a), look.DoctorVerb(a), look.LogsVerb(a), look.EventsVerb(a), look.WaitVerb(a),
			setVerb(a), editSettingsVerb(a), renameVerb(a), networks.FirewallVerb(a), networks.RouteVerb(a), networks.PublishVerb(a),
			templates.TemplateVerb(a), networks.NetworkVerb(a), templates.VolumeVerb(a),
			hostVerb(a), ociVerb(a),
			versionVerb(a), completionVerb(a), manVerb(a), helpVerb(a),
		},
	}
}
