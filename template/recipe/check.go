package recipe

import (
	"fmt"
	"maps"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"croft/internal/initkind"
)

// A flaw is an invalid value in a recipe.
type flaw struct {
	at   []any // the keys and indexes that lead to it
	text string
}

// flaws collects the flaws of a recipe.
type flaws []flaw

func (f *flaws) add(at []any, format string, args ...any) {
	*f = append(*f, flaw{at, fmt.Sprintf(format, args...)})
}

// path is where a value is in a recipe.
func path(steps ...any) []any { return steps }

// valueFlaws returns the invalid values of a recipe, which need not be complete. A value may
// have variables, which are not replaced yet.
func (r Recipe) valueFlaws() flaws {
	var f flaws
	for _, s := range []struct{ key, value string }{{"release", r.Release}, {"suite", r.Suite}} {
		if s.value != "" && !isWord(s.value, "._-") {
			f.add(path(s.key), "invalid %s %q", s.key, s.value)
		}
	}
	if r.From != "" && CheckName(r.From) != nil {
		f.add(path("from"), "from: %q is not the name of a template", r.From)
	}
	if _, err := r.Epoch(); err != nil && r.Released != "" {
		f.add(path("released"), "%v", err)
	}
	if _, err := ParseSnapshot(r.Snapshot); err != nil && r.Snapshot != "" {
		f.add(path("snapshot"), "%v", err)
	}
	if r.Architecture != "" && GoArch(r.Architecture) == "" {
		f.add(path("architecture"), "unknown architecture %q", r.Architecture)
	}
	if r.Init != "" && !slices.Contains([]string{string(initkind.Systemd), string(initkind.SysV), string(initkind.AnyOpenRC), string(initkind.Runit), string(initkind.Busybox)}, r.Init) {
		f.add(path("init"), "unknown init %q: use systemd, sysvinit, openrc, runit or busybox", r.Init)
	}
	for i, p := range r.Packages {
		if !isWord(withoutVariables(strings.TrimPrefix(p, "-")), "+.-:=~/_@") {
			f.add(path("packages", i), "packages: invalid name %q", p)
		}
	}
	for i, c := range r.Components {
		if !isWord(c, "-/._$") {
			f.add(path("components", i), "components: invalid name %q", c)
		}
	}
	for i, p := range r.Clean {
		if !strings.HasPrefix(p, "/") || strings.Contains(p, "..") || !isWord(p[1:], "/._-*?+@") {
			f.add(path("clean", i), "clean: path %q is not absolute", p)
		} else if p == "/tmp" || strings.HasPrefix(p, "/tmp/") { // mmdebstrap keeps its apt.conf there until the end
			f.add(path("clean", i), "clean: remove %q: every build empties /tmp", p)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Environment)) {
		if !isWord(k, "_") || strings.ContainsAny(r.Environment[k], "\x00\n") {
			f.add(path("environment", k), "environment: invalid name %q", k)
		}
	}
	if r.Proxy != "" && (!strings.Contains(r.Proxy, "://") || strings.ContainsAny(r.Proxy, " \t\n")) {
		f.add(path("proxy"), "proxy: invalid URL %q", r.Proxy)
	}
	for i, p := range r.Repositories {
		if err := p.check(); err != nil {
			f.add(path("repositories", i), "%v", err)
		}
	}
	f = append(f, r.keyFlaws()...)
	f = append(f, r.userFlaws()...)
	f = append(f, r.fileFlaws()...)
	for _, name := range slices.Sorted(maps.Keys(r.Services)) {
		if !isWord(name, "._@-") {
			f.add(path("services", name), "services: invalid name %q", name)
		}
	}
	return append(f, r.variableFlaws()...)
}

// wholeFlaws returns what is missing in a complete recipe, or does not fit together.
func (r Recipe) wholeFlaws() flaws {
	if r.From != "" {
		return r.layerFlaws()
	}
	var f flaws
	made, ok := familyOf(r.Distribution)
	if !ok {
		f.add(path("distribution"), "%v", unknownDistribution(r.Distribution))
	}
	if r.Release == "" {
		f.add(path("release"), "invalid release %q", r.Release)
	}
	if ok {
		f = append(f, made.flaws(r)...)
	}
	if name := r.fullName(); strings.HasPrefix(r.Name, r.Distribution+"-") && r.Name != name {
		f.add(nil, "its name must be that of its distribution, release and variant: %s, not %s", name, r.Name)
	}
	if _, err := r.Epoch(); err != nil && r.Released == "" {
		f.add(path("released"), "%v", err)
	}
	if r.Init == "" {
		f.add(path("init"), "unknown init %q: use systemd, sysvinit, openrc, runit or busybox", r.Init)
	}
	return f
}

