package recipe

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"croft/internal/fail"
)

// snapshotMark is in the URL of a mirror where the date of a snapshot goes.
const snapshotMark = "{{snapshot}}"

// snapshotForm is how archives of snapshots write a date.
const snapshotForm = "20060102T150405Z"

// ParseSnapshot returns a date in the form of archives of snapshots, of 2026-01-01, 20260101
// or 20260101T000000Z.
func ParseSnapshot(text string) (string, error) {
	for _, form := range []string{snapshotForm, time.DateOnly, "20060102"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.Format(snapshotForm), nil
		}
	}
	return "", fmt.Errorf("invalid date of a snapshot %q (for example 2026-01-01 or 20260101T083000Z)", text)
}

// An archiveService has a distribution's package archive as it was on each day.
type archiveService struct {
	archive, security string // URLs with snapshotMark
	usual             string // the archive of today
	usualSecurity     string
}

// snapshotServices are those that distributions have.
var snapshotServices = map[string]archiveService{
	"debian": {
		"http://snapshot.debian.org/archive/debian/" + snapshotMark + "/", "http://snapshot.debian.org/archive/debian-security/" + snapshotMark + "/",
		"http://ftp.debian.org/debian", "http://security.debian.org/debian-security",
	},
	"ubuntu": {
		"http://snapshot.ubuntu.com/ubuntu/" + snapshotMark + "/", "http://snapshot.ubuntu.com/ubuntu/" + snapshotMark + "/",
		"http://archive.ubuntu.com/ubuntu", "http://archive.ubuntu.com/ubuntu",
	},
}

// A frozen archive has the packages of one date.
type frozen struct {
	mirror            string // the only archive, if the user or the recipe names one
	archive, security string
	usual             archiveService // empty if croft does not know it
}

// Frozen returns r with the package archive of one date, which snapshot is or else the
// recipe's own. mirror is the URL that the user gives. Both may be "". It also returns the
// mirror with the date in it. A distribution without an archive of snapshots, and a mirror without
// a place for the date, are fail.Usage. distribution is that of the template below a layer.
func (r Recipe) Frozen(snapshot, mirror, distribution string) (Recipe, string, error) {
	snapshot = cmp.Or(snapshot, r.Snapshot)
	marked := strings.Contains(cmp.Or(mirror, r.Mirror), snapshotMark)
	if snapshot == "" {
		if marked {
			return r, mirror, fail.New(fail.Usage, "the mirror %s needs the date of a snapshot", cmp.Or(mirror, r.Mirror)).WithHint("croft template build %s --snapshot 2026-01-01", r.Name)
		}
		return r, mirror, nil
	}
	date, err := ParseSnapshot(snapshot)
	if err != nil {
		return r, mirror, fail.New(fail.Usage, "%w", err)
	}
	at := func(url string) string { return strings.ReplaceAll(url, snapshotMark, date) }
	service, known := snapshotServices[distribution]
	f := frozen{archive: at(service.archive), security: at(service.security), usual: service}
	switch {
	case marked && mirror != "":
		f.mirror = at(mirror)
	case marked:
		r.Mirror = at(r.Mirror)
		f.mirror = r.Mirror
	case mirror != "":
		return r, mirror, fail.New(fail.Usage, "the mirror %s has no %s, where the date of the snapshot goes", mirror, snapshotMark)
	case !known:
		return r, mirror, fail.New(fail.Usage, "croft knows no archive of snapshots of %s; --mirror names one, with %s where the date goes", cmp.Or(distribution, r.Name), snapshotMark)
	}
	r.frozen = &f
	if mirror != "" {
		mirror = f.mirror
	}
	return r, mirror, nil
}

// SourceDate returns r with the times of files no later than what SOURCE_DATE_EPOCH says, instead
// of the day of the release (https://reproducible-builds.org/specs/source-date-epoch/). "" changes
// nothing; an invalid one is fail.Usage.
func (r Recipe) SourceDate(epoch string) (Recipe, error) {
	at, ok, err := ParseSourceDate(epoch)
	if ok {
		r.sourceDate = &at
	}
	return r, err
}

// ParseSourceDate returns the time that SOURCE_DATE_EPOCH says; ok is false for "". An invalid
// one is fail.Usage.
func ParseSourceDate(epoch string) (at time.Time, ok bool, err error) {
	if epoch == "" {
		return at, false, nil
	}
	n, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != epoch {
		return at, false, fail.New(fail.Usage, "invalid SOURCE_DATE_EPOCH %q in the environment: it is the number of seconds since 1970", epoch).WithHint("unset SOURCE_DATE_EPOCH")
	}
	return time.Unix(n, 0).UTC(), true, nil
}

