package recipe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
)

// A Job describes everything that a build runs. It is decided before anything
// runs. The golden files in testdata are the jobs of the embedded recipes.
type Job struct {
	Tool  string            // the program whose output croft reads: mmdebstrap or debootstrap
	Shell string            // a script for /bin/sh -eu in the build's namespaces
	Files map[string]string // names and contents in the build's directory, /tmp/croft
	Env   []string          // NAME=value; those of the proxy come with the build's network

	Proxy    string   // the URL of a proxy for downloads; "" is those of croft's environment
	Archives []string // the URLs of package archives that the recipe or its user names
}

// The tools that create a Debian root filesystem, the preferred first.
const (
	mmdebstrap  = "mmdebstrap"
	debootstrap = "debootstrap"
)

// keyring holds the keys that sign Debian's package archives.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// buildPath is the PATH for the tools, on the host and in a build.
const buildPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Builder returns the tool that builds Debian templates on this host. If there is
// none, or if Debian's keys are missing, it is fail.Host with the command that
// installs them.
func Builder() (string, error) {
	for _, t := range []string{mmdebstrap, debootstrap} {
		for dir := range strings.SplitSeq(buildPath, ":") {
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

// enter begins each script. Sandbox and Command have set up the rest.
const enter = `mount -t proc proc /proc
cd /tmp/croft
`

// inside runs a script of the recipe in the new system at "$1".
const insideScript = `chroot "$1" /usr/bin/env -i PATH=` + buildPath + ` HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"` + passProxies + ` /bin/sh -eu -c "$(cat /tmp/croft/%[1]s)" || { echo "croft-failed: %[1]s" >&2; exit 1; }`

func insideCommand(script string) string { return fmt.Sprintf(insideScript, script) }

// unpackFiles unpacks the recipe's files in the new system at "$1", with its own tar. GNU tar
// would replace a link to a directory, as /bin is one, by a directory.
const unpackFiles = `chroot "$1" /usr/bin/env -i PATH=` + buildPath + ` /bin/sh -euc 'tar --help </dev/null 2>&1 | grep -q -e --keep-directory-symlink && set -- --keep-directory-symlink --no-overwrite-dir; exec tar -x -f - -C / "$@"' </tmp/croft/files.tar || { echo "croft-failed: files" >&2; exit 1; }`

// afterPackages returns the commands to run in the new system at "$1" when its packages are
// installed, and adds to files what they need.
func (r Recipe) afterPackages(files map[string]string, epoch time.Time) []string {
	var all []string
	script := func(name, text string) {
		if text != "" {
			files[name] = text
			all = append(all, insideCommand(name))
		}
	}
	script("users", usersScript(r.Users))
	if len(r.Files) > 0 {
		files["files.tar"] = filesTar(r.Files, epoch)
		all = append(all, unpackFiles)
	}
	script("owners", ownersScript(r.Files))
	script("services", servicesScript(r.Services))
	script("post-install", joinScripts(r.Scripts.PostInstall, cleanScript(r.Clean)))
	return all
}

// archives returns the URLs of package archives that r names, and mirror if it is not "".
func (r Recipe) archives(mirror string) (all []string) {
	if mirror != "" {
		all = append(all, mirror)
	}
	for _, p := range r.Repositories {
		all = append(all, p.URI)
	}
	return all
}

// printDates prints the date of each package index. The newest is the image's date.
const printDates = `sed -n 's/^Date: /croft-date: /p' "$1"/var/lib/apt/lists/*Release >&2`

// Plan returns the job that builds r with tool. It runs nothing and reads nothing.
// mirror "" is the tool's default. An invalid release date is an error.
func Plan(r Recipe, tool, mirror string) (Job, error) {
	epoch, err := r.Epoch()
	if err != nil {
		return Job{}, err
	}
	j := Job{Tool: tool, Files: map[string]string{}, Proxy: r.Proxy, Archives: r.archives(mirror)}
	j.Env = []string{
		"PATH=" + buildPath, "HOME=/tmp/croft", "TMPDIR=/tmp/croft", "LC_ALL=C.UTF-8",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()),
	}
	if r.Scripts.PreInstall != "" {
		j.Files["pre-install"] = r.Scripts.PreInstall
	}
	after := r.afterPackages(j.Files, epoch)
	for i, p := range r.Repositories {
		j.Files[fmt.Sprintf("repository-%d.sources", i)] = p.deb822()
	}
	switch tool {
	case mmdebstrap:
		j.Files["check-packages"] = checkPackagesScript(r.Packages)
		j.Shell = enter + "exec " + shellescape.QuoteCommand(mmdebstrapCommand(r, mirror, after)) + "\n"
	case debootstrap:
		j.Env = append(j.Env, "container=lxc") // debootstrap then mounts device nodes instead of creating them
		j.Shell = enter + debootstrapScript(r, mirror, after)
	}
	return j, nil
}

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

// passProxies continues an env(1) command with the variables of the build's proxy.
const passProxies = ` http_proxy=$http_proxy https_proxy=$https_proxy`

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

// cleanScript returns a script that removes paths, with * and ? as in a shell.
func cleanScript(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return "rm -rf -- " + strings.Join(paths, " ") + "\n"
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
