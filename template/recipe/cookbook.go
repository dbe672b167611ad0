package recipe

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/template/busybox"
	"croft/template/layer"
)

//go:embed recipes/*.yaml
var embedded embed.FS

// embeddedFrom is where an embedded recipe is from.
const embeddedFrom = "croft"

// Dir is the default directory of a host's own recipes.
const Dir = "/etc/croft/recipes"

// Info describes a recipe in a list.
type Info struct {
	Name         string `json:"name"`
	Description  string `json:"description"`
	Distribution string `json:"distribution"`
	Release      string `json:"release"`
	Variant      string `json:"variant"`
	Init         string `json:"init"`
	From         string `json:"from"`            // its file, or "croft" if it is embedded in the binary
	Error        string `json:"error,omitempty"` // why it cannot be used; "" if it can

	Tool     string   `json:"tool"`     // that builds it; the preferred one if none is on this host; "" needs none
	Missing  []string `json:"missing"`  // programs and files with keys that a build needs and this host lacks
	Packages []string `json:"packages"` // that bring them
	Install  string   `json:"install"`  // the command that installs them; "" if this host is not known to have the packages
}

// maxExtends limits a chain of recipes that extend each other, and ends a cycle.
const maxExtends = 16

// A Cookbook finds recipes by name: first in a directory of the host, then among
// those in the binary.
type Cookbook struct{ dir string }

// text returns the text of the recipe name, and its file or "croft".
func (c Cookbook) text(name string) (b []byte, from string, err error) {
	if err := CheckName(name); err != nil {
		return nil, "", err
	}
	from = filepath.Join(c.dir, name+".yaml")
	b, err = os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		from = embeddedFrom
		b, err = embedded.ReadFile("recipes/" + name + ".yaml")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fail.New(fail.NotFound, "no recipe %q", name).WithHint("croft template recipe")
	}
	return b, from, layer.HostError(err)
}

// Text returns the text of the recipe name: from overrideDir ("" is Dir) if it is
// there, else from the binary. A missing one is fail.NotFound.
func Text(overrideDir, name string) (string, error) {
	if name == busybox.Name {
		return "", fail.New(fail.NotFound, "template %s is embedded in croft and has no recipe", name).WithHint("croft template build %s", name)
	}
	b, _, err := OpenCookbook(overrideDir).text(name)
	return string(b), err
}

// OpenCookbook returns the cookbook of the directory dir. "" is Dir. It reads
// nothing yet.
func OpenCookbook(dir string) Cookbook {
	if dir == "" {
		dir = Dir
	}
	return Cookbook{dir}
}

// List returns the recipes that templates can be built from, sorted by name, and the
// embedded busybox. A recipe in overrideDir ("" is Dir) replaces that of the same
// name in the binary. An invalid recipe is in the list with its error.
func List(overrideDir string) ([]Info, error) {
	c := OpenCookbook(overrideDir)
	names := map[string]bool{}
	for _, pattern := range []fs.FS{os.DirFS(c.dir), mustSub(embedded, "recipes")} {
		files, err := fs.Glob(pattern, "*.yaml")
		if err != nil {
			return nil, fmt.Errorf("list recipes: %w", err)
		}
		for _, f := range files {
			names[strings.TrimSuffix(f, ".yaml")] = true
		}
	}
	all := []Info{{Name: busybox.Name, Description: "busybox, embedded: needs no network and no tools", Distribution: busybox.Name, Init: string(initkind.Busybox), From: embeddedFrom, Missing: []string{}, Packages: []string{}}}
	for name := range names {
		if name == busybox.Name {
			continue // Ensure and Build take the embedded one
		}
		_, from, err := c.text(name)
		r := Recipe{Name: name}
		if err == nil {
			r, err = c.Read(name)
		}
		if err == nil && r.Abstract {
			continue
		}
		if base, berr := c.Read(r.From); err == nil && r.From != "" && berr == nil {
			r.Distribution, r.Release, r.Init = base.Distribution, base.Release, base.Init
		}
		in := Info{Name: name, Description: r.Description, Distribution: r.Distribution, Release: r.Release, Variant: r.Variant, Init: r.Init, From: from, Missing: []string{}, Packages: []string{}}
		if err == nil && r.From == "" {
			w := workshopOf(r)
			in.Tool, in.Missing, in.Packages, in.Install = w.tool, append(in.Missing, w.missing...), append(in.Packages, w.packages...), w.install
		}
		if err != nil {
			in.Error = err.Error()
		}
		all = append(all, in)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func mustSub(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // dir is a constant
	}
	return sub
}

// Read returns the recipe name, completed with all recipes that it extends. A
// missing one is fail.NotFound, an invalid one fail.Usage.
func (c Cookbook) Read(name string) (Recipe, error) {
	b, from, err := c.text(name)
	if err != nil {
		return Recipe{}, err
	}
	return c.complete(b, name, from, maxExtends)
}

// ReadFile is Read of a recipe in any file. The recipes that it extends come from c.
func (c Cookbook) ReadFile(name, file string) (Recipe, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Recipe{}, fail.New(fail.NotFound, "read a recipe: %w", err)
	}
	if err != nil {
		return Recipe{}, layer.HostError(fmt.Errorf("read a recipe: %w", err))
	}
	return c.complete(b, name, file, maxExtends)
}

