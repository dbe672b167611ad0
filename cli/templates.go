package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/runtime"
)

func (a *app) templateVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "template", Group: groupImages, Args: "COMMAND",
		Summary:  "build, import, list and remove templates",
		Synonyms: []string{"templates", "image"},
		Verbs: []*cmdline.Verb{
			a.templateBuildVerb(), a.templateCreateVerb(), a.templatePullVerb(), a.templatePushVerb(), a.templateImportVerb(),
			a.templateExportVerb(), a.templateListVerb(),
			a.templateInspectVerb(), a.templateRemoveVerb(), a.templatePruneVerb(), a.templateRecipeVerb(),
		},
	}
}

func (a *app) templateBuildVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "build", Args: "NAME", Words: recipeNames,
		Summary:  "build a template from its recipe",
		Examples: []string{"croft template build debian-12", "croft template build --recipe web.yaml web"},
		About: `A template that exists is built again; existing VPSs keep the old one. Prints the
new template as NAME@DIGEST. Needs the tool that installs the distribution, for
example mmdebstrap or debootstrap. With --recipe, NAME may be left out: the
template then gets the name of FILE without .yaml.`,
		Options: []cmdline.Option{
			{Name: "recipe", Short: "r", Placeholder: "FILE", Usage: "recipe file (default: the recipe NAME of /etc/croft/recipes or of croft)"},
			{Name: "mirror", Placeholder: "URL", Usage: "package archive of the distribution (default: the recipe's)"},
			{Name: "verbose", Short: "v", Usage: "print the output of the tool on stderr"},
		},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := runtime.TemplateBuild{RecipeFile: get(i, "recipe", values.File), Mirror: get(i, "mirror", values.Mirror)}
			if i.Is("verbose") {
				o.Log = i.screen.Log("")
			}
			if len(i.Words) == 0 && o.RecipeFile != "" {
				i.Words = []string{strings.TrimSuffix(filepath.Base(o.RecipeFile), ".yaml")}
			}
			return oneTemplate(i, "build", func(m Manager, name string) error {
				image, err := m.BuildTemplate(ctx, name, o)
				if err != nil {
					return err
				}
				return i.print(image.Name + "@" + image.Digest + "\n")
			})
		}),
	}
}

func (a *app) templateImportVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "import", Args: "NAME FILE|DIR|-", Words: templateNames, After: cmdline.Files,
		Summary: "create a template from files",
		Examples: []string{
			"croft template import web web.tar.gz",
			"docker save web:1 | croft template import web -",
		},
		About: `The file is a tar archive of a root filesystem, of an OCI image layout or of docker
save, plain or compressed with gzip, bzip2, xz or zstd. A directory is an OCI
image layout. "-" is standard input. The format is detected automatically. Prints
the new template as NAME@DIGEST.`,
		Options: []cmdline.Option{
			replaceOption(),
			{Name: "distribution", Placeholder: "NAME", Usage: "distribution (default: detected)"},
			{Name: "release", Placeholder: "RELEASE", Usage: "release of the distribution (default: detected)"},
			{Name: "variant", Placeholder: "NAME", Usage: "variant of the release (default: detected)"},
			{Name: "image", Placeholder: "NAME", Usage: "image to take if the archive has several: a name or digest"},
			architectureOption(), maxSizeOption(),
			{Name: "env", Short: "e", Placeholder: "NAME=VALUE", Many: true, Usage: "environment variable of its init; may be repeated"},
		},
		Run: a.run(templateImport),
	}
}

func templateImport(ctx context.Context, i *invocation) error {
	o := runtime.TemplateImport{
		Replace:      i.Is("replace"),
		Distribution: get(i, "distribution", values.Word),
		Release:      get(i, "release", values.Word),
		Variant:      get(i, "variant", values.Word),
		Architecture: get(i, "architecture", values.Word),
		Env:          getMany(i, "env", values.Env),
		Image:        get(i, "image", parseImage),
		MaxSize:      get(i, "max-size", parseMaxSize),
	}
	if len(i.Words) != 2 {
		return usageError("template import takes a NAME and a FILE or DIR, or - for standard input")
	}
	file := i.Words[1]
	i.Words = i.Words[:1]
	return oneTemplate(i, "import", func(m Manager, name string) error {
		var archive io.Reader = i.stdio.In
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return openError(file, err)
			}
			defer f.Close()
			archive = f
			if info, err := f.Stat(); err == nil && info.IsDir() {
				o.Dir, archive = file, strings.NewReader("")
			}
		}
		image, err := m.ImportTemplate(ctx, name, archive, o)
		if err != nil {
			return err
		}
		return i.print(image.Name + "@" + image.Digest + "\n")
	})
}

