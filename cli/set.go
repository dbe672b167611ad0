package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/values"
	"croft/internal/vps"
)

func setVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "set", Group: command.GroupChange, Args: "NAME... | --all", Words: command.VPSNames,
		Summary: "change settings of VPSs",
		Examples: []string{
			"croft set web --onboot yes --boot-order 10",
			"croft set web --memory 2G --cpus 1.5",
			"croft set web db --file small.yaml",
			"croft set web db --password-stdin",
		},
		About: `Changes are saved and take effect immediately. Settings you do not name are left
unchanged. If one of the changes is refused or fails, none is made.

All limits of a running VPS change at once; what
is in a tmpfs of the VPS keeps its former bound until a restart. Memory that is in
use is reclaimed first. If more than the new limit stays in use, the command fails
and names the amount. "unlimited" removes a limit, and "default" restores the
default one.

` + options.ResourcesAbout + `

--label KEY=VALUE sets a label, --label -KEY removes it. The same holds for --env,
--sysctl and --allow. --dns and --search replace all former values.

--publish 8080:80 publishes a port, and --publish -8080 or -8080:80/tcp removes it,
at once: "croft help publish" has the forms. An ADDRESS or a protocol that a removal
does not name matches any.

Some settings of a running VPS take effect at its next start: --hostname, --env,
--sysctl, --allow, --id-size. The command names them, and "croft list --columns name,pending"
"croft status" and "croft inspect" show them until then. --at-restart defers the
other settings too: memory, for example. Addresses always change at once.

--id-size changes the number of user ids. More are possible if the ids of the host after
those of the VPS are free, fewer if it is stopped and has no files of the others. Its
first id stays. If that is not possible, and to make a VPS privileged or
unprivileged, its files would need other owners: make a template of it ("croft
template create") and a new VPS of that.

--ip-add and --ip-del change addresses, inside the VPS and on its networks, without
a restart. An address belongs to the interface whose network contains it;
INTERFACE:ADDRESS, for example eth1:10.90.0.9, insists on one. An address in use is
refused.

--network-add gives a VPS an interface on another network, and --network-del takes one
away with its addresses, both at once. Filters, rates and published ports follow. A
network of mode physical can change only while the VPS is stopped.

` + options.NetworkAbout + `

` + options.RateAbout + `

--device-add and --device-del change the devices of a running VPS at once. A program
that has a removed device open can use it until it closes it. After a device was
plugged in again, add it again, as before: it has another number then.

` + options.DeviceAbout + `

--mount-add mounts a directory or file of the host, a volume or a tmpfs, and
--mount-del removes a mount, in a running VPS too: see "croft help create". A mount
that is in use inside is not removed, and the error names the processes.

--onboot controls whether a boot of the host starts the VPS: yes, no, or last
(if it was running, or should have been, when the host went down). A VPS that
was stopped deliberately ("croft stop", or "poweroff" inside) stays stopped; one
that ended because of a power cut, a crash or the host's shutdown is started
again.

--file FILE takes settings from a file in YAML, or from standard input if FILE is
"-". A key is an option of create: "memory: 1G", "label: {tier: web}", "dns:
[192.0.2.1]". What the file does not name stays unchanged; a key without a value
restores the default. Options on the command line win.

--restart controls whether a VPS that ends is started again: on-failure after a
crash, a lack of memory or an exit status other than 0, always also after
"poweroff" inside. The pause before a restart is 100 ms, and doubles up to a minute
until the VPS has run for 10 s. After "croft stop" and "croft kill" a VPS stays
stopped, also if it waits to be started again. on-failure:N gives up after N
restarts without a run of 10 minutes.

--protect yes guards a VPS against a mistake: "croft destroy" refuses it, also
with --force or --all, and so does "croft reinstall", until --protect no. All other
commands work as before.

` + options.AccessAbout + "\n\n" + options.FirstBootAbout + ` "--first-boot none" withdraws a script
that has not run yet.

` + options.CredentialAbout + "\n\n" + options.CapabilityAbout + "\n\n" + options.DmesgAbout + "\n\n" + options.SeccompAbout + "\n\n" + options.FitAbout,
		Options: append(options.ChangeOptions(),
			cmdline.Option{Name: "file", Short: "f", Placeholder: "FILE", Kind: cmdline.Files, Usage: "settings in YAML: a file, or - for standard input"},
			cmdline.Option{Name: "at-restart", Usage: "save the changes; a running VPS gets them at its next start"},
			command.AllOption("change")),
		Synonyms: []string{"config", "change", "modify", "update"},
		Run:      a.Run(set),
	}
}

func set(ctx context.Context, i *command.Invocation) error {
	edits, what := options.SetEdits(i), options.InsideOf(i, true)
	if path := command.Get(i, "file", values.File); i.Err == nil && len(edits) == 0 && path == "" && !options.ChangesInside(i) {
		i.Err = command.UsageError("set: nothing to change")
	}
	m, names, err := command.NamesOf(ctx, i)
	if err != nil {
		return err
	}
	file, err := options.ReadSettings(i)
	if err != nil {
		return err
	}
	inside, err := options.InsideEdits(i, what) // reads standard input once for all VPSs
	if err != nil {
		return err
	}
	edits = append(edits, inside...)
	return command.TryEach(ctx, i, names, "change", func(name vps.Name) error {
		all, err := options.FileEdits(ctx, i, m, name, file)
		if err != nil {
			return err
		}
		if all = append(all, edits...); len(all) == 0 {
			return nil // the VPS has all settings of the file
		}
		if i.Is("at-restart") {
			for n, e := range all {
				all[n] = vps.AtRestart{Edit: e}
			}
		}
		return m.Change(ctx, name, all...)
	})
}

func renameVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "rename", Group: command.GroupChange, Args: "NAME NEW-NAME", Words: command.StoppedNames,
		Summary:  "rename a stopped VPS",
		Examples: []string{"croft rename web www"},
		Synonyms: []string{"mv", "ren"},
		About: `The VPS keeps its files, addresses, logs and published ports. Other VPSs reach it
by the new name at once. A host name that is the same as the old name changes
too; one that --hostname set does not.`,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			switch len(i.Words) {
			case 0:
				return command.UsageError("rename: no NAME given")
			case 1:
				return command.UsageError("rename: no NEW-NAME given")
			case 2:
			default:
				return command.UsageError("rename takes a NAME and a NEW-NAME; unexpected argument %q", i.Words[2])
			}
			names, err := command.ParseNames(i.Words)
			if err != nil {
				return command.UsageError("%w", err)
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			return command.Cannot("rename", string(names[0]), m.Rename(ctx, names[0], names[1]))
		}),
	}
}
