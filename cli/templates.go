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

	"croft/internal/fail"
	"croft/runtime"
)

func templateVerb() *verb {
	return &verb{
		name: "template", group: groupImages, args: "COMMAND",
		summary:  "build, import, list and remove templates",
		synonyms: []string{"templates", "image"},
		verbs: []*verb{
			templateBuildVerb(), templateCreateVerb(), templatePullVerb(), templatePushVerb(), templateImportVerb(),
			templateExportVerb(), templateListVerb(),
			templateInspectVerb(), templateRemoveVerb(), templatePruneVerb(), templateRecipeVerb(),
		},
	}
}

func templateBuildVerb() *verb {
	return &verb{
		name: "build", args: "NAME", words: recipeNames,
		summary:  "build a template from its recipe",
		examples: []string{"croft template build debian-12", "croft template build --recipe web.yaml web"},
		about: `A template that exists is built again; existing VPSs keep the old one. Prints the
new template as NAME@DIGEST. Needs the tool that installs the distribution, for
example mmdebstrap or debootstrap. With --recipe, NAME may be left out: the
template then gets the name of FILE without .yaml.`,
		options: []option{
			{name: "recipe", short: "r", placeholder: "FILE", usage: "recipe file (default: the recipe NAME of /etc/croft/recipes or of croft)"},
			{name: "mirror", placeholder: "URL", usage: "package archive of the distribution (default: the recipe's)"},
			{name: "verbose", short: "v", usage: "print the output of the tool on stderr"},
		},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.TemplateBuild{RecipeFile: get(i, "recipe", parseFile), Mirror: get(i, "mirror", parseMirror)}
			if i.flags.Bool("verbose") {
				o.Log = i.screen.log("")
			}
			if len(i.words) == 0 && o.RecipeFile != "" {
				i.words = []string{strings.TrimSuffix(filepath.Base(o.RecipeFile), ".yaml")}
			}
			return oneTemplate(i, "build", func(m Manager, name string) error {
				image, err := m.BuildTemplate(ctx, name, o)
				if err != nil {
					return err
				}
				return i.print(image.Name + "@" + image.Digest + "\n")
			})
		},
	}
}

func templateImportVerb() *verb {
	return &verb{
		name: "import", args: "NAME FILE|DIR|-", words: templateNames, after: fileNames,
		summary: "create a template from files",
		examples: []string{
			"croft template import web web.tar.gz",
			"docker save web:1 | croft template import web -",
		},
		about: `The file is a tar archive of a root filesystem, of an OCI image layout or of docker
save, plain or compressed with gzip, bzip2, xz or zstd. A directory is an OCI
image layout. "-" is standard input. The format is detected automatically. Prints
the new template as NAME@DIGEST.`,
		options: []option{
			replaceOption(),
			{name: "distribution", placeholder: "NAME", usage: "distribution (default: detected)"},
			{name: "release", placeholder: "RELEASE", usage: "release of the distribution (default: detected)"},
			{name: "variant", placeholder: "NAME", usage: "variant of the release (default: detected)"},
			{name: "image", placeholder: "NAME", usage: "image to take if the archive has several: a name or digest"},
			architectureOption(), maxSizeOption(),
			{name: "env", short: "e", placeholder: "NAME=VALUE", many: true, usage: "environment variable of its init; may be repeated"},
		},
		run: templateImport,
	}
}

