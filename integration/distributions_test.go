//go:build integration

package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// archives are small repositories of the tests in the formats of other distributions. They
// have busybox as the base system, with a script, a package that only weakly belongs to it,
// and the host's useradd as shadow.
type archives struct {
	dir        string
	url        string
	key, other string // armored public keys; other signs the second repository alone
}

// makeTree makes directories with the files of the packages below the directory $1. $2 prints a
// tar archive of busybox.
const makeTree = `cd "$1"
mkdir base shadow weak more
$2 | tar -x -f - -C base
rm -rf base/proc base/sys base/dev base/run base/tmp
mkdir -p weak/etc more/etc
echo weak >weak/etc/weak
echo more >more/etc/more
echo by-package >base/etc/of-base
for program in useradd usermod groupadd; do
	path=$(command -v $program)
	for file in $path $(ldd $path | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[ \t]*\(\/[^ ]*\) (.*/\1/p'); do
		mkdir -p "shadow/usr/lib/shadow/$(dirname "$file")"
		cp -L "$file" "shadow/usr/lib/shadow$file"
	done
	mkdir -p shadow/usr/sbin
	loader=$(cd shadow/usr/lib/shadow && find . -name 'ld-*' | head -n 1)
	libraries=$(cd shadow/usr/lib/shadow && find . -name 'libc.so.6' -exec dirname {} \; | head -n 1)
	printf '#!/bin/sh\nexec /usr/lib/shadow/%s --library-path /usr/lib/shadow/%s:/usr/lib/shadow/usr/%s /usr/lib/shadow%s "$@"\n' "$loader" "$libraries" "$libraries" "$path" >shadow/usr/sbin/$program
	chmod 755 shadow/usr/sbin/$program
done
printf '#!/bin/sh\n[ "$1" = group ] && exec grep -q "^$2:" /etc/group\n' >shadow/usr/sbin/getent
chmod 755 shadow/usr/sbin/getent
mkdir shadow/etc
echo 'USERGROUPS_ENAB yes' >shadow/etc/login.defs
`

// makeKeys makes two keys in the directories gpg and gpg2 of $1.
const makeKeys = `cd "$1"
for k in gpg gpg2; do
	mkdir -m 700 $k
	gpg --homedir $k --batch --quiet --passphrase '' --quick-generate-key "croft's $k <$k@example.org>" rsa3072 sign never 2>/dev/null
	gpg --homedir $k --armor --export >$k.asc
done
`

// makeRPM makes the repositories www/rpm and www/rpm2 of $1.
const makeRPM = `cd "$1"
build() { # NAME DIRECTORY [LINE]...
	name=$1 directory=$2
	shift 2
	{
		printf 'Name: %s\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nAutoReqProv: no\n' "$name"
		for line; do echo "$line"; done
		printf '%%global __os_install_post %%{nil}\n%%global debug_package %%{nil}\n%%description\nx\n%%install\nmkdir -p %%{buildroot}\ncp -a %s/. %%{buildroot}/\n%%files\n/*\n' "$PWD/$directory"
	} >$directory.spec
	[ $directory != base ] || printf '%%dir %%attr(555, root, root) /proc\n%%post -p /bin/sh\nid -u >/etc/post-ran\n' >>$directory.spec
	[ $directory != base ] || sed -i 's/^%files/mkdir %{buildroot}\/proc\n&/' $directory.spec
	rpmbuild -bb --quiet --define "_topdir $PWD/rpmbuild" --define "_dbpath $PWD/rpmdb" $directory.spec >/dev/null
}
build testbase base 'Provides: tar' 'Provides: /bin/sh' 'Recommends: testweak'
build shadow shadow 'Provides: shadow-utils'
build testweak weak
mkdir -p www/rpm www/rpm2
find rpmbuild/RPMS -name '*.rpm' -exec mv {} www/rpm \;
build testmore more
find rpmbuild/RPMS -name '*.rpm' -exec mv {} www/rpm2 \;
for r in 'gpg www/rpm' 'gpg2 www/rpm2'; do
	set -- $r
	GNUPGHOME=$PWD/$1 rpmsign --addsign --define "_gpg_name $1@example.org" --define '__gpg /usr/bin/gpg' $2/*.rpm >/dev/null
	createrepo_c --quiet $2
	gpg --homedir $1 --batch --armor --detach-sign $2/repodata/repomd.xml
	cp $1.asc $2/repodata/repomd.xml.key # zypper offers to trust it
done
`

