package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/templates"
	"croft/internal/vps"
)

func createVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Group: command.GroupLife, Args: "NAME",
		Summary: "create a VPS from a template",
		Examples: []string{
			"croft create web --template debian-12 --memory 1G --publish 8080:80",
			"croft create web --template debian-12 --ssh-key ~/.ssh/id_ed25519.pub",
			"croft create db --template debian-12 --cpus 2 --hostname db.example.org",
			"croft create web --from registry.example/backups/web:2026-03-01",
		},
		Aliases:  []string{"init"},
		Synonyms: []string{"new", "launch"},
		About: `Creates the VPS, does not start it, and prints its name. If TEMPLATE does not
exist but there is a recipe with that name, croft builds the template first.

NAME has 1 to 63 of a-z, 0-9 and "-", because other VPSs reach the VPS by this
name in DNS. For a VPS web.example.org use, for example, the name
web-example-org and --hostname web.example.org.

SIZE is 512M, 1.5G or a number of bytes; K, M, G and T are powers of 1024.
"unlimited" means no limit.

With --from the VPS gets what "croft push" has stored, as with "croft import": its
files, its settings and its identity, and its addresses and published ports if they are free
here. The options of "croft set" change the settings, --ip replaces an address, and
--network is then OLD=NEW, to use the network NEW of this host for OLD of the backup,
or none. Restore only backups that you trust.

` + options.ResourcesAbout + `

` + options.MountAbout + `

` + options.NetworkAbout + `

` + options.RateAbout + `

` + options.DeviceAbout + "\n\n" + options.AccessAbout + "\n\n" + options.FirstBootAbout + "\n\n" + options.CredentialAbout + "\n\n" + options.CapabilityAbout + "\n\n" + options.DmesgAbout + "\n\n" + options.SeccompAbout + "\n\n" + options.FitAbout + "\n\n" + options.StorageAbout,
		Options: append(options.SettingOptions(), options.LoginUserOption(),
			cmdline.Option{Name: "from", Placeholder: "REF", Usage: "restore the backup REF of a registry ([HOST/]REPOSITORY[:TAG][@DIGEST]) instead, with its settings"},
			templates.InsecureOption(),
			cmdline.Option{Name: "if-missing", Usage: "succeed without changes if the VPS already exists"}),
		Run: a.Run(create),
	}
}

func create(ctx context.Context, i *command.Invocation) error {
	if i.Has("from") {
		return createFrom(ctx, i)
	}
	i.OnlyWith("insecure", "from")
	o := options.CreateOptions(i)
	o.IfMissing, o.Inside = i.Is("if-missing"), options.InsideOf(i, true)
	return command.ForOne(ctx, i, "create", func(ctx context.Context, m command.Manager, name vps.Name) error {
		if err := options.ReadInside(i, &o.Inside); err != nil {
			return err
		}
		var err error
		if o.Credentials, err = options.NewCredentials(i); err != nil {
			return err
		}
		if o.FirstBoot, err = options.ReadFirstBoot(i); err != nil {
			return err
		}
		if _, err := m.Create(ctx, name, o); err != nil {
			return err
		}
		return i.Print(string(name) + "\n")
	})
}
