package recipe

import (
	"fmt"
	"slices"
	"strings"
)

// A family is the distributions that the same tools build. What differs between families is
// here, and nowhere else: one file has each of them.
type family struct {
	distributions []string
	tools         []tool // that can build it, the preferred first

	// plan completes j, which has the tool, the environment and the files of the recipe, with
	// a script that prints a tar archive of the root filesystem. after are commands for the
	// new system at "$1", to run when its packages are installed.
	plan func(j *Job, r Recipe, mirror string, after []string)
}

// families returns all families.
func families() []family { return []family{debianFamily()} }

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
