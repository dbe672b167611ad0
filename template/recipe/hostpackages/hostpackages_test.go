package hostpackages

import (
	"strings"
	"testing"
)

func TestPackagesThatBringATool(t *testing.T) {
	for _, c := range []struct {
		manager        string
		lacks          []string
		names, install string
	}{
		{"apt-get", []string{"dnf", "rpm"}, "dnf rpm", "apt-get install dnf rpm"},
		{"apt-get", []string{"pacman", "pacman-key", "gpg"}, "gnupg pacman-package-manager", "apt-get install gnupg pacman-package-manager"},
		{"apt-get", []string{"dnf", "distribution-gpg-keys"}, "distribution-gpg-keys dnf", ""},
		{"apt-get", []string{"xbps-install"}, "xbps", ""},
		{"dnf", []string{"dnf5", "distribution-gpg-keys"}, "distribution-gpg-keys dnf5", "dnf install distribution-gpg-keys dnf5"},
		{"apk", []string{"apk"}, "apk-tools", "apk add apk-tools"},
		{"apt-get", []string{"qemu-img"}, "qemu-utils", "apt-get install qemu-utils"},
		{"emerge", []string{"dnf"}, "dnf", ""},
		{"apt-get", nil, "", ""},
	} {
		names, install := For(c.lacks, func(program string) bool { return program == c.manager })
		if got := strings.Join(names, " "); got != c.names || install != c.install {
			t.Errorf("%s lacks %q: %q, %q", c.manager, c.lacks, got, install)
		}
	}
}
