package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
)

// checkPackages fails with apt's messages if the package indexes lack a package of
// the recipe. At that time only the indexes are downloaded; mmdebstrap does not
// download them again. Other errors of apt are ignored here, because they may
// disappear when the base system is installed. The installation reports the rest.
const checkPackages = `export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
echo "I: running apt-get update..." >&2
apt-get update --quiet --error-on=any >&2
said=$(apt-get --simulate --no-install-recommends install %s 2>&1) || {
	absent=$(printf '%%s\n' "$said" | grep -E %s) || exit 0
	printf '%%s\n' "$absent" >&2
	exit 1
}
`

// missingMessages returns the messages of apt, without its "E: ", for a package
// that it cannot find, and what they mean. The group "name" is the package.
func missingMessages() []missingMessage {
	return []missingMessage{
		{`Unable to locate package (?P<name>\S+)`, "package %q was not found"},
		{`Version '.*' for '(?P<name>.*)' was not found`, "that version of package %q was not found"},
		{`Release '.*' for '(?P<name>.*)' was not found`, "package %q was not found in that suite"},
		{`Package '(?P<name>.*)' has no installation candidate`, "package %q has no version that can be installed"},
	}
}

type missingMessage struct{ apt, means string }

// checkPackagesScript returns checkPackages for these packages.
func checkPackagesScript(packages []string) string {
	var all []string
	for _, a := range missingMessages() {
		all = append(all, strings.ReplaceAll(strings.ReplaceAll(a.apt, "?P<name>", ""), `\S`, "[^ ]"))
	}
	return fmt.Sprintf(checkPackages, shellescape.QuoteCommand(packages), shellescape.Quote("^E: ("+strings.Join(all, "|")+")"))
}

// MissingPackages is an error: the package indexes do not have these packages.
type MissingPackages []missingPackage

type missingPackage struct{ name, why string }

// otherMessages match the messages of dnf, zypper, pacman, apk and xbps for a package that
// they cannot find.
var otherMessages = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, text := range []string{
		`No match for argument: (\S+)`, `No provider of '(\S+)' found\.`, `error: target not found: (\S+)`,
		` *(\S+) \(no such package\):`, `Package '(\S+)' not found in repository pool\.`,
	} {
		all = append(all, regexp.MustCompile("^"+text+"$"))
	}
	return all
})

// Add adds the package that one line of a tool reports missing. Other lines are ignored.
func (e *MissingPackages) Add(line string) {
	if line, ok := strings.CutPrefix(line, "E: "); ok {
		for _, a := range missingMessages() {
			if m := regexp.MustCompile("^" + a.apt + "$").FindStringSubmatch(line); m != nil {
				*e = append(*e, missingPackage{m[1], fmt.Sprintf(a.means, m[1])})
			}
		}
		return
	}
	for _, message := range otherMessages() {
		if m := message.FindStringSubmatch(line); m != nil {
			*e = append(*e, missingPackage{m[1], fmt.Sprintf("package %q was not found", m[1])})
			return
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

// Explain returns err unchanged unless it is MissingPackages. Then it returns a
// fail.Usage that names the recipe, and the line in it, with the first package.
func (r Recipe) Explain(err error) error {
	var missing MissingPackages
	if !errors.As(err, &missing) {
		return err
	}
	at := r.places[missing[0].name]
	if at == (place{}) { // croft has added it, or another package needs it
		at = place{recipe: r.Name}
	}
	return fail.New(fail.Usage, "%s%w", at, missing).WithHint("check the recipe's packages, components and suite")
}

// A place is a line of a recipe that names a package.
type place struct {
	recipe, from string
	line         int // 0 is unknown
}

func (p place) String() string {
	if p.line == 0 {
		return fmt.Sprintf("recipe %s: ", p.recipe)
	}
	return fmt.Sprintf("recipe %s (%s): line %d: ", p.recipe, p.from, p.line)
}
