package recipe

import (
	"cmp"
	"fmt"
	"strings"
)

// rpmArchitectures are the names of architectures in repositories of RPM packages.
func rpmArchitectures() map[string]string {
	return map[string]string{
		"amd64": "x86_64", "arm64": "aarch64", "ppc64el": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
	}
}

// rpmDatabase is where the host's rpm has the database of the new system, until rpmOwnDatabase.
const rpmDatabase = "/usr/lib/sysimage/rpm"

// rpmMacros are settings of the host's rpm (HOME is the build's directory). What a build
// mounts is no file of a package.
const rpmMacros = "%_dbpath " + rpmDatabase + "\n%_netsharedpath /dev:/proc:/sys:/run\n"

// rpmOwnDatabase writes the database again with the new system's own rpm: other releases have
// another format and another place.
const rpmOwnDatabase = `if [ -x "$1/usr/bin/rpmdb" ]; then
	rpmdb --root "$1" --exportdb >/tmp/croft/rpmdb
	find "$1` + rpmDatabase + `" -mindepth 1 -delete
	chroot "$1" /usr/bin/rpmdb --importdb </tmp/croft/rpmdb
fi`

// rpmFlaws returns what is missing in r, or what tools for RPM packages do not have.
func rpmFlaws(r Recipe) flaws {
	f := r.needsKeys()
	f = append(f, r.require(
		part{"mirror", r.Mirror != "", "the URL of its package archive"},
		part{"components", len(r.Components) > 0, "the paths of its repositories below mirror"})...)
	f = append(f, r.refuse(r.onlyDebian()...)...)
	f = append(f, r.refuse(part{"suite", r.Suite != "", "use components"})...)
	f = append(f, r.archFlaws(rpmArchitectures())...)
	for i, p := range r.Repositories {
		if len(p.Suites) > 0 || len(p.Components) > 0 {
			f.add(path("repositories", i), "repositories: %s has suites or components: a repository of RPM packages has only uri and key", p.URI)
		}
	}
	for i, p := range r.Packages {
		if strings.Contains(p, "=") {
			f.add(path("packages", i), "packages: %s: write NAME-VERSION", p)
		}
	}
	return f
}

// rpmRepositories returns the file with r's repositories for the build. signed is true if the
// distribution signs the metadata too. mirror replaces that of the recipe, "" is none.
func (r Recipe) rpmRepositories(files map[string]string, mirror string, signed bool) string {
	var b strings.Builder
	keys := strings.Join(r.armoredKeys(files), " file://")
	for i, c := range r.Components {
		base := strings.TrimRight(cmp.Or(mirror, r.Mirror), "/") + "/" + strings.Trim(c, "/") + "/"
		b.WriteString(rpmRepository(fmt.Sprintf("croft-%d", i), base, keys, signed))
	}
	for i, p := range r.Repositories {
		name := repositoryName(i)
		files[name+".asc"] = p.Key
		b.WriteString(rpmRepository(name, p.URI, "/tmp/croft/"+name+".asc", false))
	}
	return b.String()
}

// rpmRepository returns one section of a .repo file. keys are the first file with keys, and
// URLs of more.
func rpmRepository(name, url, keys string, signed bool) string {
	metadata := "0"
	if signed {
		metadata = "1"
	}
	return fmt.Sprintf("[%s]\nname=%[1]s\nbaseurl=%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=%s\ngpgkey=file://%s\n", name, url, metadata, keys)
}

// keepRPMRepositories returns a command that writes the repositories of the recipe's list, with
// their keys, into the new system, whose directory of .repo files is dir.
func (r Recipe) keepRPMRepositories(files map[string]string, dir string) []string {
	if len(r.Repositories) == 0 {
		return nil
	}
	all := []string{fmt.Sprintf(`mkdir -p "$1%s" "$1/etc/pki/rpm-gpg"`, dir)}
	for i, p := range r.Repositories {
		name := repositoryName(i)
		key := "/etc/pki/rpm-gpg/RPM-GPG-KEY-croft-" + name
		files["kept-"+name] = rpmRepository("croft-"+name, p.URI, key, false)
		all = append(all, fmt.Sprintf(`cp /tmp/croft/%s.asc "$1%s"`, name, key), fmt.Sprintf(`cp /tmp/croft/kept-%s "$1%s/croft-%[1]s.repo"`, name, dir))
	}
	return all
}

// repositoryName is how a build calls one of the recipe's own repositories.
func repositoryName(i int) string { return fmt.Sprintf("repository-%d", i) }
