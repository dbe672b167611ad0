package recipe

// zypperFamily has the distributions that zypper installs.
func zypperFamily() family {
	return family{
		distributions: []string{"opensuse"},
		tools:         []tool{{name: "zypper", also: []string{"rpm"}}},
		architectures: rpmArchitectures(),
		marks:         []string{"Error: ", "- Signature verification failed", "- Can't provide "},
		flaws: func(r Recipe) flaws {
			f := rpmFlaws(r)
			return append(f, r.refuse(part{"architecture", r.Architecture != "", "zypper builds for the host's"})...)
		},
		plan: planZypper,
	}
}

func planZypper(j *Job, r Recipe, mirror string, after []string) {
	j.Files[".rpmmacros"] = rpmMacros
	j.Files["croft.repo"] = r.rpmRepositories(j.Files, mirror, true)
	zypper := quoted("zypper", "--root", "/tmp/croft/root", "--reposd-dir", "/tmp/croft/repos", "--cache-dir", "/tmp/croft/cache", "--releasever", r.Release, "--non-interactive")
	// zypper trusts the keys that rpm has, and without --gpg-auto-import-keys no other ones.
	install := []string{"mkdir repos", "cp croft.repo repos", `rpm --root "$1" --import ` + quoted(r.armoredKeys(j.Files)...)}
	for i := range r.Repositories {
		install = append(install, `rpm --root "$1" --import `+quoted("/tmp/croft/"+repositoryName(i)+".asc"))
	}
	install = append(install,
		zypper+" refresh", // install would go on without a repository that it cannot use
		zypper+" install --no-recommends --auto-agree-with-licenses "+quoted(r.withNeeded("shadow")...),
		printTime(zypperTimes), rpmOwnDatabase)
	install = append(install, r.keepRPMRepositories(j.Files, "/etc/zypp/repos.d")...)
	j.Shell = systemScript(install, after, "/var/cache/zypp", "/var/log/zypp", "/var/log/zypper.log")
}

const zypperTimes = `find /tmp/croft/cache -name repomd.xml -exec sed -n 's:.*<timestamp>\([0-9]*\).*:\1:p' {} +`
