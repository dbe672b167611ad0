package recipe

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"croft/internal/initkind"
)

// check returns the first error in a complete recipe, or nil.
func (r Recipe) check() error {
	if r.Distribution != "debian" {
		return fmt.Errorf("distribution %q: croft builds debian", r.Distribution)
	}
	for _, f := range []struct{ key, value string }{{"release", r.Release}, {"suite", r.Suite}} {
		if !isWord(f.value, "._-") {
			return fmt.Errorf("invalid %s %q", f.key, f.value)
		}
	}
	if name := r.fullName(); strings.HasPrefix(r.Name, r.Distribution+"-") && r.Name != name {
		return fmt.Errorf("its name must be that of its distribution, release and variant: %s, not %s", name, r.Name)
	}
	if _, err := r.Epoch(); err != nil {
		return err
	}
	if r.Architecture != "" && GoArch(r.Architecture) == "" {
		return fmt.Errorf("unknown architecture %q", r.Architecture)
	}
	if !slices.Contains([]string{string(initkind.Systemd), string(initkind.SysV), string(initkind.AnyOpenRC), string(initkind.Runit)}, r.Init) {
		return fmt.Errorf("unknown init %q: use systemd, sysvinit, openrc or runit", r.Init)
	}
	for _, p := range r.Packages {
		if !isWord(p, "+.-:=~/") {
			return fmt.Errorf("packages: invalid name %q", p)
		}
	}
	for _, c := range r.Components {
		if !isWord(c, "-/") {
			return fmt.Errorf("components: invalid name %q", c)
		}
	}
	for _, p := range r.Clean {
		if !strings.HasPrefix(p, "/") || strings.Contains(p, "..") || !isWord(p[1:], "/._-*?+@") {
			return fmt.Errorf("clean: path %q is not absolute", p)
		}
		if p == "/tmp" || strings.HasPrefix(p, "/tmp/") { // mmdebstrap keeps its apt.conf there until the end
			return fmt.Errorf("clean: remove %q: every build empties /tmp", p)
		}
	}
	for k, v := range r.Environment {
		if !isWord(k, "_") || strings.ContainsAny(v, "\x00\n") {
			return fmt.Errorf("environment: invalid name %q", k)
		}
	}
	for _, p := range r.Repositories {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
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
	if len(p.Suites) == 0 || p.Key == "" {
		return fmt.Errorf("repositories: %s needs suites and a key", p.URI)
	}
	for _, w := range slices.Concat(p.Suites, p.Components) {
		if !isWord(w, "._-/") {
			return fmt.Errorf("repositories: invalid suite or component %q", w)
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(p.Key), "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
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