func templateImport(ctx context.Context, i *invocation) error {
	o := runtime.TemplateImport{
		Replace:      i.flags.Bool("replace"),
		Distribution: get(i, "distribution", parseWord),
		Release:      get(i, "release", parseWord),
		Variant:      get(i, "variant", parseWord),
		Architecture: get(i, "architecture", parseWord),
		Env:          getMany(i, "env", parseEnv),
		Image:        get(i, "image", parseImage),
		MaxSize:      get(i, "max-size", parseMaxSize),
	}
	if len(i.words) != 2 {
		return usageError("template import takes a NAME and a FILE or DIR, or - for standard input")
	}
	file := i.words[1]
	i.words = i.words[:1]
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

// builtIn is the template that is in croft itself.
const builtIn = "busybox"

func templateListVerb() *verb {
	return &verb{
		name:     "list",
		query:    true,
		summary:  "list templates",
		examples: []string{"croft template list"},
		about: `busybox is built in: the table has it before it is used for the first time.
"croft template recipe" lists the templates that croft can build.`,
		options: append(tableOptions("print everything about each template as a JSON array"), quietOption()),
		aliases: []string{"ls"},
		atRoot:  []string{"images"},
		run: func(ctx context.Context, i *invocation) error {
			o, m, err := listing[runtime.TemplateInfo](i)
			if err != nil {
				return err
			}
			images, err := m.Templates(ctx)
			if err != nil {
				return err
			}
			t := table{{"NAME", "DIGEST", "SIZE", "CREATED"}}
			for _, image := range images {
				name := image.Name
				if image.Former {
					name += "@" + image.Digest
				}
				t = append(t, []string{name, image.Digest, sizeText(image.Size), timeText(image.Created)})
			}
			if o.name == formatTable && !i.flags.Bool("quiet") && !slices.ContainsFunc(images, func(im runtime.TemplateInfo) bool { return im.Name == builtIn && !im.Former }) {
				t = append(t, []string{builtIn, "built-in", "", "at first use"})
			}
			return printAll(o, images, t)
		},
	}
}

// listing is what all verbs begin with that print one table of objects.
func listing[T any](i *invocation) (output, Manager, error) {
	o, err := listed[T](i)
	if err != nil {
		return o, nil, err
	}
	m, err := i.manager()
	return o, m, err
}

// listed is outputOf for a verb that takes no words.
func listed[T any](i *invocation) (output, error) {
	if err := i.none(); err != nil {
		return output{}, err
	}
	o := outputOf[T](i)
	return o, i.err
}

// quietOption is --quiet of verbs that list what has names.
func quietOption() option { return option{name: "quiet", short: "q", usage: "print only the names"} }

func templateInspectVerb() *verb {
	return &verb{
		name: "inspect", args: "NAME...", words: templateNames,
		query:    true,
		summary:  "show everything about templates as JSON",
		examples: []string{"croft template inspect debian-12"},
		about:    `One name gives an object, several names give an array.`,
		options:  []option{jsonOption("accepted for consistency; output is always JSON"), objectFormatOption()},
		aliases:  []string{"show"},
		synonyms: []string{"info"},
		run: func(ctx context.Context, i *invocation) error {
			o := objectsOf[runtime.TemplateInfo](i)
			var images []runtime.TemplateInfo
			first := eachWord(ctx, i, "inspect", parseTemplate, func(m Manager, name string) error {
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
		},
	}
}

func templateRemoveVerb() *verb {
	return &verb{
		name: "remove", args: "NAME...", words: templateNames,
		summary:  "remove templates that no VPS uses",
		examples: []string{"croft template remove debian-12"},
		about:    `A template that a VPS uses is not removed, and the command fails.`,
		aliases:  []string{"rm"},
		synonyms: []string{"delete", "destroy"},
		run: func(ctx context.Context, i *invocation) error {
			return eachWord(ctx, i, "remove", parseTemplate, func(m Manager, name string) error { return m.RemoveTemplate(ctx, name) })
		},
	}
}

func templateRecipeVerb() *verb {
	return &verb{
		name: "recipe", args: "[NAME]", words: recipeNames,
		summary:  "list recipes, or print one",
		examples: []string{"croft template recipe", "croft template recipe debian-12"},
		options:  append(tableOptions("print the list as a JSON array"), quietOption()),
		synonyms: []string{"recipes"},
		run:      templateRecipe,
	}
}

func templateRecipe(_ context.Context, i *invocation) error {
	if len(i.words) > 0 {
		for _, o := range []string{"json", "format", "quiet", "no-header", "wide"} {
			if i.has(o) && i.err == nil {
				i.err = usageError("--%s: only without a NAME", o)
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
	t := table{{"NAME", "DESCRIPTION", "INIT", "FROM"}}
	for _, r := range recipes {
		if r.Error != "" {
			i.screen.warn(r.Name + ": " + r.Error)
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
	name, err := i.one("NAME")
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", usageError("a template's name is empty")
	}
	if _, err := parseTemplate(name); err != nil {
		return "", usageError("%w", err)
	}
	return name, i.err
}

// eachWord is forEach for what is no VPS: each word is read by parse first.
func eachWord(ctx context.Context, i *invocation, act string, parse func(string) (string, error), do func(Manager, string) error) error {
	if len(i.words) == 0 {
		return usageError("%s: no NAME given", strings.Join(i.path, " "))
	}
	for _, w := range i.words {
		if w == "" {
			return usageError("a name is empty")
		}
		if _, err := parse(w); err != nil {
			return usageError("%w", err)
		}
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	return tryEach(ctx, i, i.words, act, func(name string) error { return do(m, name) })
}
