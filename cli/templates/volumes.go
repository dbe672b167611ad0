package templates

import (
	"context"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/runtime"
)

// VolumeVerb returns the command volume.
func VolumeVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "volume", Group: command.GroupImages, Args: "COMMAND",
		Summary:  "create, list and remove named volumes",
		Synonyms: []string{"volumes", "vol"},
		Examples: []string{"croft volume create data", "croft set web --mount-add data:/srv/data"},
		About: `A volume is a directory for files that outlive VPSs. Croft keeps it under the state
directory. Several VPSs may have it at the same time, each with ids of its own: root of
each VPS is the owner of what root of another one creates.

"croft create --mount NAME:TARGET" and "croft set --mount-add NAME:TARGET" give it to
a VPS.`,
		Verbs: []*cmdline.Verb{volumeCreateVerb(a), volumeListVerb(a), volumeInspectVerb(a), volumeRemoveVerb(a)},
	}
}

func volumeCreateVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME...",
		Summary:  "create volumes",
		Examples: []string{"croft volume create data"},
		About:    `A new volume is empty and belongs to root inside. Prints the names.`,
		Synonyms: []string{"add", "new"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "create volume", values.Volume, func(m command.Manager, name string) error {
				if err := m.CreateVolume(ctx, name); err != nil {
					return err
				}
				return i.Print(name + "\n")
			})
		}),
	}
}

func volumeListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list volumes and the VPSs that have them",
		Examples: []string{"croft volume list"},
		Options:  append(command.TableOptions("print everything about each volume as a JSON array"), command.QuietOption()),
		Aliases:  []string{"ls"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o, m, err := command.Listing[runtime.VolumeInfo](i)
			if err != nil {
				return err
			}
			all, err := m.Volumes(ctx)
			if err != nil {
				return err
			}
			return command.PrintAll(o, all, volumeTable(all))
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

func volumeInspectVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: command.VolumeNames,
		Query:    true,
		Summary:  "show everything about volumes as JSON",
		Examples: []string{"croft volume inspect data"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{command.JsonOption("accepted for consistency; output is always JSON"), command.ObjectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.ObjectsOf[runtime.VolumeInfo](i)
			var volumes []runtime.VolumeInfo
			first := command.EachWord(ctx, i, "inspect", values.Volume, func(m command.Manager, name string) error {
				v, err := m.Volume(ctx, name)
				if err == nil {
					volumes = append(volumes, v)
				}
				return err
			})
			if first != nil && len(volumes) == 0 {
				return first
			}
			if err := command.PrintOneOrMany(o, volumes); err != nil {
				return err
			}
			return first
		}),
	}
}

func volumeRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: command.VolumeNames,
		Summary:  "delete volumes and their files",
		Examples: []string{"croft volume remove data"},
		About:    `A volume that a VPS has in its settings is refused, whether the VPS runs or not.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "del", "destroy"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "remove", values.Volume, func(m command.Manager, name string) error { return m.RemoveVolume(ctx, name) })
		}),
	}
}
