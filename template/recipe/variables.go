package recipe

import (
	"maps"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
	"croft/internal/pattern"
)

// A variable is written {{NAME}}, with spaces inside the braces or without.
var variable = pattern.New(`\{\{ *([a-z][a-z0-9_]*) *\}\}`)

var variableName = pattern.New(`^[a-z][a-z0-9_]*$`)

// withoutVariables returns text with a letter in place of each variable.
func withoutVariables(text string) string { return variable().ReplaceAllString(text, "x") }

func (r Recipe) variableFlaws() flaws {
	var f flaws
	for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
		if !variableName().MatchString(name) {
			f.add(path("variables", name), "variables: invalid name %q: use lower-case letters, digits and _", name)
		} else if v := r.Variables[name]; v != nil && !validVariable(*v) {
			f.add(path("variables", name), "variables: the value of %s is more than one line", name)
		}
	}
	return f
}

func validVariable(v string) bool { return !strings.ContainsAny(v, "\x00\n\r") }

// With returns r with the values of its variables in place of them. set has those that the
// user gives; the others have their defaults. A variable that r does not have, one without a
// value, and a value that does not fit are fail.Usage, all in one error.
func (r Recipe) With(set map[string]string) (Recipe, error) {
	values := map[string]string{}
	var wrong flaws
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, ok := r.Variables[name]; !ok {
			wrong.add(nil, "it has no variable %q%s", name, r.variableNames())
		} else if !validVariable(set[name]) {
			wrong.add(nil, "the value of variable %s is more than one line", name)
		}
		values[name] = set[name]
	}
	for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
		if _, ok := set[name]; ok {
			continue
		}
		if r.Variables[name] == nil {
			wrong.add(nil, "variable %s has no value: --set %s=VALUE", name, name)
		} else {
			values[name] = *r.Variables[name]
		}
	}
	if len(wrong) == 0 {
		r = r.replace(values, &wrong)
	}
	if err := r.wrong(wrong, nil); err != nil {
		return r, fail.New(fail.Usage, "recipe %s: %w", r.Name, err)
	}
	return r, nil
}

// variableNames returns the names of r's variables for an error.
func (r Recipe) variableNames() string {
	if len(r.Variables) == 0 {
		return ": it has none"
	}
	return ", only " + strings.Join(slices.Sorted(maps.Keys(r.Variables)), ", ")
}

// replace returns r with values in place of its variables. Unknown variables are flaws. A
// recipe without variables keeps its text: it may have braces for other programs.
func (r Recipe) replace(values map[string]string, wrong *flaws) Recipe {
	if len(r.Variables) == 0 {
		return r
	}
	in := func(text string) string {
		return variable().ReplaceAllStringFunc(text, func(m string) string {
			name := variable().FindStringSubmatch(m)[1]
			v, ok := values[name]
			if !ok {
				wrong.add(nil, "there is no variable %q%s", name, r.variableNames())
			}
			return v
		})
	}
	all := func(texts []string) []string {
		out := slices.Clone(texts)
		for i := range out {
			out[i] = in(out[i])
		}
		return out
	}
	r.Packages, r.Proxy = all(r.Packages), in(r.Proxy)
	r.Mirror = strings.Join(all(strings.Split(r.Mirror, snapshotMark)), snapshotMark) // a mirror can have it without a variable
	r.Environment = maps.Clone(r.Environment)
	for k, v := range r.Environment {
		r.Environment[k] = in(v)
	}
	r.Repositories = slices.Clone(r.Repositories)
	for i, p := range r.Repositories {
		p.URI, p.Suites, p.Components = in(p.URI), all(p.Suites), all(p.Components)
		r.Repositories[i] = p
	}
	r.Users = slices.Clone(r.Users)
	for i, u := range r.Users {
		u.Name, u.Groups, u.Shell, u.Home = in(u.Name), all(u.Groups), in(u.Shell), in(u.Home)
		r.Users[i] = u
	}
	r.Files = slices.Clone(r.Files)
	for i, f := range r.Files {
		f.Path, f.Owner = in(f.Path), in(f.Owner)
		if f.Content != nil {
			text := in(*f.Content)
			f.Content = &text
		}
		r.Files[i] = f
	}
	assigned := assignments(values)
	for _, s := range []*string{&r.Scripts.PreInstall, &r.Scripts.PostInstall} {
		if *s != "" {
			*s = assigned + *s
		}
	}
	*wrong = append(*wrong, r.valueFlaws()...)
	return r
}

// assignments returns shell commands that assign values to variables.
func assignments(values map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(name + "=" + shellescape.Quote(values[name]) + "\n")
	}
	return b.String()
}
