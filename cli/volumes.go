package cli

import (
	"context"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/values"
	"croft/runtime"
)

func (a *app) volumeVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "volume", Group: groupImages, Args: "COMMAND",
		Summary:  "create, list and remove named volumes",
		Synonyms: []string{"volumes", "vol"},
		Examples: []string{"croft volume create data", "croft set web --mount-add data:/srv/data"},
		About: `A volume is a directory for files that outlive VPSs. Croft keeps it under the state
directory. Several VPSs may have it at the same time, each with ids of its own: root of
each VPS is the owner of what root of another one creates.

"croft create --mount NAME:TARGET" and "croft set --mount-add NAME:TARGET" give it to
a VPS.`,
		Verbs: []*cmdline.Verb{a.volumeCreateVerb(), a.volumeListVerb(), a.volumeInspectVerb(), a.volumeRemoveVerb()},
	}
}

func (a *app) volumeCreateVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME...",
		Summary:  "create volumes",
		Examples: []string{"croft volume create data"},
		About:    `A new volume is empty and belongs to root inside. Prints the names.`,
		Synonyms: []string{"add", "new"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "create volume", values.Volume, func(m Manager, name string) error {
				if err := m.CreateVolume(ctx, name); err != nil {
					return err
				}
				return i.print(name + "\n")
			})
		}),
	}
}

func (a *app) volumeListVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list volumes and the VPSs that have them",
		Examples: []string{"croft volume list"},
		Options:  append(tableOptions("print everything about each volume as a JSON array"), quietOption()),
		Aliases:  []string{"ls"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o, m, err := listing[runtime.VolumeInfo](i)
			if err != nil {
				return err
			}
			all, err := m.Volumes(ctx)
			if err != nil {
				return err
			}
			return printAll(o, all, volumeTable(all))
		}),
	}
}

func volumeTable(all []runtime.VolumeInfo) display.Table {
	t := display.Table{{"NAME", "CREATED", "USED BY"}}
	for _, v := range all {
		var users []string
		for _, name := range v.UsedBy {
			users = append(users, string(name))
		}
		t = append(t, []string{v.Name, v.Created.Local().Format(time.DateTime), strings.Join(users, ",")})
	}
	return t
}

func (a *app) volumeInspectVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: volumeNames,
		Query:    true,
		Summary:  "show everything about volumes as JSON",
		Examples: []string{"croft volume inspect data"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{jsonOption("accepted for consistency; output is always JSON"), objectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := objectsOf[runtime.VolumeInfo](i)
			var volumes []runtime.VolumeInfo
			first := eachWord(ctx, i, "inspect", values.Volume, func(m Manager, name string) error {
				v, err := m.Volume(ctx, name)
				if err == nil {
					volumes = append(volumes, v)
				}
				return err
			})
			if first != nil && len(volumes) == 0 {
				return first
			}
			if err := printOneOrMany(o, volumes); err != nil {
				return err
			}
			return first
		}),
	}
}

func (a *app) volumeRemoveVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: volumeNames,
		Summary:  "delete volumes and their files",
		Examples: []string{"croft volume remove data"},
		About:    `A volume that a VPS has in its settings is refused, whether the VPS runs or not.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "del", "destroy"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", values.Volume, func(m Manager, name string) error { return m.RemoveVolume(ctx, name) })
		}),
	}
}
