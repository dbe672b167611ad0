package recipe

import "strings"

// dnfConfig has dnf take nothing from the host, and install what the recipe names.
const dnfConfig = `[main]
gpgcheck=1
install_weak_deps=False
keepcache=False
plugins=False
skip_if_unavailable=False
reposdir=/tmp/croft/none
varsdir=/tmp/croft/none
`

// dnfFamily has the distributions that dnf installs, version 4 or 5.
func dnfFamily() family {
	return family{
		distributions: []string{"almalinux", "centos", "fedora", "rocky"},
		tools:         []tool{{name: "dnf5", also: []string{"rpm"}}, {name: "dnf", also: []string{"rpm"}}},
		architectures: rpmArchitectures(),
		marks:         []string{"Error: ", "Failed to "},
		flaws:         rpmFlaws,
		plan:          planDNF,
	}
}

func planDNF(j *Job, r Recipe, mirror string, after []string) {
	j.Files[".rpmmacros"] = rpmMacros
	j.Files["dnf.conf"] = dnfConfig + r.rpmRepositories(j.Files, mirror, false)
	args := []string{j.Tool, "--config=/tmp/croft/dnf.conf", "--installroot=/tmp/croft/root", "--releasever=" + r.Release, "--assumeyes"}
	if j.Tool == "dnf5" {
		args = append(args, "--use-host-config")
	}
	if r.Architecture != "" {
		args = append(args, "--forcearch="+r.toolArch())
	}
	args = append(append(args, "install"), r.withNeeded("shadow-utils")...)
	install := []string{quoted(args...), printTime(dnfTimes), rpmOwnDatabase}
	install = append(install, r.keepRPMRepositories(j.Files, "/etc/yum.repos.d")...)
	j.Shell = systemScript(install, after, strings.Fields("/var/cache/dnf /var/cache/libdnf5 /var/lib/dnf/history* /var/log/dnf* /var/log/hawkey.log")...)
}

// dnfTimes prints the times of the repositories' indexes.
const dnfTimes = `find "$1/var/cache" -name repomd.xml -exec sed -n 's:.*<timestamp>\([0-9]*\).*:\1:p' {} +`
