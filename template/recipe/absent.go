package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
)

// checkPackages fails, with apt's own words, if the package indexes do not have a
// package of the recipe's. It runs before anything is downloaded but the indexes,
// which mmdebstrap then does not read again. Whatever else apt dislikes may look
// different once the base system is there, and is left to the installation.
const checkPackages = `export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
echo "I: running apt-get update..." >&2
apt-get update --quiet --error-on=any >&2
said=$(apt-get --simulate --no-install-recommends install %s 2>&1) || {
	absent=$(printf '%%s\n' "$said" | grep -E %s) || exit 0
	printf '%%s\n' "$absent" >&2
	exit 1
}
`

// absences are what apt says of a package that it cannot find, behind its "E: ",
// and what that means. The package is the group "name".
func absences() []absence {
	return []absence{
		{`Unable to locate package (?P<name>\S+)`, "package %q was not found"},
		{`Version '.*' for '(?P<name>.*)' was not found`, "that version of package %q was not found"},
		{`Release '.*' for '(?P<name>.*)' was not found`, "package %q was not found in that suite"},
		{`Package '(?P<name>.*)' has no installation candidate`, "package %q has no version that can be installed"},
	}
}

type absence struct{ apt, means string }

// checkPackagesScript is checkPackages for these packages.
func checkPackagesScript(packages []string) string {
	var all []string
	for _, a := range absences() {
		all = append(all, strings.ReplaceAll(strings.ReplaceAll(a.apt, "?P<name>", ""), `\S`, "[^ ]"))
	}
	return fmt.Sprintf(checkPackages, shellescape.QuoteCommand(packages), shellescape.QuoteCommand([]string{"^E: (" + strings.Join(all, "|") + ")"}))
}

// An absentError is the packages that the package indexes do not have.
type MissingPackages []absentPackage

type absentPackage struct{ name, why string }

// take takes in one line of apt's, without its "E: ".
func (e *MissingPackages) Take(line string) {
	for _, a := range absences() {
		if m := regexp.MustCompile("^" + a.apt + "$").FindStringSubmatch(line); m != nil {
			*e = append(*e, absentPackage{m[1], fmt.Sprintf(a.means, m[1])})
		}
	}
}

func (e MissingPackages) Error() string {
	var all []string
	for _, p := range e {
		all = append(all, p.why)
	}
	return strings.Join(all, ", ")
}

// explain returns err, or, if it is of packages that are not there, an error that
// says which recipe and which line of it names the first.
func (r Recipe) Explain(err error) error {
	var absent MissingPackages
	if !errors.As(err, &absent) {
		return err
	}
	at := r.places[absent[0].name]
	if at == (place{}) { // a package that croft adds, or that another one needs
		at = place{Recipe: r.Name}
	}
	return fail.New(fail.Usage, "%s%w", at, absent).WithHint("check the recipe's packages, components and suite")
}

// A place is where a recipe names a package.
type place struct {
	Recipe, from string
	line         int // 0 is unknown
}

func (p place) String() string {
	if p.line == 0 {
		return fmt.Sprintf("recipe %s: ", p.Recipe)
	}
	return fmt.Sprintf("recipe %s (%s): line %d: ", p.Recipe, p.from, p.line)
}
