package recipe

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"croft/internal/pattern"

	"go.yaml.in/yaml/v3"
)

// A problem is an error in the text of a recipe.
type problem struct {
	line int // 0 is unknown
	text string
	keys []string // the valid keys, if the problem is an unknown one
}

// problems are all errors that croft has found in one file. As an error they are one line.
type problems []problem

func (p problems) Error() string {
	p = slices.Clone(p)
	slices.SortStableFunc(p, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var all []string
	for _, one := range p {
		text := one.text
		if one.line > 0 {
			text = fmt.Sprintf("line %d: %s", one.line, text)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// keys returns the valid keys in place of the first unknown one.
func (p problems) keys() []string {
	for _, one := range p {
		if one.keys != nil {
			return one.keys
		}
	}
	return nil
}

// parseRecipe parses one recipe without those that it extends. An unknown key is an
// error. It finds all errors that are in this file alone.
func parseRecipe(b []byte) (Recipe, problems) {
	var r Recipe
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	err := d.Decode(&r)
	if err == io.EOF {
		return r, problems{{text: "it is empty"}}
	}
	found := yamlProblems(err)
	var types *yaml.TypeError
	if err != nil && !errors.As(err, &types) {
		return r, found // the rest of the text has no meaning
	}
	if err := d.Decode(new(Recipe)); err != io.EOF {
		return r, append(found, problem{text: "it is more than one document"})
	}
	if err := yaml.Unmarshal(b, &root); err != nil || len(root.Content) == 0 {
		return r, found
	}
	for _, f := range r.valueFlaws() {
		found = append(found, problem{line: lineOf(root.Content[0], f.at), text: f.text})
	}
	return r, found
}

// lineOf returns the line of the value at a path of keys and indexes below n, or of the
// last part of the path that exists.
func lineOf(n *yaml.Node, at []any) int {
	line := n.Line
	for _, step := range at {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next = n.Content[step]
				line = next.Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return line
}

// hasKey reports whether the document n has the first key of the path at.
func hasKey(n *yaml.Node, at []any) bool {
	for i := 0; len(at) > 0 && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if n.Content[i].Value == at[0] {
			return true
		}
	}
	return false
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

// yamlProblems returns the decoder's errors.
func yamlProblems(err error) problems {
	if err == nil {
		return nil
	}
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "yaml: "), "\n")
		return problems{decoderProblem(line)}
	}
	var all problems
	for _, text := range te.Errors {
		all = append(all, decoderProblem(text))
	}
	return all
}

// decoderProblem returns an error of the decoder, such as "line 3: TEXT".
func decoderProblem(text string) problem {
	m := decoderLine().FindStringSubmatch(text)
	if m == nil {
		return problem{text: text}
	}
	line, _ := strconv.Atoi(m[1]) // digits
	p := problem{line: line, text: m[2]}
	if u := unknownKey().FindStringSubmatch(m[2]); u != nil {
		p.text, p.keys = fmt.Sprintf("unknown key %q", u[1]), keysOf(reflect.TypeFor[Recipe]())
		for _, t := range []reflect.Type{reflect.TypeFor[Repository](), reflect.TypeFor[Scripts](), reflect.TypeFor[User](), reflect.TypeFor[File]()} {
			if t.Name() == u[2] {
				p.keys = keysOf(t)
			}
		}
	}
	return p
}

// decoderLine matches the decoder's errors, and unknownKey one for a key that a type does
// not have.
var (
	decoderLine = pattern.New(`^line (\d+): (.*)$`)
	unknownKey  = pattern.New(`^field (.*) not found in type recipe\.(\w+)$`)
)

// keysOf returns the YAML keys of the struct t in sorted order.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
