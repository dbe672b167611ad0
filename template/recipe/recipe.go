// Package recipe reads recipes of templates, and plans and confines the command
// that builds the root filesystem of one.
package recipe

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/template/busybox"
	"croft/template/layer"
)

//go:embed recipes/*.yaml
var embedded embed.FS

// RecipesDir is where a host keeps recipes of its own.
const RecipesDir = "/etc/croft/recipes"

// A Recipe says what a template is made of: docs/templates.md.
type Recipe struct {
	Name         string            `yaml:"-" json:"name"`     // of its file
	Extends      string            `yaml:"extends" json:"-"`  // the recipe that it adds to
	Abstract     bool              `yaml:"abstract" json:"-"` // only to be extended
	Description  string            `yaml:"description" json:"description"`
	Distribution string            `yaml:"distribution" json:"distribution"`
	Release      string            `yaml:"release" json:"release"`
	Suite        string            `yaml:"suite" json:"suite"` // as the package archive calls the release
	Released     string            `yaml:"released" json:"released"`
	Variant      string            `yaml:"variant" json:"variant"`
	Architecture string            `yaml:"architecture" json:"architecture"` // as Debian calls it; "" is the host's
	Init         string            `yaml:"init" json:"init"`
	ContainerEnv string            `yaml:"container" json:"container"` // what init finds in $container; "" is croft
	Environment  map[string]string `yaml:"environment" json:"environment"`
	Components   []string          `yaml:"components" json:"components"`
	Packages     []string          `yaml:"packages" json:"packages"` // -name takes away one that was inherited
	Repositories []Repository      `yaml:"repositories" json:"repositories"`
	Scripts      Scripts           `yaml:"scripts" json:"scripts"`
	Clean        []string          `yaml:"clean" json:"clean"` // paths inside, with * and ?, removed at the end

	// CheckValidUntil false takes package indexes whose date has expired, as those
	// of a snapshot. Nil is true.
	CheckValidUntil *bool `yaml:"check-valid-until" json:"checkValidUntil,omitempty"`

	places map[string]place `yaml:"-"` // of packages, without their versions and suites
}

// A Repository is a package archive beside the distribution's own.
type Repository struct {
	URI        string   `yaml:"uri" json:"uri"`
	Suites     []string `yaml:"suites" json:"suites"`
	Components []string `yaml:"components" json:"components"`
	Key        string   `yaml:"key" json:"key"` // an armored OpenPGP public key
}

// Scripts are run by /bin/sh -eu inside the new system, as its root.
type Scripts struct {
	PreInstall  string `yaml:"pre-install" json:"preInstall"`   // when only what dpkg and apt need is there
	PostInstall string `yaml:"post-install" json:"postInstall"` // when all packages are there
}

// A RecipeInfo is a recipe in a list.
type RecipeInfo struct {
	Name         string `json:"name"`
	Description  string `json:"description"`
	Distribution string `json:"distribution"`
	Release      string `json:"release"`
	Variant      string `json:"variant"`
	Init         string `json:"init"`
	From         string `json:"from"`            // its file, or "croft" for one in the binary
	Error        string `json:"error,omitempty"` // why it cannot be used
}

// maxExtends bounds a chain of recipes, and a circle.
const maxExtends = 16

// A cookbook is where recipes are looked for: the host's directory, then the binary.
type Cookbook struct{ dir string }

// text is the file of the recipe name, and where it is.
func (c Cookbook) text(name string) (b []byte, from string, err error) {
	if err := CheckName(name); err != nil {
		return nil, "", err
	}
	from = filepath.Join(c.dir, name+".yaml")
	b, err = os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		from = "croft"
		b, err = embedded.ReadFile("recipes/" + name + ".yaml")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fail.New(fail.NotFound, "no recipe %q", name).WithHint("croft template recipe")
	}
	return b, from, layer.HostError(err)
}

// RecipeText returns the text of the recipe name: that in overrideDir if there
// is one ("" is RecipesDir), else the one in the binary.
func RecipeText(overrideDir, name string) (string, error) {
	if name == busybox.Name {
		return "", fail.New(fail.NotFound, "template %s is embedded in croft and has no recipe", name).WithHint("croft template build %s", name)
	}
	b, _, err := OpenCookbook(overrideDir).text(name)
	return string(b), err
}

func OpenCookbook(dir string) Cookbook {
	if dir == "" {
		dir = RecipesDir
	}
	return Cookbook{dir}
}