// openError says why a file that the user named cannot be opened.
func openError(file string, err error) error {
	kind := fail.Host
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = fail.NotFound
	case errors.Is(err, os.ErrPermission):
		kind = fail.Permission
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // without the path, which is said
	}
	return fail.New(kind, "open %s: %w", file, err)
}

func (a *app) templateListVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list templates",
		Examples: []string{"croft template list"},
		About: `busybox is built in: the table has it before it is used for the first time.
"croft template recipe" lists the templates that croft can build.`,
		Options: append(tableOptions("print everything about each template as a JSON array"), quietOption()),
		Aliases: []string{"ls"},
		AtRoot:  []string{"images"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o, m, err := listing[runtime.TemplateInfo](i)
			if err != nil {
				return err
			}
			images, err := m.Templates(ctx)
			if err != nil {
				return err
			}
			t := display.Table{{"NAME", "DIGEST", "SIZE", "CREATED"}}
			for _, image := range images {
				name := image.Name
				if image.Former {
					name += "@" + image.Digest
				}
				t = append(t, []string{name, image.Digest, sizes.Text(image.Size), timeText(image.Created)})
			}
			if o.Name == display.FormatTable && !i.Is("quiet") && !slices.ContainsFunc(images, func(im runtime.TemplateInfo) bool { return im.Name == builtIn && !im.Former }) {
				t = append(t, []string{builtIn, "built-in", "", "at first use"})
			}
			return printAll(o, images, t)
		}),
	}
}

func (a *app) templateInspectVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "inspect", Args: "NAME...", Words: templateNames,
		Query:    true,
		Summary:  "show everything about templates as JSON",
		Examples: []string{"croft template inspect debian-12"},
		About:    `One name gives an object, several names give an array.`,
		Options:  []cmdline.Option{jsonOption("accepted for consistency; output is always JSON"), objectFormatOption()},
		Aliases:  []string{"show"},
		Synonyms: []string{"info"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := objectsOf[runtime.TemplateInfo](i)
			var images []runtime.TemplateInfo
			first := eachWord(ctx, i, "inspect", values.Template, func(m Manager, name string) error {
				image, err := m.Template(ctx, name)
				if err == nil {
					images = append(images, image)
				}
				return err
			})
			if first != nil && len(images) == 0 {
				return first
			}
			if err := printOneOrMany(o, images); err != nil {
				return err
			}
			return first
		}),
	}
}

func (a *app) templateRemoveVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: templateNames,
		Summary:  "remove templates that no VPS uses",
		Examples: []string{"croft template remove debian-12"},
		About:    `A template that a VPS uses is not removed, and the command fails.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "destroy"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", values.Template, func(m Manager, name string) error { return m.RemoveTemplate(ctx, name) })
		}),
	}
}

func (a *app) templateRecipeVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "recipe", Args: "[NAME]", Words: recipeNames,
		Summary:  "list recipes, or print one",
		Examples: []string{"croft template recipe", "croft template recipe debian-12"},
		Options:  append(tableOptions("print the list as a JSON array"), quietOption()),
		Synonyms: []string{"recipes"},
		Run:      a.run(templateRecipe),
	}
}

func templateRecipe(_ context.Context, i *invocation) error {
	if len(i.Words) > 0 {
		for _, o := range []string{"json", "format", "quiet", "no-header", "wide"} {
			if i.Has(o) && i.Err == nil {
				i.Err = usageError("--%s: only without a NAME", o)
			}
		}
		name, err := templateName(i)
		if err != nil {
			return err
		}
		text, err := i.recipes.Recipe(name)
		if err != nil {
			return cannot("print the recipe", name, err)
		}
		return i.print(strings.TrimSuffix(text, "\n") + "\n")
	}
	o, err := listed[runtime.RecipeInfo](i)
	if err != nil {
		return err
	}
	recipes, err := i.recipes.Recipes()
	if err != nil {
		return err
	}
	t := display.Table{{"NAME", "DESCRIPTION", "INIT", "FROM"}}
	for _, r := range recipes {
		if r.Error != "" {
			i.screen.Warn(r.Name + ": " + r.Error)
		}
		t = append(t, []string{r.Name, r.Description, r.Init, r.From})
	}
	return printAll(o, recipes, t)
}

// oneTemplate calls do for the only word, a template's name.
func oneTemplate(i *invocation, act string, do func(Manager, string) error) error {
	name, err := templateName(i)
	if err != nil {
		return err
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	return cannot(act, name, do(m, name))
}

// templateName returns the only word, which can name a template.
func templateName(i *invocation) (string, error) {
	name, err := i.One("NAME")
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", usageError("a template's name is empty")
	}
	if _, err := values.Template(name); err != nil {
		return "", usageError("%w", err)
	}
	return name, i.Err
}
