package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"croft/packaging/licenses"

	"golang.org/x/mod/module"
)

// modules returns the modules of several programs, each once, by path.
func modules(lists ...[]*debug.Module) ([]goModule, error) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the cache of modules: %w", err)
	}
	var all []goModule
	for _, m := range slices.Concat(lists...) {
		if m.Replace != nil {
			m = m.Replace
		}
		if slices.ContainsFunc(all, func(g goModule) bool { return g.path == m.Path }) {
			continue
		}
		ids, err := licensesOf(strings.TrimSpace(string(cache)), m)
		if err != nil {
			return nil, err
		}
		all = append(all, goModule{path: m.Path, version: m.Version, sum: m.Sum, licenses: ids})
	}
	slices.SortFunc(all, func(a, b goModule) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

func licensesOf(cache string, m *debug.Module) ([]string, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return nil, err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return nil, err
	}
	return licenses.Of(filepath.Join(cache, filepath.FromSlash(path)+"@"+version))
}

// libraries returns the C libraries that this host links programs with, and the
// source package of its busybox. A host without dpkg has no source packages.
func libraries() (c cLibraries, err error) {
	out, err := exec.Command("pkg-config", "--modversion", "libseccomp").Output()
	if err != nil {
		return c, fmt.Errorf("cannot find the version of libseccomp: %w", err)
	}
	c.seccomp = strings.TrimSpace(string(out))
	c.libc = libcOf(output("getconf", "GNU_LIBC_VERSION"))
	c.distribution = distribution(fileText("/etc/os-release"))
	c.sources = map[string]string{}
	for name, pkg := range map[string]string{"libseccomp": "libseccomp-dev", "libc": "libc6-dev", "busybox": "busybox-static"} {
		if source := strings.TrimSpace(output("dpkg-query", "-W", "-f", "${source:Package}@${source:Version}", pkg)); source != "" {
			c.sources[name] = source
		}
	}
	return c, nil
}

// output returns what a program prints, "" if it fails or does not exist.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func fileText(path string) string {
	text, _ := os.ReadFile(path) // a host without it has no distribution's name
	return string(text)
}

// libcOf returns the C library, from what getconf GNU_LIBC_VERSION prints. musl has no
// such variable.
func libcOf(text string) cLibrary {
	if version, ok := strings.CutPrefix(strings.TrimSpace(text), "glibc "); ok {
		return cLibrary{name: "glibc", version: version, license: "LGPL-2.1-or-later"}
	}
	return cLibrary{name: "musl", license: "MIT"}
}

// distribution returns the ID of os-release, "" without one.
func distribution(release string) string {
	for line := range strings.Lines(release) {
		if id, ok := strings.CutPrefix(line, "ID="); ok {
			return strings.Trim(strings.TrimSpace(id), `"'`)
		}
	}
	return ""
}
