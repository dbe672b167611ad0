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

// keyring holds the keys that sign Debian's package archives.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianFamily has the distributions with Debian's package tools.
func debianFamily() family {
	return family{
		distributions: []string{"debian"},
		tools:         []tool{{name: mmdebstrap}, {name: debootstrap}},
		plan:          planDebian,
	}
}

// planDebian completes j with the commands that create a root filesystem of r.
func planDebian(j *Job, r Recipe, mirror string, after []string) {
	for i, p := range r.Repositories {
		j.Files[fmt.Sprintf("repository-%d.sources", i)] = p.deb822()
	}
	switch j.Tool {
	case mmdebstrap:
		j.Files["check-packages"] = checkPackagesScript(r.Packages)
		j.Shell = enter + "exec " + shellescape.QuoteCommand(mmdebstrapCommand(r, mirror, after)) + "\n"
	case debootstrap:
		j.Env = append(j.Env, "container=lxc") // debootstrap then mounts device nodes instead of creating them
		j.Shell = enter + debootstrapScript(r, mirror, after)
	}
}

// printDates prints the date of each package index. The newest is the image's date.
const printDates = `sed -n 's/^Date: /croft-date: /p' "$1"/var/lib/apt/lists/*Release >&2`

func mmdebstrapCommand(r Recipe, mirror string, after []string) []string {
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
	if mirror != "" {
		args = append(args, mirror)
	}
	return args
}

// updates adds the release's updates and security updates from the same mirror.
// mmdebstrap adds them by default, debootstrap does not.
const updates = `sed -i 's|^deb \(.*\)/debian/\{0,1\} \([a-z]*\) \(.*\)$|&\ndeb \1/debian \2-updates \3\ndeb \1/debian-security \2-security \3|' "$1/etc/apt/sources.list"`

// debootstrapScript returns a script that does with debootstrap what mmdebstrap
// does by default.
func debootstrapScript(r Recipe, mirror string, after []string) string {
	bootstrap := []string{
		debootstrap, "--variant=minbase", "--arch=" + r.DebianArch(), "--keyring=" + keyring,
		"--components=" + strings.Join(r.Components, ","), r.Suite, "/tmp/croft/root",
	}
	if mirror != "" {
		bootstrap = append(bootstrap, mirror)
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
	if mirror == "" && !r.isRolling() {
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
	line(`exec tar --create --file=- --directory="$1" --one-file-system --sort=name --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime --xattrs --xattrs-include=security.capability --format=pax --pax-option='exthdr.name=%%d/PaxHeaders/%%f,delete=atime,delete=ctime' --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' .`)
	return b.String()
}

// isRolling reports whether the suite is never released. Such a suite has no
// separate updates.
func (r Recipe) isRolling() bool { return slices.Contains([]string{"sid", "unstable"}, r.Suite) }

// acceptsExpired reports whether expired package indexes are accepted.
func (r Recipe) acceptsExpired() bool { return r.CheckValidUntil != nil && !*r.CheckValidUntil }

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
