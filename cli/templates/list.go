package templates

import (
	"context"
	"slices"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/options"
	"croft/internal/sizes"
	"croft/runtime"
)

func templateListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list templates",
		Examples: []string{"croft template list", "croft template list --all"},
		About: `busybox is built in: the table has it before it is used for the first time.

With --all the list also has the templates that croft can build from a recipe. "croft
create" builds such a template when it needs it. STATE is ready, former (a newer image
has the name), built-in (busybox, made at its first use) or recipe (not built yet).`,
		Options: append(command.TableOptions("print everything about each template as a JSON array"), command.QuietOption(),
			cmdline.Option{Name: "all", Short: "a", Usage: "also list templates that are not built yet"}),
		Aliases: []string{"ls"},
		AtRoot:  []string{"images"},
		Run:     a.Run(templateList),
	}
}

func templateList(ctx context.Context, i *command.Invocation) error {
	if i.Is("all") {
		return templateListAll(ctx, i)
	}
	o, m, err := command.Listing[runtime.TemplateInfo](i)
	if err != nil {
		return err
	}
	images, err := m.Templates(ctx)
	if err != nil {
		return err
	}
	t := display.Table{{"NAME", "DIGEST", "SIZE", "CREATED"}}
	for _, image := range images {
		t = append(t, []string{listedName(image), image.Digest, sizes.Text(image.Size), display.Time(image.Created)})
	}
	if o.Name == display.FormatTable && !i.Is("quiet") && !slices.ContainsFunc(images, func(im runtime.TemplateInfo) bool { return im.Name == options.BuiltIn && !im.Former }) {
		t = append(t, []string{options.BuiltIn, "built-in", "", "at first use"})
	}
	return command.PrintAll(o, images, t)
}

func listedName(image runtime.TemplateInfo) string {
	if image.Former {
		return image.Name + "@" + image.Digest
	}
	return image.Name
}

// A listed template is one that a VPS can be created from. docs/state.md has the keys.
type listed struct {
	runtime.TemplateInfo
	Created     *time.Time `json:"created"`     // null: it is not built yet
	State       string     `json:"state"`       // ready, former, built-in or recipe
	Description string     `json:"description"` // of its recipe
}

func templateListAll(ctx context.Context, i *command.Invocation) error {
	o, m, err := command.Listing[listed](i)
	if err != nil {
		return err
	}
	images, err := m.Templates(ctx)
	if err != nil {
		return err
	}
	recipes, err := i.Cookbook().Recipes()
	if err != nil {
		return err
	}
	all := withRecipes(images, recipes)
	t := display.Table{{"NAME", "STATE", "DIGEST", "SIZE", "CREATED", "DESCRIPTION"}}
	for _, l := range all {
		row := []string{listedName(l.TemplateInfo), l.State, l.Digest, "", "", l.Description}
		if l.Created != nil {
			row[3], row[4] = sizes.Text(l.Size), display.Time(*l.Created)
		}
		t = append(t, row)
	}
	for _, r := range recipes {
		if r.Error != "" {
			i.Screen.Warn(r.Name + ": " + r.Error)
		}
	}
	return command.PrintAll(o, all, t, "DESCRIPTION", "CREATED")
}

// withRecipes returns the images, and what can be built and is not there yet: by name.
// Recipes that cannot be read are left out.
func withRecipes(images []runtime.TemplateInfo, recipes []runtime.RecipeInfo) []listed {
	all, there, about := []listed{}, map[string]bool{}, map[string]string{options.BuiltIn: "BusyBox from this program"}
	for _, r := range recipes {
		about[r.Name] = r.Description
	}
	for _, image := range images {
		l := listed{TemplateInfo: image, Created: &image.Created, State: "ready", Description: about[image.Recipe]}
		if image.Former {
			l.State = "former"
		}
		there[image.Name] = there[image.Name] || !image.Former
		all = append(all, l)
	}
	missing := func(r runtime.RecipeInfo, state string) {
		if r.Error != "" || there[r.Name] {
			return
		}
		im := runtime.TemplateInfo{Name: r.Name, Distribution: r.Distribution, Release: r.Release, Variant: r.Variant, Init: r.Init, Layers: []string{}, Env: []string{}, Entrypoint: []string{}, Cmd: []string{}}
		there[r.Name], all = true, append(all, listed{TemplateInfo: im, State: state, Description: about[r.Name]})
	}
	missing(runtime.RecipeInfo{Name: options.BuiltIn}, "built-in")
	for _, r := range recipes {
		missing(r, "recipe")
	}
	slices.SortStableFunc(all, func(a, b listed) int { return strings.Compare(a.Name, b.Name) })
	return all
}