// makePacman makes the repositories www/one/os/x86_64 and www/two of $1.
const makePacman = `cd "$1"
build() { # NAME DIRECTORY KEY REPOSITORY [LINE]...
	(
		name=$1; key=$3; into=$4; cd "$2"; shift 4
		printf '%s\n' "pkgname = $name" "pkgbase = $name" 'pkgver = 1-1' 'pkgdesc = x' 'url = https://example.org' 'builddate = 1764000000' 'packager = x' 'size = 1' 'arch = any' "$@" >.PKGINFO
		printf 'post_install() {\n\tid -u >/etc/post-ran-%s\n}\n' "$name" >.INSTALL
		mkdir -p "../$into"
		tar --zstd --owner=0 --group=0 -cf "../$into/$name-1-1-any.pkg.tar.zst" .PKGINFO .INSTALL *
		rm .PKGINFO .INSTALL
		gpg --homedir "../$key" --batch --detach-sign "../$into/$name-1-1-any.pkg.tar.zst"
	)
}
build testbase base gpg www/one/os/x86_64 'provides = tar' 'optdepend = testweak: x'
build shadow shadow gpg www/one/os/x86_64
build testweak weak gpg www/one/os/x86_64
build testmore more gpg2 www/two
repo-add --quiet www/one/os/x86_64/one.db.tar.gz www/one/os/x86_64/*.zst >/dev/null
repo-add --quiet www/two/two.db.tar.gz www/two/*.zst >/dev/null
`

// makeStage3 makes a stage3 of Gentoo in www/releases of $1.
const makeStage3 = `cd "$1"
mkdir stage3
cp -a base/. shadow/. stage3/
mkdir stage3/proc stage3/dev stage3/run
echo 0 >stage3/etc/post-ran
autobuilds=www/releases/amd64/autobuilds at=20251123T170205Z
mkdir -p $autobuilds/$at
tar -C stage3 --xz -cf $autobuilds/$at/stage3-amd64-openrc-$at.tar.xz .
gpg --homedir gpg --batch --armor --detach-sign $autobuilds/$at/stage3-amd64-openrc-$at.tar.xz
printf '# Latest\n# ts=1764000000\n%s/stage3-amd64-openrc-%s.tar.xz 1234\n' $at $at | gpg --homedir gpg --batch --clearsign >$autobuilds/latest-stage3-amd64-openrc.txt
`

// makeArchives makes the keys and the packages' files, and serves what is in www.
func makeArchives(t *testing.T) archives {
	t.Helper()
	a := archives{dir: t.TempDir()}
	run := func(script string) { a.run(t, script) }
	run(makeKeys)
	t.Cleanup(func() {
		for _, k := range []string{"gpg", "gpg2"} {
			exec.Command("gpgconf", "--homedir", filepath.Join(a.dir, k), "--kill", "gpg-agent").Run()
		}
	})
	run(makeTree)
	if err := os.Mkdir(filepath.Join(a.dir, "www"), 0o755); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(a.dir, "www"))))
	t.Cleanup(server.Close)
	a.url = server.URL
	a.key, a.other = string(read(t, filepath.Join(a.dir, "gpg.asc"))), string(read(t, filepath.Join(a.dir, "gpg2.asc")))
	return a
}

