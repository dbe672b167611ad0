package recipe

import (
	"slices"
	"strings"
	"testing"

	"croft/internal/fail"
)

// What a distribution's tool cannot do is an error of the recipe, with the line in it.
func TestRecipesThatAToolCannotBuild(t *testing.T) {
	const repository = "repositories: [{uri: 'https://example.org/x', %skey: '-----BEGIN PGP PUBLIC KEY BLOCK-----'}]\n"
	with := func(more string) string { return strings.ReplaceAll(repository, "%s", more) }
	for _, c := range []struct{ name, text, says string }{
		{"a suite of dnf", "extends: fedora-43\nsuite: x\n", `line 2: suite: a recipe of fedora cannot have it: use components`},
		{"pre-install of dnf", "extends: fedora-43\nscripts: {pre-install: 'true'}\n", "line 2: scripts: a recipe of fedora cannot have it: pre-install is for Debian's tools"},
		{"expired indexes of pacman", "extends: arch-rolling\ncheck-valid-until: false\n", "line 2: check-valid-until: "},
		{"an architecture of Arch", "extends: arch-rolling\narchitecture: arm64\n", "line 2: architecture: arch has no packages for arm64"},
		{"an architecture of zypper", "extends: opensuse-15.6\narchitecture: arm64\n", "line 2: architecture: a recipe of opensuse cannot have it: zypper builds for the host's"},
		{"suites of an RPM repository", "extends: rocky-9\n" + with("suites: [a], "), "line 2: repositories: https://example.org/x has suites or components"},
		{"no suites of Debian", "extends: debian-12\n" + with(""), "line 2: repositories: https://example.org/x needs suites"},
		{"no suites of a layer", "from: debian-12\n" + with(""), "line 2: repositories: https://example.org/x needs suites"},
		{"no section of pacman", "extends: arch-rolling\n" + with(""), "line 2: repositories: https://example.org/x needs suites, the names of pacman's repositories"},
		{"a repository of apk", "extends: alpine-3.22\n" + with("suites: [a], "), "line 2: repositories: a recipe of alpine cannot have it"},
		{"a repository of xbps", "extends: void-rolling\n" + with("suites: [a], "), "line 2: repositories: a recipe of void cannot have it"},
		{"packages of Gentoo", "extends: gentoo-rolling\npackages: [nano]\n", "line 2: packages: a recipe of gentoo cannot have it"},
		{"a version for dnf", "extends: fedora-43\npackages:\n  - nginx=1\n", "packages: nginx=1: write NAME-VERSION"},
		{"no keys", "distribution: ubuntu\nrelease: '1'\nsuite: x\nreleased: 2020-01-01\ninit: systemd\nmirror: http://example.org\n", "keyring: ubuntu needs keyring, or key"},
		{"no mirror", "distribution: fedora\nrelease: '1'\nreleased: 2020-01-01\ninit: systemd\nkeyring: [/etc/x]\ncomponents: [x]\n", "mirror: a recipe of fedora needs it"},
		{"two keyrings of debootstrap", "extends: ubuntu-24.04\nkeyring: [/etc/x, /etc/y]\n", "line 2: keyring: debootstrap takes one file"},
		{"a keyring that a build does not see", "extends: ubuntu-24.04\nkeyring:\n  - /root/x.gpg\n", "line 3: keyring: a build does not see /root/x.gpg"},
		{"a keyring that is a command", "extends: fedora-43\nkeyring: ['/etc/x; reboot']\n", "line 2: keyring: path"},
		{"a key that is none", "extends: fedora-43\nkey: x\n", "line 2: key: it is not an armored OpenPGP public key"},
		{"a mirror that is none", "extends: fedora-43\nmirror: /x\n", `line 2: mirror: invalid URL "/x"`},
		{"the mirror of a layer", "from: debian-12\nmirror: http://example.org/\n", `line 2: mirror: a recipe with "from" has that of its template`},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := Cookbook{t.TempDir()}
			writeRecipe(t, book, "bad", c.text)
			if _, err := book.Read("bad"); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s", err, c.says)
			}
		})
	}
}

