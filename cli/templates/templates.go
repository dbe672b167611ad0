// Package templates has the commands for templates and volumes.
package templates

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/runtime"
)

// TemplateVerb returns the command template.
func TemplateVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "template", Group: command.GroupImages, Args: "COMMAND",
		Summary:  "build, import, list and remove templates",
		Synonyms: []string{"templates", "image"},
		Verbs: []*cmdline.Verb{
			templateBuildVerb(a), templateCreateVerb(a), templatePullVerb(a), templatePushVerb(a), templateImportVerb(a),
			templateSearchVerb(a), templateRemoteVerb(a),
			templateExportVerb(a), templateListVerb(a), templateTagVerb(a), templateUntagVerb(a), templateUpdateVerb(a), templateOutdatedVerb(a),
			templateInspectVerb(a), templateRemoveVerb(a), templatePruneVerb(a), templateRecipeVerb(a),
		},
	}
}

func templateBuildVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "build", Args: "NAME", Words: command.RecipeNames,
		Summary:  "build a template from its recipe",
		Examples: []string{"croft template build debian-12", "croft template build debian-13 --snapshot 2026-01-01", "croft template build --recipe web.yaml web"},
		About: `A template that exists is built again; existing VPSs keep the old one. Prints the
new template as NAME@DIGEST. Needs the tool that installs the distribution, for
example mmdebstrap or debootstrap. With --recipe, NAME may be left out: the
template then gets the name of FILE without .yaml.

A recipe with "from" adds a layer to another template, and shares that one's layers.
If the recipe, its files and that template are the same as before, nothing is built;
--no-cache builds the layer again, with the newest packages. Other recipes are
always built again.

--snapshot takes the packages of a date, from the archive of snapshots that Debian and
Ubuntu have. The same recipe and date give the same digest. A --mirror must have
{{snapshot}} where the date goes, as in 20260101T000000Z.

The template keeps --set, --mirror and --snapshot for "croft template update", in its
config: "croft template inspect" shows them, and a registry gets them with a push.`,
		Options: []cmdline.Option{
			{Name: "recipe", Short: "r", Placeholder: "FILE", Usage: "recipe file (default: the recipe NAME of /etc/croft/recipes or of croft)"},
			mirrorOption("package archive of the distribution (default: the recipe's)"),
			snapshotOption(),
			setOption("value of a variable of the recipe; may be repeated"),
			{Name: "no-cache", Usage: "build a layer again that has not changed"},
			{Name: "verbose", Short: "v", Usage: "print the output of the tool on stderr"},
		},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.TemplateBuild{RecipeFile: command.Get(i, "recipe", values.File), BuildSettings: buildSettings(i), NoCache: i.Is("no-cache")}
			if i.Is("verbose") {
				o.Log = i.Screen.Log("")
			}
			if len(i.Words) == 0 && o.RecipeFile != "" {
				i.Words = []string{strings.TrimSuffix(filepath.Base(o.RecipeFile), ".yaml")}
			}
			return oneTemplate(i, "build", func(m command.Manager, name string) error {
				image, err := m.BuildTemplate(ctx, name, o)
				if err != nil {
					return err
				}
				return i.Print(image.Name + "@" + image.Digest + "\n")
			})
		}),
	}
}

func mirrorOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "mirror", Placeholder: "URL", Usage: usage}
}

func setOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "set", Placeholder: "NAME=VALUE", Many: true, Usage: usage}
}

func snapshotOption() cmdline.Option {
	return cmdline.Option{Name: "snapshot", Placeholder: "DATE", Usage: "packages of a date, for example 2026-01-01 or 20260101T083000Z"}
}

// buildSettings returns what --set, --mirror and --snapshot say.
func buildSettings(i *command.Invocation) runtime.TemplateSettings {
	return runtime.TemplateSettings{
		Set: recipeVariables(i), Mirror: command.Get(i, "mirror", values.Mirror), Snapshot: command.Get(i, "snapshot", runtime.ParseSnapshot),
	}
}

// recipeVariables returns the values of --set.
func recipeVariables(i *command.Invocation) map[string]string {
	var all map[string]string
	for _, v := range command.GetMany(i, "set", parseVariable) {
		if _, twice := all[v.name]; twice && i.Err == nil {
			i.Err = command.UsageError("--set: variable %q is given twice", v.name)
		}
		if all == nil {
			all = map[string]string{}
		}
		all[v.name] = v.value
	}
	return all
}

// A recipeVariable is a value of --set.
type recipeVariable struct{ name, value string }

// parseVariable parses a value of --set.
func parseVariable(text string) (recipeVariable, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return recipeVariable{}, fail.New(fail.Usage, "invalid variable %q (example: port=8080)", text)
	}
	return recipeVariable{name, value}, nil
}

func templateImportVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "import", Args: "NAME FILE|DIR|-", Words: command.TemplateNames, After: cmdline.Files,
		Summary: "create a template from files",
		Examples: []string{
			"croft template import web web.tar.gz",
			"docker save web:1 | croft template import web -",
		},
		About: `The file is a tar archive of a root filesystem, of an OCI image layout, of docker save,
or of an image of Incus or LXD; or an image of squashfs, of a file system or of a
disk, such as a cloud image: raw or qcow2 (which needs qemu-img). It may be compressed
with gzip, bzip2, xz or zstd. A directory is an OCI image layout. "-" is standard input. The format is detected automatically. Prints
the new template as NAME@DIGEST.`,
		Options: []cmdline.Option{
			replaceOption(),
			{Name: "distribution", Placeholder: "NAME", Usage: "distribution (default: detected)"},
			{Name: "release", Placeholder: "RELEASE", Usage: "release of the distribution (default: detected)"},
			{Name: "variant", Placeholder: "NAME", Usage: "variant of the release (default: detected)"},
			{Name: "image", Placeholder: "NAME", Usage: "image to take if the archive has several: a name or digest"},
			architectureOption(), MaxSizeOption(),
			{Name: "env", Short: "e", Placeholder: "NAME=VALUE", Many: true, Usage: "environment variable of its init; may be repeated"},
		},
		Run: a.Run(templateImport),
	}
}

