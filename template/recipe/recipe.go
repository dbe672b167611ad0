// Package recipe reads recipes of templates. It plans the command that builds the
// root filesystem of a recipe, and confines that command.
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

// Dir is the default directory of a host's own recipes.
const Dir = "/etc/croft/recipes"

// A Recipe describes how to build a template: docs/templates.md.
type Recipe struct {
	Name         string            `yaml:"-" json:"name"`     // of its file, without .yaml
	Extends      string            `yaml:"extends" json:"-"`  // the recipe that it adds to
	Abstract     bool              `yaml:"abstract" json:"-"` // it can only be extended
	Description  string            `yaml:"description" json:"description"`
	Distribution string            `yaml:"distribution" json:"distribution"`
	Release      string            `yaml:"release" json:"release"`
	Suite        string            `yaml:"suite" json:"suite"` // the release's name in the package archive
	Released     string            `yaml:"released" json:"released"`
	Variant      string            `yaml:"variant" json:"variant"`
	Architecture string            `yaml:"architecture" json:"architecture"` // Debian's name of it; "" is the host's
	Init         string            `yaml:"init" json:"init"`
	ContainerEnv string            `yaml:"container" json:"container"` // the value of $container for init; "" is croft
	Environment  map[string]string `yaml:"environment" json:"environment"`
	Components   []string          `yaml:"components" json:"components"`
	Packages     []string          `yaml:"packages" json:"packages"` // -name removes an inherited one
	Repositories []Repository      `yaml:"repositories" json:"repositories"`
	Scripts      Scripts           `yaml:"scripts" json:"scripts"`
	Clean        []string          `yaml:"clean" json:"clean"` // paths inside, with * and ?, removed at the end

	// CheckValidUntil false accepts expired package indexes, for example those of a
	// snapshot. Nil is true.
	CheckValidUntil *bool `yaml:"check-valid-until" json:"checkValidUntil,omitempty"`

	places map[string]place `yaml:"-"` // of packages: packageName
}

// A Repository is a package archive in addition to the distribution's own.
type Repository struct {
	URI        string   `yaml:"uri" json:"uri"`
	Suites     []string `yaml:"suites" json:"suites"`
	Components []string `yaml:"components" json:"components"`
	Key        string   `yaml:"key" json:"key"` // an armored OpenPGP public key
}

// Scripts are run by /bin/sh -eu inside the new system, as its root.
type Scripts struct {
	PreInstall  string `yaml:"pre-install" json:"preInstall"`   // when only dpkg, apt and their dependencies are installed
	PostInstall string `yaml:"post-install" json:"postInstall"` // when all packages are installed
}

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
		from = "croft"
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
	all := []Info{{Name: busybox.Name, Description: "busybox, embedded: needs no network and no tools", Distribution: busybox.Name, Init: string(initkind.Busybox), From: "croft"}}
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
		in := Info{Name: name, Description: r.Description, Distribution: r.Distribution, Release: r.Release, Variant: r.Variant, Init: r.Init, From: from}
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

// parseRecipe parses one recipe without those that it extends. An unknown key is an
// error.
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

// placesOf returns the lines at which a recipe names packages. b is its text, name
// its name and from its file.
func placesOf(b []byte, name, from string) map[string]place {
	var list struct {
		Packages []yaml.Node `yaml:"packages"`
	}
	_ = yaml.Unmarshal(b, &list) // parseRecipe reports an error
	all := map[string]place{}
	for _, p := range list.Packages {
		all[packageName(p.Value)] = place{name, from, p.Line}
	}
	return all
}

// packageName returns a package of a recipe without version, suite and architecture.
func packageName(p string) string {
	if i := strings.IndexAny(p, "=/:"); i >= 0 {
		return p[:i]
	}
	return p
}

// yamlError returns the decoder's first error as one line, without its prefix. An
// unknown key becomes an unknownKeyError.
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

// unknownKey matches the decoder's error for a key that a type does not have.
var unknownKey = regexp.MustCompile(`^(line \d+): field (.*) not found in type recipe\.(\w+)$`)

// An unknownKeyError reports an unknown key in a recipe.
type unknownKeyError struct {
	where, key string
	keys       []string // the valid ones
}

func (e *unknownKeyError) Error() string { return fmt.Sprintf("%s: unknown key %q", e.where, e.key) }

// keysOf returns the YAML keys of the struct t in sorted order.
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

// extended returns r extended by c: single values of c replace those of r, lists
// and scripts of c are added, and a package "-name" of c removes name.
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

// joinScripts returns one script that runs a, then b. Each runs in a subshell, so
// exit, variables and the current directory of one do not affect the other.
func joinScripts(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return "(\n" + strings.TrimRight(a, "\n") + "\n)\n(\n" + strings.TrimRight(b, "\n") + "\n)\n"
}