// run runs a script with the directory and the command for a tar archive of busybox.
func (a archives) run(t *testing.T, script string) {
	t.Helper()
	busybox := fmt.Sprintf("%s --root %s template export busybox - --format rootfs", world.croft, world.root)
	cmd := exec.Command("/bin/sh", "-euc", script, "sh", a.dir, busybox)
	cmd.Env = append(os.Environ(), "HOME="+a.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// indented returns text as a block of YAML.
func indented(text string) string {
	return "|\n    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// A distributionTest is a recipe of one distribution for a repository of the tests.
type distributionTest struct {
	distribution string
	programs     []string // that make the repository and build it
	make         string
	recipe       string // its lines beside those of all
	second       string // a second repository with the package testmore; "" is none
	inside       string // a script that fails if the VPS is not as the tool makes it
}

func distributionTests() []distributionTest {
	rpm := []string{"rpm", "rpmbuild", "rpmsign", "createrepo_c"}
	const ofRPM = "ls /usr/lib/sysimage/rpm/rpmdb.sqlite && ! ls /var/cache/dnf /var/cache/zypp 2>/dev/null"
	return []distributionTest{
		{"fedora", append(rpm, "dnf"), makeRPM, "components: [rpm]\npackages: [testbase]\n", "{uri: URL/rpm2, key: KEY}", ofRPM + " && grep -q rpm2 /etc/yum.repos.d/croft-repository-0.repo && ls /etc/pki/rpm-gpg"},
		{"opensuse", append(rpm, "zypper"), makeRPM, "components: [rpm]\npackages: [testbase]\n", "{uri: URL/rpm2, key: KEY}", ofRPM + " && grep -q rpm2 /etc/zypp/repos.d/croft-repository-0.repo"},
		{"arch", []string{"pacman", "pacman-key", "repo-add", "bsdtar", "gpg"}, makePacman, "components: [one]\npackages: [testbase]\n", "{uri: URL/two, suites: [two], key: KEY}",
			"ls -d /var/lib/pacman/local/testbase-1-1 && ! ls -d /var/lib/pacman/sync 2>/dev/null && grep -q two /etc/pacman.conf && ! ls -d /etc/pacman.d/gnupg 2>/dev/null && mv /etc/post-ran-testbase /etc/post-ran"},
		{"gentoo", []string{"curl", "gpg", "gpgv", "xz"}, makeStage3, "suite: openrc\n", "", "true"},
	}
}

// text returns the recipe for the archives a, which key signs.
func (c distributionTest) text(a archives, key, packages string) string {
	text := "distribution: " + c.distribution + "\nrelease: \"1\"\nreleased: 2025-01-01\ninit: busybox\nmirror: " + a.url + "\n" + strings.Replace(c.recipe, "[testbase]", packages, 1) +
		"users: [{name: shop, groups: [clerks], uid: 4321}]\nfiles: [{path: /etc/of-recipe, content: \"hi\\n\", owner: shop}]\nservices: {nothing: off}\n" +
		"scripts: {post-install: 'id -u >/etc/post-install'}\nkey: " + indented(key)
	if c.second != "" {
		second := strings.Replace(c.second, "URL", a.url, 1)
		text += "repositories:\n  - " + strings.Replace(strings.NewReplacer("{", "", "}", "", ", ", "\n    ").Replace(second), "KEY", strings.ReplaceAll(indented(a.other), "\n", "\n    "), 1) + "\n"
	}
	return text
}

// Recipes of other distributions are built by the distribution's tool from a repository of
// the tests, and VPSs of them boot and stop. A repository that another key signs is refused, and
// a package that is missing is an error of the recipe.
func TestRecipesOfOtherDistributions(t *testing.T) {
	for _, c := range distributionTests() {
		t.Run(c.distribution, func(t *testing.T) {
			for _, p := range c.programs {
				if _, err := exec.LookPath(p); err != nil {
					t.Skipf("install-needs found no %s here: %v", p, err)
				}
			}
			hostAsBefore(t)
			a := makeArchives(t)
			a.run(t, c.make)
			build := func(key, packages string) (string, result) {
				t.Helper()
				template := name(t, c.distribution)
				file := filepath.Join(t.TempDir(), "recipe.yaml")
				if err := os.WriteFile(file, []byte(c.text(a, key, packages)), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { try("template", "remove", "--if-exists", template) })
				return template, try("template", "build", template, "--recipe", file)
			}
			packages := "[testbase]"
			if c.second != "" {
				packages = "[testbase, testmore]"
			}
			template, r := build(a.key, packages)
			if r.status != 0 {
				t.Fatal(r)
			}
			vps := boot(t, template, "--network", "none")
			sh(t, vps, c.inside)
			if got := sh(t, vps, "cat /etc/of-base /etc/of-recipe /etc/post-ran /etc/post-install; id shop; ls -ln /etc/of-recipe | awk '{ print $3 }'; ls /etc/weak 2>/dev/null || echo no weak"); got != `by-package
hi
0
0
uid=4321(shop) gid=4321(shop) groups=4321(shop),999(clerks)
4321
no weak` {
				t.Errorf("the VPS has\n%s", got)
			}
			if c.second != "" && in(t, vps, "cat", "/etc/more") != "more" {
				t.Error("the package of the second repository is not there")
			}
			must(t, "stop", vps)
			if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
				t.Errorf("it ended so: %+v", end)
			}
			if template, r := build(a.other, packages); r.status != 8 || !strings.Contains(r.errOut, "only the key or the keyring of the recipe may sign") {
				t.Errorf("with a wrong key: %s", r)
			} else if r := try("template", "inspect", template); r.status == 0 {
				t.Error("there is a template of packages with a wrong signature")
			}
			if c.second == "" {
				return
			}
			if _, r := build(a.key, "\n  - testbase\n  - no-such-thing"); r.status != 2 || !strings.Contains(r.errOut, `: package "no-such-thing" was not found`) || !strings.Contains(r.errOut, "line 9") {
				t.Errorf("with a missing package: %s", r)
			}
		})
	}
}
