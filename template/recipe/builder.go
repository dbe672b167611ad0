package recipe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
)

// A job is all that a build runs, decided before anything runs: golden files
// hold what it is for each recipe.
type Job struct {
	Tool  string            // whose output is read: mmdebstrap, debootstrap
	Shell string            // run by /bin/sh -eu in the build's namespaces
	Files map[string]string // in the build's directory, which is /tmp/croft there
	Env   []string
}

// The tools that fill a Debian root filesystem, the preferred first.
const (
	Mmdebstrap  = "mmdebstrap"
	debootstrap = "debootstrap"
)

// keyring holds the keys that sign Debian's package archives.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// buildPath is where tools are found, on the host and in a build.
const BuildPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Builder returns the tool that templates of Debian are built with on this host.
// A host without one is fail.Host, with the command that installs it.
func Builder() (string, error) {
	for _, t := range []string{Mmdebstrap, debootstrap} {
		for dir := range strings.SplitSeq(BuildPath, ":") {
			if _, err := exec.LookPath(filepath.Join(dir, t)); err == nil {
				return t, findKeyring()
			}
		}
	}
	return "", fail.New(fail.Host, "building a Debian template needs mmdebstrap or debootstrap, and neither is installed").
		WithHint("apt-get install mmdebstrap")
}

func findKeyring() error {
	if _, err := os.Stat(keyring); err != nil {
		return fail.New(fail.Host, "building a Debian template needs its archive's keys: %w", err).
			WithHint("apt-get install debian-archive-keyring")
	}
	return nil
}

// enter is run first; the rest of the namespaces is made by sandbox.
const Enter = `mount -t proc proc /proc
cd /tmp/croft
`

// inside runs a script of the recipe in the new system at "$1".
const inside = `chroot "$1" /usr/bin/env -i PATH=` + BuildPath + ` HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" /bin/sh -eu -c "$(cat /tmp/croft/%[1]s)" || { echo "croft-failed: %[1]s" >&2; exit 1; }`

func insideCommand(script string) string { return fmt.Sprintf(inside, script) }

// dated prints when each package index was made, for the image's date.
const dated = `sed -n 's/^Date: /croft-date: /p' "$1"/var/lib/apt/lists/*Release >&2`

// plan decides what building r with tool runs. mirror "" is the tool's own.
func Plan(r Recipe, tool, mirror string) (Job, error) {
	epoch, err := r.Epoch()
	if err != nil {
		return Job{}, err
	}
	j := Job{Tool: tool, Files: map[string]string{}}
	j.Env = []string{
		"PATH=" + BuildPath, "HOME=/tmp/croft", "TMPDIR=/tmp/croft", "LC_ALL=C.UTF-8",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()),
	}
	if r.Scripts.PreInstall != "" {
		j.Files["pre-install"] = r.Scripts.PreInstall
	}
	j.Files["post-install"] = joinScripts(r.Scripts.PostInstall, cleanScript(r.Clean))
	for i, p := range r.Repositories {
		j.Files[fmt.Sprintf("repository-%d.sources", i)] = p.deb822()
	}
	switch tool {
	case Mmdebstrap:
		j.Files["check-packages"] = checkPackagesScript(r.Packages)
		j.Shell = Enter + "exec " + shellescape.QuoteCommand(mmdebstrapCommand(r, mirror)) + "\n"
	case debootstrap:
		j.Env = append(j.Env, "container=lxc") // it then binds /dev's nodes instead of making them
		j.Shell = Enter + debootstrapScript(r, mirror)
	}
	return j, nil
}

func mmdebstrapCommand(r Recipe, mirror string) []string {
	args := []string{
		Mmdebstrap, "--mode=root", "--variant=minbase", "--format=tar",
		"--architectures=" + r.DebianArch(), "--keyring=" + keyring,
		"--components=" + strings.Join(r.Components, ","),
		"--include=" + strings.Join(r.Packages, ","),
	}
	if r.takesExpired() {
		args = append(args, `--aptopt=Acquire::Check-Valid-Until "false"`)
	}
	if len(r.Repositories) > 0 { // as mirrors they would be instead of its own
		args = append(args, `--setup-hook=cp /tmp/croft/repository-*.sources "$1/etc/apt/sources.list.d/"`)
	}
	args = append(args, "--setup-hook=/bin/sh -eu /tmp/croft/check-packages")
	if r.Scripts.PreInstall != "" {
		args = append(args, "--essential-hook="+insideCommand("pre-install"))
	}
	args = append(args, "--customize-hook="+dated, "--customize-hook="+insideCommand("post-install"), r.Suite, "-")
	if mirror != "" {
		args = append(args, mirror)
	}
	return args
}

// updates adds what mmdebstrap adds by itself for a release: its updates and
// its security updates, which the same host has beside it.
const updates = `sed -i 's|^deb \(.*\)/debian/\{0,1\} \([a-z]*\) \(.*\)$|&\ndeb \1/debian \2-updates \3\ndeb \1/debian-security \2-security \3|' "$1/etc/apt/sources.list"`

// debootstrapScript does with debootstrap what mmdebstrap does by itself.
func debootstrapScript(r Recipe, mirror string) string {
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
	line(`mount -t tmpfs -o mode=755 tmpfs "$1/dev"`) // debootstrap takes away at its end what it had there
	line(`for d in full null random tty urandom zero; do : >"$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done`)
	line(`printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"`)
	line(`chmod 755 "$1/usr/sbin/policy-rc.d"`)
	if mirror == "" && !r.rolls() {
		line("%s", updates)
	}
	if len(r.Repositories) > 0 {
		line(`cp /tmp/croft/repository-*.sources "$1/etc/apt/sources.list.d/"`)
	}
	if r.Scripts.PreInstall != "" {
		line("{ %s; } >&2", insideCommand("pre-install"))
	}
	line(`echo "I: installing packages..." >&2`)
	line(`in="chroot $1 /usr/bin/env -i PATH=%s LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"`, BuildPath)
	update := "$in apt-get --quiet"
	if r.takesExpired() {
		update += " -o Acquire::Check-Valid-Until=false"
	}
	line("%s update >&2", update)
	line(`$in apt-get --quiet --yes upgrade >&2`)
	line(`$in apt-get --quiet --yes --no-install-recommends install %s >&2`, shellescape.QuoteCommand(r.Packages))
	line("%s", dated)
	line(`rm "$1/usr/sbin/policy-rc.d"`)
	line("{ %s; } >&2", insideCommand("post-install"))
	line(`umount -l "$1/proc" "$1/dev"`)
	line(`rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb "$1"/debootstrap "$1"/tmp/*`)
	line(`echo "I: creating tarball..." >&2`)
	line(`exec tar --create --file=- --directory="$1" --one-file-system --sort=name --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime --xattrs --xattrs-include=security.capability --format=pax --pax-option='exthdr.name=%%d/PaxHeaders/%%f,delete=atime,delete=ctime' --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' .`)
	return b.String()
}

// rolls reports whether the suite is never released, and so has no updates beside
// it: each change goes into the suite itself.
func (r Recipe) rolls() bool { return slices.Contains([]string{"sid", "unstable"}, r.Suite) }

// takesExpired reports whether package indexes count whose date has expired.
func (r Recipe) takesExpired() bool { return r.CheckValidUntil != nil && !*r.CheckValidUntil }

// cleanScript removes what the paths match, * and ? as in a shell.
func cleanScript(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return "rm -rf -- " + strings.Join(paths, " ") + "\n"
}

// deb822 is p as a file of /etc/apt/sources.list.d, with its key inside
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
