// Package hostpackages is the table of the packages that bring the tools of templates to a
// host, for its package manager.
package hostpackages

import (
	"cmp"
	"slices"
	"strings"
)

// managers are package managers of hosts, and the command that installs packages with each.
var managers = []struct{ program, install string }{
	{"apt-get", "apt-get install"}, {"apk", "apk add"}, {"dnf", "dnf install"}, {"pacman", "pacman -S"}, {"zypper", "zypper install"},
}

// table has the packages that bring a tool or keys to a host, by its package manager.
// What is not here may be missing in that distribution.
func table() map[string]map[string]string {
	return map[string]map[string]string{
		"mmdebstrap":             {"apt-get": "mmdebstrap", "dnf": "mmdebstrap"},
		"debootstrap":            {"apt-get": "debootstrap", "apk": "debootstrap", "dnf": "debootstrap", "pacman": "debootstrap", "zypper": "debootstrap"},
		"dnf5":                   {"dnf": "dnf5"},
		"dnf":                    {"apt-get": "dnf", "dnf": "dnf", "zypper": "dnf"},
		"zypper":                 {"apt-get": "zypper", "dnf": "zypper", "zypper": "zypper"},
		"pacman":                 {"apt-get": "pacman-package-manager", "dnf": "pacman", "pacman": "pacman"},
		"pacman-key":             {"apt-get": "pacman-package-manager", "dnf": "pacman", "pacman": "pacman"},
		"apk":                    {"apk": "apk-tools"},
		"rpm":                    {"apt-get": "rpm", "dnf": "rpm", "zypper": "rpm"},
		"curl":                   {"apt-get": "curl", "apk": "curl", "dnf": "curl", "pacman": "curl", "zypper": "curl"},
		"gpg":                    {"apt-get": "gnupg", "apk": "gnupg", "dnf": "gnupg2", "pacman": "gnupg", "zypper": "gpg2"},
		"gpgv":                   {"apt-get": "gpgv", "apk": "gnupg", "dnf": "gnupg2", "pacman": "gnupg", "zypper": "gpg2"},
		"qemu-img":               {"apt-get": "qemu-utils", "apk": "qemu-img", "dnf": "qemu-img", "pacman": "qemu-img", "zypper": "qemu-tools"},
		"xz":                     {"apt-get": "xz-utils", "apk": "xz", "dnf": "xz", "pacman": "xz", "zypper": "xz"},
		"debian-archive-keyring": {"apt-get": "debian-archive-keyring", "apk": "debian-archive-keyring", "dnf": "debian-keyring", "pacman": "debian-archive-keyring", "zypper": "debian-keyring"},
		"archlinux-keyring":      {"apt-get": "archlinux-keyring", "dnf": "archlinux-keyring", "pacman": "archlinux-keyring"},
		"distribution-gpg-keys":  {"dnf": "distribution-gpg-keys"},
		"alpine-keys":            {"apk": "alpine-keys"},
	}
}

// projects are the names of programs' own projects, where the program has another name.
var projects = map[string]string{"xbps-install": "xbps", "apk": "apk-tools", "apk.static": "apk-tools-static", "pacman-key": "pacman"}

// For returns the packages that bring what a host lacks, programs and packages, and
// the command that installs them with its first package manager; "" if that is not known to
// have all of them.
func For(lacks []string, here func(program string) bool) (packages []string, install string) {
	var manager string
	for _, m := range managers {
		if here(m.program) {
			manager, install = m.program, m.install
			break
		}
	}
	known := table()
	for _, l := range lacks {
		name := known[l][manager]
		if name == "" {
			name, install = cmp.Or(projects[l], l), ""
		}
		packages = append(packages, name)
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	if len(packages) == 0 || install == "" {
		return packages, ""
	}
	return packages, install + " " + strings.Join(packages, " ")
}