// A key replaces the keyrings of the recipe below, and the other way round.
func TestAKeyReplacesKeyrings(t *testing.T) {
	r := Recipe{Keyring: []string{"/a", "/b"}}.extended(Recipe{Key: "k"})
	if r.Key != "k" || len(r.Keyring) != 0 {
		t.Errorf("%q %q", r.Key, r.Keyring)
	}
	if r = r.extended(Recipe{Keyring: []string{"/c"}}); r.Key != "" || !slices.Equal(r.Keyring, []string{"/c"}) {
		t.Errorf("%q %q", r.Key, r.Keyring)
	}
}

// The mirror of the command replaces that of the recipe, and is the only archive.
func TestAMirrorReplacesTheRecipes(t *testing.T) {
	c := embeddedRecipes(t)
	for name, own := range map[string]string{
		"ubuntu-24.04": "http://archive.ubuntu.com/ubuntu", "devuan-5": "http://deb.devuan.org/merged", "fedora-43": "https://dl.fedoraproject.org/",
		"opensuse-15.6": "https://download.opensuse.org", "arch-rolling": "https://geo.mirror.pkgbuild.com", "alpine-3.22": "https://dl-cdn.alpinelinux.org/",
		"void-rolling": "https://repo-default.voidlinux.org", "gentoo-rolling": "https://distfiles.gentoo.org",
	} {
		r, err := c.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := familyOf(r.Distribution)
		for _, tool := range f.tools {
			for mirror, want := range map[string]string{"": own, "https://mirror.example.org/x": "https://mirror.example.org/x"} {
				j, err := Plan(r, tool.name, mirror)
				if err != nil {
					t.Fatal(err)
				}
				text := j.String()
				if !strings.Contains(text, want) || mirror != "" && strings.Contains(text, own) {
					t.Errorf("%s with %s and mirror %q does not use %s alone", name, tool.name, mirror, want)
				}
				if len(j.Archives) != 1 || !strings.HasPrefix(j.Archives[0], want) {
					t.Errorf("%s: the network allows %q", name, j.Archives)
				}
			}
		}
	}
}

func TestUbuntusOtherArchitectures(t *testing.T) {
	r, err := embeddedRecipes(t).Read("ubuntu-24.04")
	if err != nil {
		t.Fatal(err)
	}
	r.Architecture = "arm64"
	if got := r.sources(); !strings.HasPrefix(got[0], "deb http://ports.ubuntu.com/ubuntu-ports noble ") || len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// A host without the keys refuses before anything is downloaded, and names the package.
func TestAHostThatLacksTheKeys(t *testing.T) {
	r := Recipe{Distribution: "fedora", Keyring: []string{"/usr/share/no-such-keys"}, KeyringPackage: "no-such-package"}
	if tool, err := Builder(r); !fail.Is(err, fail.Host) || tool != "" || !strings.Contains(err.Error(), "in the package no-such-package") ||
		!strings.Contains(err.Error(), "lacks") || !strings.Contains(err.Error(), "/usr/share/no-such-keys") || fail.HintOf(err) != "croft template search fedora" {
		t.Errorf("%q, %v (%s)", tool, err, fail.HintOf(err))
	}
	w := workshopOf(r)
	if !slices.Contains(w.packages, "no-such-package") || w.install != "" {
		t.Errorf("%+v", w)
	}
}

func TestPackagesThatOtherToolsLack(t *testing.T) {
	var missing MissingPackages
	for line := range strings.Lines("No match for argument: a-1\nNo provider of 'b' found.\nerror: target not found: c\n  d (no such package):\nPackage 'e' not found in repository pool.\nNo match for anything\n") {
		missing.Add(strings.TrimSuffix(line, "\n"))
	}
	var names []string
	for _, m := range missing {
		names = append(names, m.name)
	}
	if got := strings.Join(names, " "); got != "a-1 b c d e" {
		t.Errorf("got %s", got)
	}
}

func TestServicesOfRunit(t *testing.T) {
	want := "rm -f /etc/runit/runsvdir/default/b\n"
	if got := runitServices(map[string]bool{"a": true, "b": false}); !strings.HasSuffix(got, want) || !strings.Contains(got, "ln -sfn /etc/sv/a /etc/runit/runsvdir/default/a\n") {
		t.Errorf("got %s", got)
	}
}
