package templates

import (
	"context"
	"errors"
	"os"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/runtime"
)

func templateTagVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "tag", Args: "TEMPLATE NAME", Words: command.TemplateNames,
		Summary:  "give a template one more name",
		Examples: []string{"croft template tag debian-13 base", "croft template tag debian-13@187bdaf3df3d debian-13-before"},
		About: `TEMPLATE is a name, NAME@DIGEST or a digest. Nothing is copied. A former image that has
a name again is kept by "croft template prune".`,
		Options: []cmdline.Option{
			{Name: "replace", Usage: "take NAME from another template; existing VPSs keep that one"},
		},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if len(i.Words) != 2 {
				return command.UsageError("template tag takes a TEMPLATE and a NAME")
			}
			name := i.Words[1]
			i.Words = i.Words[:1]
			if _, err := values.Template(name); err != nil {
				return command.UsageError("%w", err)
			}
			return oneTemplate(i, "tag", func(m command.Manager, of string) error {
				image, err := m.TagTemplate(ctx, of, name, i.Is("replace"))
				if err != nil {
					return err
				}
				return i.Print(image.Name + "@" + image.Digest + "\n")
			})
		}),
	}
}

func templateUntagVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "untag", Args: "NAME...", Words: command.TemplateNames,
		Summary:  "take names from templates that have several",
		Examples: []string{"croft template untag base"},
		About:    `The only name of a template stays, and the command fails: "croft template remove" removes a template.`,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "untag", values.Template, func(m command.Manager, name string) error { return m.UntagTemplate(ctx, name) })
		}),
	}
}

func templateUpdateVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "update", Args: "NAME... | --all", Words: command.TemplateNames,
		Summary:  "pull or build templates again",
		Examples: []string{"croft template update debian-13", "croft template update web --set port=81", "croft template update --all"},
		About: `A template that was pulled is pulled again from where it came. One that was built is
built again from the recipe of its name, and one of a file is imported again, with the
same options, if the file has changed. Existing VPSs keep the old image until
"croft rebase" gives them the new one; "croft list --filter outdated=true" lists them.
Prints each template that has changed as NAME@DIGEST.

A template that was built keeps --set, --mirror and --snapshot of its build. This build has
them too; the options here replace them, and the new template keeps those.

--all updates every template whose origin croft knows, and prints a message for each
other one.`,
		Options: []cmdline.Option{
			{Name: "all", Short: "a", Usage: "update every template"},
			InsecureOption(),
			setOption("value of a variable of the recipe; may be repeated"),
			mirrorOption("package archive of the distribution"), snapshotOption(),
			{Name: "verbose", Short: "v", Usage: "print the output of tools that build on stderr"},
		},
		Synonyms: []string{"upgrade", "refresh"},
		Run:      a.Run(templateUpdate),
	}
}

func templateUpdate(ctx context.Context, i *command.Invocation) error {
	o := runtime.TemplateRefresh{Insecure: i.Is("insecure"), BuildSettings: buildSettings(i)}
	if i.Is("verbose") {
		o.Log = i.Screen.Log("")
	}
	all := i.Is("all")
	if all != (len(i.Words) == 0) {
		return command.UsageError("template update takes a NAME or --all")
	}
	for _, option := range []string{"set", "mirror", "snapshot"} {
		if all && i.Has(option) {
			return command.UsageError("--%s cannot be used with --all: the recipes have different settings", option)
		}
	}
	if all {
		if err := addUpdatable(ctx, i, o); err != nil || len(i.Words) == 0 {
			return err
		}
	}
	return command.EachWord(ctx, i, "update", values.Template, func(m command.Manager, name string) error {
		image, changed, err := m.UpdateTemplate(ctx, name, o)
		switch {
		case err != nil:
			return err
		case !changed:
			i.Screen.Line(name + " is up to date")
			return nil
		}
		return i.Print(image.Name + "@" + image.Digest + "\n")
	})
}

// addUpdatable makes the words of i the templates that can be updated, and prints which
// ones cannot.
func addUpdatable(ctx context.Context, i *command.Invocation, o runtime.TemplateRefresh) error {
	m, err := i.Manager()
	if err != nil {
		return err
	}
	images, err := m.Templates(ctx)
	if err != nil {
		return err
	}
	for _, image := range images {
		switch {
		case image.Former:
		case image.Source == "" && image.Recipe == "":
			i.Screen.Line(image.Name + " is not updated: it was imported from standard input, or created from a VPS")
		case image.Source == "" && image.Recipe != image.Name:
			i.Screen.Line(image.Name + " is not updated: it was built from the recipe " + image.Recipe)
		case fileIsGone(image):
			i.Screen.Line(image.Name + " is not updated: " + image.Source + " is gone")
		default:
			i.Words = append(i.Words, image.Name)
		}
	}
	return nil
}

// fileIsGone reports whether the image was imported from a file that is not there any more.
func fileIsGone(image runtime.TemplateInfo) bool {
	file, ok := runtime.TemplateFile(image)
	if !ok {
		return false
	}
	_, err := os.Stat(file)
	return errors.Is(err, os.ErrNotExist)
}

func templateOutdatedVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "outdated", Args: "[NAME...]", Words: command.TemplateNames,
		Query:    true,
		Summary:  "say which templates have a newer image at their origin",
		Examples: []string{"croft template outdated", "croft template outdated --json debian-13"},
		About: `Asks the registry or the image server of each template, and downloads no image. Of a
template from a file, looks whether that has changed. Without names, looks at every
template.

  current    there is no newer image
  outdated   there is one; "croft template update" gets it
  unknown    croft cannot say; the last column has the reason

The exit status is 12 if a template is outdated.`,
		Options: append(command.TableOptions("print a JSON array"), InsecureOption()),
		Run:     a.Run(templateOutdated),
	}
}

func templateOutdated(ctx context.Context, i *command.Invocation) error {
	o := command.OutputOf[runtime.TemplateCheck](i)
	r := runtime.TemplateRefresh{Insecure: i.Is("insecure")}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	if len(i.Words) == 0 {
		images, err := m.Templates(ctx)
		if err != nil {
			return err
		}
		for _, image := range images {
			if !image.Former {
				i.Words = append(i.Words, image.Name)
			}
		}
	}
	var found []runtime.TemplateCheck
	var outdated []string
	t := display.Table{{"NAME", "STATE", "ORIGIN", "REASON"}}
	var failed error
	if len(i.Words) > 0 {
		failed = command.EachWord(ctx, i, "check", values.Template, func(m command.Manager, name string) error {
			c, err := m.CheckTemplate(ctx, name, r)
			if err != nil {
				return err
			}
			found = append(found, c)
			t = append(t, []string{c.Name, string(c.Freshness), c.Origin, c.Reason})
			if c.Freshness == runtime.TemplateOutdated {
				outdated = append(outdated, c.Name)
			}
			return nil
		})
	}
	if err := command.PrintAll(o, found, t); err != nil {
		return err
	}
	if failed == nil && len(outdated) > 0 {
		return fail.New(fail.Unwell, "outdated: %s", strings.Join(outdated, ", ")).WithHint("croft template update %s", strings.Join(outdated, " "))
	}
	return failed
}
