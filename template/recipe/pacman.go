package recipe

import (
	"cmp"
	"fmt"
	"strings"
)

// pacmanFamily has the distributions that pacman installs.
func pacmanFamily() family {
	return family{
		distributions: []string{"arch"},
		tools:         []tool{{name: "pacman", also: []string{"pacman-key", "gpg"}}},
		architectures: pacmanArchitectures(),
		marks:         []string{"error: ", "==> ERROR: "},
		flaws:         pacmanFlaws,
		plan:          planPacman,
	}
}

func pacmanFlaws(r Recipe) flaws {
	f := r.needsKeys()
	f = append(f, r.require(
		part{"mirror", r.Mirror != "", "the URL of its package archive"},
		part{"components", len(r.Components) > 0, "the names of its repositories, such as core"})...)
	f = append(f, r.refuse(r.onlyDebian()...)...)
	f = append(f, r.refuse(part{"suite", r.Suite != "", "use components"})...)
	f = append(f, r.archFlaws(pacmanArchitectures())...)
	for i, p := range r.Repositories {
		if len(p.Suites) == 0 || len(p.Components) > 0 {
			f.add(path("repositories", i), "repositories: %s needs suites, the names of pacman's repositories, and no components", p.URI)
		}
	}
	for i, p := range r.Packages {
		if strings.ContainsAny(p, "=") {
			f.add(path("packages", i), "packages: %s: pacman installs the newest version only", p)
		}
	}
	return f
}

func pacmanArchitectures() map[string]string {
	return map[string]string{"amd64": "x86_64"}
}

// pacmanLayout is where a repository is below the mirror (pacman.conf(5) has the variables).
const pacmanLayout = "/$repo/os/$arch"

func planPacman(j *Job, r Recipe, mirror string, after []string) {
	var conf strings.Builder
	fmt.Fprintf(&conf, "[options]\nArchitecture = %s\nSigLevel = Required DatabaseOptional\n", r.toolArch())
	server := strings.TrimRight(cmp.Or(mirror, r.Mirror), "/") + pacmanLayout
	for _, c := range r.Components {
		fmt.Fprintf(&conf, "[%s]\nServer = %s\n", c, server)
	}
	install := []string{"mkdir keyrings"}
	for _, file := range r.Keyring {
		install = append(install, fmt.Sprintf(copyKeyring, quoted(strings.TrimSuffix(file, ".gpg")), quoted(strings.TrimSuffix(pacmanElsewhere(file), ".gpg"))))
	}
	if r.Key != "" {
		install = append(install, pacmanKeyring(j.Files, "recipe", r.Key))
	}
	for i, p := range r.Repositories {
		install = append(install, pacmanKeyring(j.Files, repositoryName(i), p.Key))
		conf.WriteString(p.pacmanSections())
	}
	j.Files["pacman.conf"] = conf.String()
	install = append(install, populateKeyrings)
	install = append(install,
		`mkdir -p "$1/var/lib/pacman" cache`,
		`pacman --root "$1" --dbpath "$1/var/lib/pacman" --cachedir /tmp/croft/cache --gpgdir /tmp/croft/gnupg --hookdir "$1/usr/share/libalpm/hooks" --logfile /dev/null --config /tmp/croft/pacman.conf --noconfirm --noprogressbar --sync --refresh `+quoted(r.withNeeded("shadow")...),
		printTime(`sed -n '/^%BUILDDATE%$/{n;p;}' "$1"/var/lib/pacman/local/*/desc`),
	)
	install = append(install, r.keepPacman(j.Files, server)...)
	j.Shell = systemScript(install, after, "/var/lib/pacman/sync", "/var/cache/pacman/pkg/*")
}

// pacmanElsewhere returns the file of Debian's package for a keyring of pacman.
func pacmanElsewhere(file string) string {
	if name, ok := strings.CutPrefix(file, "/usr/share/pacman/keyrings/"); ok {
		return "/usr/share/keyrings/" + name
	}
	return file
}

// copyKeyring copies a keyring, NAME.gpg with NAME-trusted and NAME-revoked, from one of two
// places.
const copyKeyring = `for k in %s %s; do
	if [ -e "$k.gpg" ]; then cp "$k.gpg" "$k-trusted" keyrings; [ ! -e "$k-revoked" ] || cp "$k-revoked" keyrings; break; fi
done`

// populateKeyrings has pacman trust the keyrings of the build alone. pacman-key reads those of
// a directory that is built into it: they are mounted there.
const populateKeyrings = `for d in /usr/share/pacman/keyrings /usr/share/keyrings; do [ ! -d "$d" ] || mount --bind keyrings "$d"; done
pacman-key --gpgdir /tmp/croft/gnupg --config /tmp/croft/pacman.conf --init
pacman-key --gpgdir /tmp/croft/gnupg --config /tmp/croft/pacman.conf --populate`

// pacmanKeyring adds a keyring with trust in its keys to files, and returns the command that
// copies it. Trust 4 has a key of three such keys trusted: their own packages need none.
func pacmanKeyring(files map[string]string, name, key string) string {
	files[name+".gpg"] = dearmored(key)
	for _, f := range fingerprints(key) {
		files[name+"-trusted"] += f + ":4:\n"
	}
	return "cp " + name + ".gpg " + name + "-trusted keyrings"
}

// pacmanSections returns the lines of pacman.conf for p.
func (p Repository) pacmanSections() string {
	var b strings.Builder
	for _, name := range p.Suites {
		fmt.Fprintf(&b, "[%s]\nServer = %s\n", name, p.URI)
	}
	return b.String()
}

// keepPacman returns commands that write the mirror and the recipe's repositories, with their
// keys, into the new system.
func (r Recipe) keepPacman(files map[string]string, server string) []string {
	all := []string{`mkdir -p "$1/etc/pacman.d"`,
		`grep -qs '^Server' "$1/etc/pacman.d/mirrorlist" || printf 'Server = %s\n' ` + quoted(server) + ` >>"$1/etc/pacman.d/mirrorlist"`}
	for i, p := range r.Repositories {
		name := repositoryName(i)
		files["kept-"+name] = p.pacmanSections()
		all = append(all, `mkdir -p "$1/usr/share/pacman/keyrings"`,
			fmt.Sprintf(`cp %s.gpg "$1/usr/share/pacman/keyrings/croft-%[1]s.gpg"`, name),
			fmt.Sprintf(`cp %s-trusted "$1/usr/share/pacman/keyrings/croft-%[1]s-trusted"`, name),
			fmt.Sprintf(`cat kept-%s >>"$1/etc/pacman.conf"`, name))
	}
	return all
}