func templateImport(ctx context.Context, i *command.Invocation) error {
	o := runtime.TemplateImport{
		Replace:      i.Is("replace"),
		Distribution: command.Get(i, "distribution", values.Word),
		Release:      command.Get(i, "release", values.Word),
		Variant:      command.Get(i, "variant", values.Word),
		Architecture: command.Get(i, "architecture", values.Word),
		Env:          command.GetMany(i, "env", values.Env),
		Image:        command.Get(i, "image", parseImage),
		MaxSize:      command.Get(i, "max-size", ParseMaxSize),
	}
	if len(i.Words) != 2 {
		return command.UsageError("template import takes a NAME and a FILE or DIR, or - for standard input")
	}
	file := i.Words[1]
	i.Words = i.Words[:1]
	return oneTemplate(i, "import", func(m command.Manager, name string) error {
		var archive io.Reader = i.Stdio.In
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return fail.Open(file, err)
			}
			defer f.Close()
			archive, o.File = f, file
			if info, err := f.Stat(); err == nil && info.IsDir() {
				o.Dir, o.File, archive = file, "", strings.NewReader("")
			}
		}
		image, err := m.ImportTemplate(ctx, name, archive, o)
		if err != nil {
			return err
		}
		return i.Print(image.Name + "@" + image.Digest + "\n")
	})
}

func templateInspectVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: command.TemplateNames,
		Query:    true,
		Summary:  "show everything about templates as JSON",
		Examples: []string{"croft template inspect debian-12"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{command.JsonOption("accepted for consistency; output is always JSON"), command.ObjectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.ObjectsOf[runtime.TemplateInfo](i)
			var images []runtime.TemplateInfo
			first := command.EachWord(ctx, i, "inspect", values.Template, func(m command.Manager, name string) error {
				image, err := m.Template(ctx, name)
				if err == nil {
					images = append(images, image)
				}
				return err
			})
			if first != nil && len(images) == 0 {
				return first
			}
			if err := command.PrintOneOrMany(o, images); err != nil {
				return err
			}
			return first
		}),
	}
}

func templateRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: command.TemplateNames,
		Summary:  "remove templates that no VPS uses",
		Examples: []string{"croft template remove debian-12"},
		About:    `A template that a VPS uses is not removed, and the command fails.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "destroy"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "remove", values.Template, func(m command.Manager, name string) error { return m.RemoveTemplate(ctx, name) })
		}),
	}
}

func templateRecipeVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "recipe", Args: "[NAME]", Words: command.RecipeNames,
		Summary:  "list recipes, or print one",
		Examples: []string{"croft template recipe", "croft template recipe debian-12"},
		About: `TOOL is the program of this host that builds the recipe, or what is missing: programs,
and the keys of the distribution. PACKAGES are the packages that bring them.`,
		Options:  append(command.TableOptions("print the list as a JSON array"), command.QuietOption()),
		Synonyms: []string{"recipes"},
		Run:      a.Run(templateRecipe),
	}
}

func templateRecipe(_ context.Context, i *command.Invocation) error {
	if len(i.Words) > 0 {
		for _, o := range []string{"json", "format", "quiet", "no-header", "wide"} {
			if i.Has(o) && i.Err == nil {
				i.Err = command.UsageError("--%s: only without a NAME", o)
			}
		}
		name, err := templateName(i)
		if err != nil {
			return err
		}
		text, err := i.Cookbook().Recipe(name)
		if err != nil {
			return command.Cannot("print the recipe", name, err)
		}
		return i.Print(strings.TrimSuffix(text, "\n") + "\n")
	}
	o, err := command.Listed[runtime.RecipeInfo](i)
	if err != nil {
		return err
	}
	recipes, err := i.Cookbook().Recipes()
	if err != nil {
		return err
	}
	t := display.Table{{"NAME", "DESCRIPTION", "INIT", "TOOL", "PACKAGES", "FROM"}}
	for _, r := range recipes {
		if r.Error != "" {
			i.Screen.Warn(r.Name + ": " + r.Error)
		}
		t = append(t, []string{r.Name, r.Description, r.Init, toolText(r), strings.Join(r.Packages, " "), r.From})
	}
	return command.PrintAll(o, recipes, t, "FROM", "INIT")
}

// toolText returns the program that builds a recipe, or what this host lacks. The name of a
// file with keys is long, and in the JSON output.
func toolText(r runtime.RecipeInfo) string {
	if len(r.Missing) == 0 {
		return r.Tool
	}
	var all []string
	for _, m := range r.Missing {
		if strings.HasPrefix(m, "/") {
			m = "keys"
		}
		all = append(all, m)
	}
	return "missing: " + strings.Join(all, ", ")
}

// oneTemplate calls do for the only word, a template's name.
func oneTemplate(i *command.Invocation, act string, do func(command.Manager, string) error) error {
	name, err := templateName(i)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return command.Cannot(act, name, do(m, name))
}

// templateName returns the only word, which can name a template.
func templateName(i *command.Invocation) (string, error) {
	name, err := i.One("NAME")
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", command.UsageError("a template's name is empty")
	}
	if _, err := values.Template(name); err != nil {
		return "", command.UsageError("%w", err)
	}
	return name, i.Err
}