func (c Cookbook) complete(b []byte, name, from string, depth int) (Recipe, error) {
	r, found := parseRecipe(b)
	r.Name, r.places = name, placesOf(b, name, from)
	found = append(found, r.loadFiles(b, from)...)
	if len(found) == 0 && depth == 0 {
		found = problems{{text: fmt.Sprintf("it extends itself, or more than %d others", maxExtends)}}
	}
	if len(found) > 0 {
		bad := fail.New(fail.Usage, "recipe %s (%s): %w", name, from, found)
		if keys := found.keys(); keys != nil {
			bad = bad.WithHint("the keys are %s", strings.Join(keys, ", "))
		}
		return r, bad
	}
	if r.Extends != "" {
		pb, pfrom, err := c.text(r.Extends)
		if err != nil {
			return r, fail.New(fail.Usage, "recipe %s (%s): extends: %w", name, from, err)
		}
		parent, err := c.complete(pb, r.Extends, pfrom, depth-1)
		if err != nil {
			return r, err
		}
		r = parent.extended(r)
	}
	if depth < maxExtends || r.Abstract {
		return r, nil
	}
	if err := r.wrong(r.wholeFlaws(), b); err != nil {
		return r, fail.New(fail.Usage, "recipe %s (%s): %w", name, from, err)
	}
	if r.From == "" {
		return r, nil
	}
	all, err := c.Read("debian") // abstract: it says what every build removes
	if err != nil {
		return r, err
	}
	r.Clean = appendNew(all.Clean, r.Clean)
	return r, c.checkLayers(r, from)
}

// checkLayers is fail.Usage if r is, over other recipes, a layer over itself: a build would
// never end.
func (c Cookbook) checkLayers(r Recipe, from string) error {
	seen := []string{r.Name}
	for at := r; at.From != ""; {
		if slices.Contains(seen, at.From) {
			return fail.New(fail.Usage, "recipe %s (%s): from: it is a layer over itself: %s", r.Name, from, strings.Join(append(seen, at.From), ", "))
		}
		seen = append(seen, at.From)
		b, _, err := c.text(at.From)
		if fail.Is(err, fail.NotFound) {
			return nil // the template may exist, however it came into being
		}
		if err != nil {
			return err
		}
		next, found := parseRecipe(b)
		if len(found) > 0 {
			return nil // its own build reports them
		}
		if next.From == "" && next.Extends != "" {
			if whole, err := c.chain(next, maxExtends); err == nil {
				next.From = whole
			}
		}
		at = next
	}
	return nil
}

// chain returns what the recipes that r extends say in "from".
func (c Cookbook) chain(r Recipe, depth int) (string, error) {
	for ; r.From == "" && r.Extends != "" && depth > 0; depth-- {
		b, _, err := c.text(r.Extends)
		if err != nil {
			return "", err
		}
		r, _ = parseRecipe(b)
	}
	return r.From, nil
}