// Clamped returns t, or the time of SourceDate if that is earlier.
func (r Recipe) Clamped(t time.Time) time.Time {
	if r.sourceDate != nil && r.sourceDate.Before(t) {
		return *r.sourceDate
	}
	return t
}

// debianLines returns the lines of sources.list for the archives of a snapshot.
func (f frozen) debianLines(r Recipe) []string {
	if f.mirror != "" {
		return []string{aptLine(f.mirror, r.Suite, r.Components)}
	}
	return r.withUpdates(f.archive, f.security)
}

// usualLines returns the lines of sources.list that a template of a snapshot gets, so that its
// VPSs have updates. There are none if croft does not know the usual archive.
func (f frozen) usualLines(r Recipe) []string {
	switch {
	case r.Mirror != "" && r.Mirror != f.mirror:
		return r.sources()
	case f.usual == archiveService{}:
		return nil
	}
	return r.withUpdates(f.usual.usual, f.usual.usualSecurity)
}

// withUpdates returns the lines for the release, its updates and its security updates.
func (r Recipe) withUpdates(archive, security string) []string {
	lines := []string{aptLine(archive, r.Suite, r.Components)}
	if r.isRolling() {
		return lines
	}
	return append(lines, aptLine(archive, r.Suite+"-updates", r.Components), aptLine(security, r.Suite+"-security", r.Components))
}

func aptLine(url, suite string, components []string) string {
	return strings.Join(append([]string{"deb", url, suite}, components...), " ")
}

// base returns the URL that all lines of the snapshot have in common with no usual one.
func (f frozen) base() string { return cmp.Or(f.mirror, f.archive) }

// restoreSources gives the new system at "$1" its usual package archives, unless the recipe has
// written others.
func (r Recipe) restoreSources(files map[string]string) []string {
	if r.frozen == nil {
		return nil
	}
	lines := r.frozen.usualLines(r)
	if len(lines) == 0 {
		return nil
	}
	files["usual.list"] = strings.Join(lines, "\n") + "\n"
	return []string{fmt.Sprintf(`! grep -qF %s "$1/etc/apt/sources.list" || cat /tmp/croft/usual.list >"$1/etc/apt/sources.list"`, quoted(r.frozen.base()))}
}

// listArchives prints the archives of one-line sources, and describeArchives those of deb822
// (sources.list(5)): URL, suite, components.
const (
	listArchives     = `/^deb[ \t]/ { sub(/^deb[ \t]+(\[[^]]*\][ \t]*)?/, ""); print }`
	describeArchives = `BEGIN { RS = ""; FS = "\n" }
{
	uris = suites = components = ""; off = 0
	for (i = 1; i <= NF; i++) {
		name = tolower($i); sub(/:.*/, "", name)
		value = $i; sub(/^[^:]*:[ \t]*/, "", value)
		if (name == "uris") uris = value
		if (name == "suites") suites = value
		if (name == "components") components = value
		if (name == "enabled" && value == "no" || name == "types" && value !~ /(^| )deb( |$)/) off = 1
	}
	n = split(uris, u, " "); m = split(suites, s, " ")
	for (i = 1; i <= n && !off; i++) for (k = 1; k <= m; k++) print u[i], s[k], components
}`
)

// layerSources writes to /tmp/croft-apt in the root filesystem "$1" the distribution's archives of
// its template, as they were on the date of the snapshot. It sets sources to options of apt that use
// them and the recipe's repositories alone.
func (f frozen) layerSources() string {
	one := fmt.Sprintf("*/debian-security) echo \"deb %s $suite $components\" ;;\n\t*/debian | */ubuntu | */ubuntu-ports) echo \"deb %s $suite $components\" ;;", f.security, f.archive)
	if f.mirror != "" {
		one = fmt.Sprintf("*/debian | */ubuntu | */ubuntu-ports) case $suite in *-*) ;; *) echo \"deb %s $suite $components\" ;; esac ;;", f.mirror)
	}
	return `mkdir "$1/tmp/croft-apt"
for f in /tmp/croft/repository-*.sources; do [ ! -f "$f" ] || cp "$f" "$1/tmp/croft-apt/"; done
{
	chroot "$1" /bin/sh -c 'cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null' | chroot "$1" awk ` + quoted(listArchives) + `
	chroot "$1" /bin/sh -c 'for f in /etc/apt/sources.list.d/*.sources; do [ ! -f "$f" ] || { cat "$f"; echo; }; done' | chroot "$1" awk ` + quoted(describeArchives) + `
} | sort -u | while read -r url suite components; do
	case ${url%/} in
	` + one + `
	esac
done >"$1/tmp/croft-apt/snapshot.list"
[ -s "$1/tmp/croft-apt/snapshot.list" ] || { echo "E: the template has no package archive of its distribution in /etc/apt, of which a snapshot could be used" >&2; exit 1; }
sources="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/tmp/croft-apt"
`
}
