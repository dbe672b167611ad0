package recipe

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A Job describes everything that a build runs. It is decided before anything
// runs. The golden files in testdata are the jobs of the embedded recipes.
type Job struct {
	Tool  string            // the program whose output croft reads, such as mmdebstrap
	Shell string            // a script for /bin/sh -eu in the build's namespaces
	Files map[string]string // names and contents in the build's directory, /tmp/croft
	Env   []string          // NAME=value; those of the proxy come with the build's network
	Marks []string          // the beginnings of lines in which the tool reports errors

	Proxy    string   // the URL of a proxy for downloads; "" is those of croft's environment
	Archives []string // the URLs of package archives that the recipe or its user names
}

// buildPath is the PATH for the tools, on the host and in a build.
const buildPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// enter begins each script. Sandbox and Command have set up the rest.
const enter = `mount -t proc proc /proc
cd /tmp/croft
`

// inside runs a script of the recipe in the new system at "$1".
const insideScript = `chroot "$1" /usr/bin/env -i PATH=` + buildPath + ` HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"` + passProxies + ` /bin/sh -eu -c "$(cat /tmp/croft/%[1]s)" || { echo "croft-failed: %[1]s" >&2; exit 1; }`

func insideCommand(script string) string { return fmt.Sprintf(insideScript, script) }

// passProxies continues an env(1) command with the variables of the build's proxy.
const passProxies = ` http_proxy=$http_proxy https_proxy=$https_proxy`

// unpackFiles unpacks the recipe's files in the new system at "$1", with its own tar. GNU tar
// would replace a link to a directory, as /bin is one, by a directory.
const unpackFiles = `chroot "$1" /usr/bin/env -i PATH=` + buildPath + ` /bin/sh -euc 'tar --help </dev/null 2>&1 | grep -q -e --keep-directory-symlink && set -- --keep-directory-symlink --no-overwrite-dir; exec tar -x -f - -C / "$@"' </tmp/croft/files.tar || { echo "croft-failed: files" >&2; exit 1; }`

// afterPackages returns the commands to run in the new system at "$1" when its packages are
// installed, and adds to files what they need.
func (r Recipe) afterPackages(files map[string]string, epoch time.Time, services func(map[string]bool) string) []string {
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
	script("services", services(r.Services))
	script("post-install", joinScripts(r.Scripts.PostInstall, cleanScript(r.Clean)))
	return all
}

// archives returns the URLs of package archives that r names, with mirror in place of its own
// if it is not "".
func (r Recipe) archives(mirror string) (all []string) {
	if mirror = cmp.Or(mirror, r.Mirror); mirror != "" {
		all = append(all, mirror)
	}
	for _, p := range r.Repositories {
		all = append(all, p.URI)
	}
	return all
}

// Plan returns the job that builds r with tool. It runs nothing and reads nothing.
// mirror "" is the tool's default. An invalid release date, and a distribution that croft
// does not build, are errors.
func Plan(r Recipe, tool, mirror string) (Job, error) {
	f, ok := familyOf(r.Distribution)
	if !ok {
		return Job{}, unknownDistribution(r.Distribution)
	}
	epoch, err := r.Epoch()
	if err != nil {
		return Job{}, err
	}
	j := Job{Tool: tool, Marks: f.marks, Files: map[string]string{}, Proxy: r.Proxy, Archives: r.archives(mirror)}
	j.Env = []string{
		"PATH=" + buildPath, "HOME=/tmp/croft", "TMPDIR=/tmp/croft", "LC_ALL=C.UTF-8",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()),
	}
	if r.Scripts.PreInstall != "" {
		j.Files["pre-install"] = r.Scripts.PreInstall
	}
	services := servicesScript
	if f.services != nil {
		services = f.services
	}
	after := r.afterPackages(j.Files, epoch, services)
	f.plan(&j, r, mirror, after)
	return j, nil
}

// cleanScript returns a script that removes paths, with * and ? as in a shell.
func cleanScript(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return "rm -rf -- " + strings.Join(paths, " ") + "\n"
}
