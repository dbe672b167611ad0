package recipe

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

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
		{&out.Suite, c.Suite}, {&out.Released, c.Released}, {&out.Snapshot, c.Snapshot}, {&out.Variant, c.Variant}, {&out.Architecture, c.Architecture},
		{&out.Init, c.Init}, {&out.ContainerEnv, c.ContainerEnv}, {&out.From, c.From}, {&out.Proxy, c.Proxy},
		{&out.Mirror, c.Mirror}, {&out.KeyringPackage, c.KeyringPackage},
	} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	if c.Key != "" || len(c.Keyring) > 0 { // one replaces the other
		out.Key, out.Keyring = c.Key, c.Keyring
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
	out.Environment = merged(r.Environment, c.Environment)
	out.Variables = merged(r.Variables, c.Variables)
	out.Services = merged(r.Services, c.Services)
	out.Users = replaced(r.Users, c.Users, func(u User) string { return u.Name })
	out.Files = replaced(r.Files, c.Files, func(f File) string { return f.Path })
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

// merged returns a map with the values of both; those of add come first.
func merged[V any](have, add map[string]V) map[string]V {
	if len(add) == 0 {
		return have
	}
	out := map[string]V{}
	maps.Copy(out, have)
	maps.Copy(out, add)
	return out
}

// replaced returns have with add at its end. A value of add replaces the one of the same name.
func replaced[V any](have, add []V, name func(V) string) []V {
	out := slices.DeleteFunc(slices.Clone(have), func(h V) bool {
		return slices.ContainsFunc(add, func(a V) bool { return name(a) == name(h) })
	})
	return append(out, add...)
}