// Recipes returns what templates can be built from, by name: the embedded
// busybox, and recipes. Those in overrideDir ("" is RecipesDir) come before
// those in the binary. One that is damaged is listed with its error.
func Recipes(overrideDir string) ([]RecipeInfo, error) {
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
	all := []RecipeInfo{{Name: busybox.Name, Description: "busybox, embedded: needs no network and no tools", Distribution: busybox.Name, Init: string(initkind.Busybox), From: "croft"}}
	for name := range names {
		if name == busybox.Name {
			continue // Ensure and Build take the embedded one
		}
		_, from, err := c.text(name)
		r := Recipe{Name: name}
		if err == nil {
			r, err = c.Recipe(name)
		}
		if err == nil && r.Abstract {
			continue
		}
		in := RecipeInfo{Name: name, Description: r.Description, Distribution: r.Distribution, Release: r.Release, Variant: r.Variant, Init: r.Init, From: from}
		if err != nil {
			in.Error = err.Error()
		}
		all = append(all, in)
	}
	slices.SortFunc(all, func(a, b RecipeInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func mustSub(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // dir is a constant
	}
	return sub
}

// recipe reads the recipe name with all that it extends.
func (c Cookbook) Recipe(name string) (Recipe, error) {
	b, from, err := c.text(name)
	if err != nil {
		return Recipe{}, err
	}
	return c.complete(b, name, from, maxExtends)
}

// recipeFile reads a recipe from a file anywhere; what it extends comes from c.
func (c Cookbook) RecipeFile(name, file string) (Recipe, error) {
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
	r, err := parseRecipe(b)
	r.Name, r.places = name, placesOf(b, name, from)
	if err == nil && depth == 0 {
		err = fmt.Errorf("it extends itself, or more than %d others", maxExtends)
	}
	var unknown *unknownKeyError
	if errors.As(err, &unknown) {
		return r, fail.New(fail.Usage, "recipe %s (%s): %w", name, from, err).WithHint("the keys are %s", strings.Join(unknown.keys, ", "))
	}
	if err != nil {
		return r, fail.New(fail.Usage, "recipe %s (%s): %w", name, from, err)
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
	if err := r.check(); err != nil && depth == maxExtends && !r.Abstract {
		return r, fail.New(fail.Usage, "recipe %s (%s): %w", name, from, err)
	}
	return r, nil
}

// parseRecipe reads one recipe as it is written. A key that recipes do not
// have is an error.
func parseRecipe(b []byte) (Recipe, error) {
	var r Recipe
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&r); err == io.EOF {
		return r, errors.New("it is empty")
	} else if err != nil {
		return r, yamlError(err)
	}
	if err := d.Decode(new(Recipe)); err != io.EOF {
		return r, errors.New("it is more than one document")
	}
	return r, nil
}

// placesOf is where the recipe name, whose text b came from the file from, names
// packages.
func placesOf(b []byte, name, from string) map[string]place {
	var list struct {
		Packages []yaml.Node `yaml:"packages"`
	}
	_ = yaml.Unmarshal(b, &list) // parseRecipe says what is wrong with it
	all := map[string]place{}
	for _, p := range list.Packages {
		all[packageName(p.Value)] = place{name, from, p.Line}
	}
	return all
}

// packageName is a package of a recipe's without a version, suite or architecture.
func packageName(p string) string {
	if i := strings.IndexAny(p, "=/:"); i >= 0 {
		return p[:i]
	}
	return p
}

// yamlError is the first line of what the decoder says, without its prefix.
func yamlError(err error) error {
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		m := unknownKey.FindStringSubmatch(te.Errors[0])
		if m == nil {
			return errors.New(te.Errors[0])
		}
		keys := keysOf(reflect.TypeFor[Recipe]())
		switch m[3] {
		case "Repository":
			keys = keysOf(reflect.TypeFor[Repository]())
		case "Scripts":
			keys = keysOf(reflect.TypeFor[Scripts]())
		}
		return &unknownKeyError{m[1], m[2], keys}
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
	return errors.New(line)
}

// unknownKey is what the decoder says of a key that a type does not have.
var unknownKey = regexp.MustCompile(`^(line \d+): field (.*) not found in type recipe\.(\w+)$`)

// An unknownKeyError is a key in a recipe that has no meaning there.
type unknownKeyError struct {
	where, key string
	keys       []string // that do
}

func (e *unknownKeyError) Error() string { return fmt.Sprintf("%s: unknown key %q", e.where, e.key) }

// keysOf lists the keys of t, a type of a recipe's.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// extended returns r with what c adds: single values replace, lists and
// scripts follow, packages with a "-" before them go.
func (r Recipe) extended(c Recipe) Recipe {
	out := r
	out.Name, out.Extends, out.Abstract = c.Name, "", c.Abstract
	out.CheckValidUntil = cmp.Or(c.CheckValidUntil, r.CheckValidUntil)
	for _, f := range []struct {
		to   *string
		from string
	}{
		{&out.Description, c.Description}, {&out.Distribution, c.Distribution}, {&out.Release, c.Release},
		{&out.Suite, c.Suite}, {&out.Released, c.Released}, {&out.Variant, c.Variant}, {&out.Architecture, c.Architecture},
		{&out.Init, c.Init}, {&out.ContainerEnv, c.ContainerEnv},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	out.Packages = addPackages(r.Packages, c.Packages)
	out.places = map[string]place{}
	maps.Copy(out.places, r.places)
	maps.Copy(out.places, c.places)
	out.Components = appendNew(r.Components, c.Components)
	out.Clean = appendNew(r.Clean, c.Clean)
	out.Repositories = slices.Concat(r.Repositories, c.Repositories)
	out.Scripts.PreInstall = joinScripts(r.Scripts.PreInstall, c.Scripts.PreInstall)
	out.Scripts.PostInstall = joinScripts(r.Scripts.PostInstall, c.Scripts.PostInstall)
	if len(c.Environment) > 0 {
		out.Environment = map[string]string{}
		for _, m := range []map[string]string{r.Environment, c.Environment} {
			for k, v := range m {
				out.Environment[k] = v
			}
		}
	}
	return out
}

func addPackages(have, add []string) []string {
	out := slices.Clone(have)
	for _, p := range add {
		if gone, ok := strings.CutPrefix(p, "-"); ok {
			out = slices.DeleteFunc(out, func(q string) bool { return q == gone })
			continue
		}
		out = appendNew(out, []string{p})
	}
	return out
}

func appendNew(have, add []string) []string {
	out := slices.Clone(have)
	for _, a := range add {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// joinScripts makes one script of two. Each is a subshell, so that neither's
// exit, variables or directory are the other's.
func joinScripts(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return "(\n" + strings.TrimRight(a, "\n") + "\n)\n(\n" + strings.TrimRight(b, "\n") + "\n)\n"
}
