package recipe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A family is the distributions that the same tools build. What differs between families is
// here, and nowhere else: one file has each of them.
type family struct {
	distributions []string
	tools         []tool            // that can build it, the preferred first
	architectures map[string]string // the tools' names of those that Debian's name is the key of
	marks         []string          // the beginnings of lines in which the tools report errors

	// services returns a script that says which services start at boot. Nil is servicesScript.
	services func(map[string]bool) string

	// flaws returns what a complete recipe lacks, and what the tools cannot do.
	flaws func(r Recipe) flaws

	// plan completes j, which has the tool, the environment and the files of the recipe, with
	// a script that prints a tar archive of the root filesystem. mirror is the URL of the
	// package archive; "" is the tool's own. after are commands for the new system at "$1",
	// to run when its packages are installed.
	plan func(j *Job, r Recipe, mirror string, after []string)
}

// families returns all families.
func families() []family {
	return []family{debianFamily(), dnfFamily(), zypperFamily(), pacmanFamily(), apkFamily(), xbpsFamily(), gentooFamily()}
}

// familyOf returns the family of a distribution.
func familyOf(distribution string) (family, bool) {
	for _, f := range families() {
		if slices.Contains(f.distributions, distribution) {
			return f, true
		}
	}
	return family{}, false
}

// distributions returns all that croft builds, sorted.
func distributions() (all []string) {
	for _, f := range families() {
		all = append(all, f.distributions...)
	}
	slices.Sort(all)
	return all
}

func unknownDistribution(name string) error {
	return fmt.Errorf("distribution %q: croft builds %s", name, strings.Join(distributions(), ", "))
}

// toolArch returns the tools' name of the architecture that r is built for.
func (r Recipe) toolArch() string {
	f, _ := familyOf(r.Distribution)
	return cmp.Or(f.architectures[r.DebianArch()], r.DebianArch())
}

// archFlaws returns the flaw of a recipe for an architecture that its distribution lacks.
func (r Recipe) archFlaws(names map[string]string) flaws {
	var f flaws
	if r.Architecture != "" && names[r.Architecture] == "" && GoArch(r.Architecture) != "" {
		f.add(path("architecture"), "architecture: %s has no packages for %s", r.Distribution, r.Architecture)
	}
	return f
}

// A part is something that a recipe can say and a family cannot do, or needs.
type part struct {
	key     string
	set     bool
	instead string // what to do
}

// refuse returns a flaw for each part that is set.
func (r Recipe) refuse(parts ...part) flaws {
	var f flaws
	for _, p := range parts {
		if p.set {
			f.add(path(p.key), "%s: a recipe of %s cannot have it: %s", p.key, r.Distribution, p.instead)
		}
	}
	return f
}

// require returns a flaw for each part that is not set.
func (r Recipe) require(parts ...part) flaws {
	var f flaws
	for _, p := range parts {
		if !p.set {
			f.add(path(p.key), "%s: a recipe of %s needs it: %s", p.key, r.Distribution, p.instead)
		}
	}
	return f
}

// onlyDebian are the parts that only Debian's tools know.
func (r Recipe) onlyDebian() []part {
	return []part{
		{"check-valid-until", r.CheckValidUntil != nil, "only apt has it"},
		{"scripts", r.Scripts.PreInstall != "", "pre-install is for Debian's tools; use post-install"},
	}
}

// suiteFlaws returns a flaw for each repository without suites, which apt needs.
func (r Recipe) suiteFlaws() flaws {
	var f flaws
	for i, p := range r.Repositories {
		if len(p.Suites) == 0 {
			f.add(path("repositories", i), "repositories: %s needs suites", p.URI)
		}
	}
	return f
}
