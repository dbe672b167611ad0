package recipe

import (
	"fmt"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// The tools that create a Debian root filesystem, the preferred first.
const (
	mmdebstrap  = "mmdebstrap"
	debootstrap = "debootstrap"
)

// debianKeyring holds the keys that sign Debian's package archives.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianFamily has the distributions with Debian's package tools.
func debianFamily() family {
	return family{
		distributions: []string{"debian", "devuan", "kali", "ubuntu"},
		tools:         []tool{{name: mmdebstrap}, {name: debootstrap}},
		marks:         []string{"E: "},
		flaws:         debianFlaws,
		plan:          planDebian,
	}
}

func debianFlaws(r Recipe) flaws {
	var f flaws
	if r.Suite == "" {
		f.add(path("suite"), "invalid suite %q", r.Suite)
	}
	if r.Distribution != "debian" {
		f = append(f, r.needsKeys()...)
		f = append(f, r.require(part{"mirror", r.Mirror != "", "the URL of its package archive"})...)
	}
	if len(r.Keyring) > 1 {
		f.add(path("keyring"), "keyring: debootstrap takes one file")
	}
	return append(f, r.suiteFlaws()...)
}

// aptKeyring returns the file with the keys of r's package archive, and adds it to files
// if the recipe has it.
func (r Recipe) aptKeyring(files map[string]string) string {
	switch {
	case r.Key != "":
		files["recipe.gpg"] = dearmored(r.Key)
		return "/tmp/croft/recipe.gpg"
	case len(r.Keyring) > 0:
		return r.Keyring[0]
	}
	return debianKeyring
}

// sources returns the lines of sources.list for the recipe's own mirror: the release, its
// updates and its security updates.
func (r Recipe) sources() []string {
	mirror := r.Mirror
	if ports := !slices.Contains([]string{"amd64", "i386"}, r.DebianArch()); ports && mirror == "http://archive.ubuntu.com/ubuntu" {
		mirror = "http://ports.ubuntu.com/ubuntu-ports" // Ubuntu's other architectures
	}
	suites := []string{r.Suite}
	if r.Distribution == "ubuntu" || r.Distribution == "devuan" {
		suites = append(suites, r.Suite+"-updates", r.Suite+"-security")
	}
	for i, suite := range suites {
		suites[i] = strings.Join(append([]string{"deb", mirror, suite}, r.Components...), " ")
	}
	return suites
}

// debootstrapScripts are the scripts of debootstrap for distributions, whose newest suites it
// may not know.
var debootstrapScripts = map[string]string{"ubuntu": "gutsy", "devuan": "ceres", "kali": "kali"}

// planDebian completes j with the commands that create a root filesystem of r.
func planDebian(j *Job, r Recipe, mirror string, after []string) {
	after = append(after, r.restoreSources(j.Files)...)
	for i, p := range r.Repositories {
		j.Files[fmt.Sprintf("repository-%d.sources", i)] = p.deb822()
	}
	switch j.Tool {
	case mmdebstrap:
		j.Files["check-packages"] = checkPackagesScript(r.Packages)
		j.Shell = enter + "exec " + shellescape.QuoteCommand(mmdebstrapCommand(r, r.aptKeyring(j.Files), mirror, after)) + "\n"
	case debootstrap:
		j.Env = append(j.Env, "container=lxc") // debootstrap then mounts device nodes instead of creating them
		j.Shell = enter + debootstrapScript(r, r.aptKeyring(j.Files), mirror, after)
	}
}

// printDates prints the date of each package index. The newest is the image's date.
const printDates = `sed -n 's/^Date: /croft-date: /p' "$1"/var/lib/apt/lists/*Release >&2`

func mmdebstrapCommand(r Recipe, keyring, mirror string, after []string) []string {
	args := []string{
		mmdebstrap, "--mode=root", "--variant=minbase", "--format=tar",
		"--architectures=" + r.DebianArch(), "--keyring=" + keyring,
		"--components=" + strings.Join(r.Components, ","),
		"--include=" + strings.Join(r.Packages, ","),
	}
	if r.acceptsExpired() {
		args = append(args, `--aptopt=Acquire::Check-Valid-Until "false"`)
	}
	if len(r.Repositories) > 0 { // as mirror arguments they would replace the distribution's own
		args = append(args, `--setup-hook=cp /tmp/croft/repository-*.sources "$1/etc/apt/sources.list.d/"`)
	}
	args = append(args, "--setup-hook=/bin/sh -eu /tmp/croft/check-packages")
	if r.Scripts.PreInstall != "" {
		args = append(args, "--essential-hook="+insideCommand("pre-install"))
	}
	args = append(args, "--customize-hook="+printDates)
	for _, command := range after {
		args = append(args, "--customize-hook="+command)
	}
	args = append(args, r.Suite, "-")
	switch {
	case r.frozen != nil:
		args = append(args, r.frozen.debianLines(r)...)
	case mirror != "":
		args = append(args, mirror)
	case r.Mirror != "":
		args = append(args, r.sources()...)
	}
	return args
}

// updates adds the release's updates and security updates from the same mirror.
// mmdebstrap adds them by default, debootstrap does not.
const updates = `sed -i 's|^deb \(.*\)/debian/\{0,1\} \([a-z]*\) \(.*\)$|&\ndeb \1/debian \2-updates \3\ndeb \1/debian-security \2-security \3|' "$1/etc/apt/sources.list"`

// debootstrapScript returns a script that does with debootstrap what mmdebstrap
// does by default.
func debootstrapScript(r Recipe, keyring, mirror string, after []string) string {
	bootstrap := []string{
		debootstrap, "--variant=minbase", "--arch=" + r.DebianArch(), "--keyring=" + keyring,
		"--components=" + strings.Join(r.Components, ","), r.Suite, "/tmp/croft/root",
	}
	script := debootstrapScripts[r.Distribution]
	switch {
	case r.frozen != nil:
		bootstrap = append(bootstrap, r.frozen.base())
	case mirror == "" && r.Mirror != "":
		bootstrap = append(bootstrap, strings.Fields(r.sources()[0])[1])
	case mirror != "":
		bootstrap = append(bootstrap, mirror)
	}
	if script != "" {
		bootstrap = append(bootstrap, script)
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("set -- /tmp/croft/root")
	line("%s >&2", shellescape.QuoteCommand(bootstrap))
	line(`mount --rbind /proc "$1/proc"`)
	line(`mount -t tmpfs -o mode=755 tmpfs "$1/dev"`) // debootstrap removes its own nodes at its end
	line(`for d in full null random tty urandom zero; do : >"$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done`)
	line(`printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"`)
	line(`chmod 755 "$1/usr/sbin/policy-rc.d"`)
	switch {
	case r.frozen != nil:
		line(`printf '%%s\n' %s >"$1/etc/apt/sources.list"`, quoted(r.frozen.debianLines(r)...))
	case mirror == "" && r.Mirror != "":
		line(`printf '%%s\n' %s >"$1/etc/apt/sources.list"`, quoted(r.sources()...))
	case mirror == "" && !r.isRolling():
		line("%s", updates)
	}
	if len(r.Repositories) > 0 {
		line(`cp /tmp/croft/repository-*.sources "$1/etc/apt/sources.list.d/"`)
	}
	if r.Scripts.PreInstall != "" {
		line("{ %s; } >&2", insideCommand("pre-install"))
	}
	line(`echo "I: installing packages..." >&2`)
	line(`in="chroot $1 /usr/bin/env -i PATH=%s LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH`+passProxies+`"`, buildPath)
	update := "$in apt-get --quiet"
	if r.acceptsExpired() {
		update += " -o Acquire::Check-Valid-Until=false"
	}
	if keyring != debianKeyring { // the new system may not have it
		line(`cp %s "$1/tmp/croft.gpg"`, quoted(keyring))
		update += " -o Dir::Etc::Trusted=/tmp/croft.gpg -o Dir::Etc::TrustedParts=/dev/null"
	}
	line("%s update >&2", update)
	line(`$in apt-get --quiet --yes upgrade >&2`)
	line(`$in apt-get --quiet --yes --no-install-recommends install %s >&2`, shellescape.QuoteCommand(r.Packages))
	line("%s", printDates)
	line(`rm "$1/usr/sbin/policy-rc.d"`)
	for _, command := range after {
		line("{ %s; } >&2", command)
	}
	line(`umount -l "$1/proc" "$1/dev"`)
	line(`rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb "$1"/debootstrap "$1"/tmp/*`)
	line(`echo "I: creating tarball..." >&2`)
	line("%s", printTar)
	return b.String()
}

// isRolling reports whether the suite is never released. Such a suite has no
// separate updates.
func (r Recipe) isRolling() bool { return slices.Contains([]string{"sid", "unstable"}, r.Suite) }

// acceptsExpired reports whether expired package indexes are accepted, as those of a snapshot.
func (r Recipe) acceptsExpired() bool {
	return r.frozen != nil || r.CheckValidUntil != nil && !*r.CheckValidUntil
}

// deb822 returns p as a file for /etc/apt/sources.list.d, with the key in it
// (sources.list(5), apt 2.3.10).
func (p Repository) deb822() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\n", p.URI, strings.Join(p.Suites, " "))
	if len(p.Components) > 0 {
		fmt.Fprintf(&b, "Components: %s\n", strings.Join(p.Components, " "))
	}
	b.WriteString("Signed-By:\n")
	for line := range strings.Lines(strings.TrimSpace(p.Key)) {
		if line = strings.TrimSpace(line); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