// layerFlaws returns what does not fit a recipe that adds a layer: its template decides it.
func (r Recipe) layerFlaws() flaws {
	var f flaws
	if r.From == r.Name {
		f.add(path("from"), "from: a template cannot be a layer over itself")
	}
	for _, s := range []struct {
		key string
		set bool
	}{
		{"distribution", r.Distribution != ""}, {"release", r.Release != ""}, {"suite", r.Suite != ""}, {"released", r.Released != ""},
		{"architecture", r.Architecture != ""}, {"init", r.Init != ""}, {"container", r.ContainerEnv != ""}, {"components", len(r.Components) > 0},
		{"mirror", r.Mirror != ""}, {"key", r.Key != ""}, {"keyring", len(r.Keyring) > 0}, {"keyring-package", r.KeyringPackage != ""},
	} {
		if s.set {
			f.add(path(s.key), "%s: a recipe with \"from\" has that of its template", s.key)
		}
	}
	for _, p := range r.Packages {
		if strings.HasPrefix(p, "-") {
			f.add(path("packages"), "packages: %s: a layer cannot remove a package of its template", p)
		}
	}
	return append(f, r.suiteFlaws()...)
}

// wrong returns the error for flaws in a complete recipe, or nil. text is that of its own
// file, "" if it is not known: errors in it have their lines.
func (r Recipe) wrong(all flaws, text []byte) error {
	if len(all) == 0 {
		return nil
	}
	var root yaml.Node
	_ = yaml.Unmarshal(text, &root) // it was parsed before
	var p problems
	for _, one := range all {
		line := 0
		if len(root.Content) > 0 && hasKey(root.Content[0], one.at) {
			line = lineOf(root.Content[0], one.at)
		}
		p = append(p, problem{line: line, text: one.text})
	}
	return p
}

// fullName returns distribution-release[-variant] of r. A recipe whose name begins
// with its distribution and "-" must have this name. Other names are free.
func (r Recipe) fullName() string {
	parts := []string{r.Distribution, r.Release}
	if r.Variant != "" {
		parts = append(parts, r.Variant)
	}
	return strings.Join(parts, "-")
}

func (p Repository) check() error {
	if !strings.Contains(p.URI, "://") || strings.ContainsAny(p.URI, " \t\n") {
		return fmt.Errorf("repositories: invalid uri %q", p.URI)
	}
	if p.Key == "" {
		return fmt.Errorf("repositories: %s needs a key", p.URI)
	}
	for _, w := range slices.Concat(p.Suites, p.Components) {
		if !isWord(w, "._-/") {
			return fmt.Errorf("repositories: invalid suite or component %q", w)
		}
	}
	if !isArmored(p.Key) {
		return fmt.Errorf("repositories: the key of %s is not an armored OpenPGP public key", p.URI)
	}
	return nil
}

// isWord reports whether s consists of letters, digits and characters of more, and
// does not begin with "-" as an option does.
func isWord(s, more string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 && c == '-' || !strings.ContainsRune(more, c)) {
			return false
		}
	}
	return s != ""
}

// Epoch returns the day of the release. Files that a build creates get this time,
// so that two builds give the same files.
func (r Recipe) Epoch() (time.Time, error) {
	if r.sourceDate != nil {
		return *r.sourceDate, nil
	}
	t, err := time.Parse(time.DateOnly, r.Released)
	if err != nil {
		return t, fmt.Errorf("released: invalid date %q (for example 2023-06-10)", r.Released)
	}
	return t, nil
}

// DebianArch returns Debian's name of the architecture that r is built for. The
// default is the host's.
func (r Recipe) DebianArch() string {
	if r.Architecture != "" {
		return r.Architecture
	}
	return DebianName(goruntime.GOARCH)
}

// DebianName returns Debian's name of an architecture; golang is the name that Go and OCI
// use. An unknown one is returned unchanged.
func DebianName(golang string) string {
	for _, a := range architectures() {
		if a.golang == golang {
			return a.debian
		}
	}
	return golang
}

type architecture struct{ debian, golang string }

func architectures() []architecture {
	return []architecture{
		{"amd64", "amd64"}, {"arm64", "arm64"}, {"armhf", "arm"}, {"i386", "386"},
		{"ppc64el", "ppc64le"}, {"riscv64", "riscv64"}, {"s390x", "s390x"}, {"loong64", "loong64"},
	}
}

// GoArch returns the name that Go and OCI use for Debian's architecture, or "" for
// an unknown one.
func GoArch(debian string) string {
	for _, a := range architectures() {
		if a.debian == debian {
			return a.golang
		}
	}
	return ""
}
