package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/internal/vps"
)

func (a *app) createVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Group: groupLife, Args: "NAME",
		Summary: "create a VPS from a template",
		Examples: []string{
			"croft create web --template debian-12 --memory 1G --publish 8080:80",
			"croft create web --template debian-12 --ssh-key ~/.ssh/id_ed25519.pub",
			"croft create db --template debian-12 --cpus 2 --hostname db.example.org",
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

` + resourcesAbout + `

` + mountAbout + `

` + networkAbout + `

` + rateAbout + `

` + deviceAbout + "\n\n" + accessAbout + "\n\n" + firstBootAbout + "\n\n" + credentialAbout + "\n\n" + capabilityAbout + "\n\n" + dmesgAbout + "\n\n" + fitAbout + "\n\n" + storageAbout,
		Options: append(settingOptions(), loginUserOption(), cmdline.Option{Name: "if-missing", Usage: "succeed without changes if the VPS already exists"}),
		Run:     a.run(create),
	}
}

func create(ctx context.Context, i *invocation) error {
	o := createOptions(i)
	o.IfMissing, o.Inside = i.Is("if-missing"), insideOf(i, true)
	return forOne(ctx, i, "create", func(ctx context.Context, m Manager, name vps.Name) error {
		if err := readInside(i, &o.Inside); err != nil {
			return err
		}
		var err error
		if o.Credentials, err = newCredentials(i); err != nil {
			return err
		}
		if o.FirstBoot, err = readFirstBoot(i); err != nil {
			return err
		}
		if _, err := m.Create(ctx, name, o); err != nil {
			return err
		}
		return i.print(string(name) + "\n")
	})
}
