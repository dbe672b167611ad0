package recipe

import (
	"cmp"
	"fmt"
	"strings"
)

// gentooArchitectures are Gentoo's directories, and the first part of a stage3's name.
func gentooArchitectures() map[string]string {
	return map[string]string{
		"amd64": "amd64 amd64", "arm64": "arm64 arm64", "armhf": "arm armv7a_hardfp", "i386": "x86 i686",
		"ppc64el": "ppc ppc64le", "riscv64": "riscv rv64_lp64d", "s390x": "s390 s390x", "loong64": "loong loong",
	}
}

// gentooFamily has Gentoo: a signed archive with a root filesystem, the stage3.
func gentooFamily() family {
	return family{
		distributions: []string{"gentoo"},
		tools:         []tool{{name: "curl", also: []string{"gpg", "gpgv", "xz"}}},
		architectures: gentooArchitectures(),
		marks:         []string{"E: ", "curl: ", "tar: "},
		flaws: func(r Recipe) flaws {
			f := r.needsKeys()
			f = append(f, r.require(
				part{"mirror", r.Mirror != "", "the URL of its archive"},
				part{"suite", r.Suite != "", "the kind of stage3, such as openrc"})...)
			f = append(f, r.refuse(r.onlyDebian()...)...)
			f = append(f, r.refuse(
				part{"packages", len(r.Packages) > 0, "its packages are those of the stage3"},
				part{"components", len(r.Components) > 0, "a stage3 is one archive"},
				part{"repositories", len(r.Repositories) > 0, "a stage3 is one archive"})...)
			return append(f, r.archFlaws(gentooArchitectures())...)
		},
		plan: planGentoo,
	}
}

// stage3 downloads the newest stage3 of a directory. It takes its name from a signed list, and
// checks the signature of the archive. gpgv accepts only the keys of the keyring.
const stage3 = `fetch() { curl --fail --location --silent --show-error --retry 3 --output "$2" "$base/$1"; }
mkdir -m 700 gnupg
gpg --homedir gnupg --quiet --batch --import keys
gpg --homedir gnupg --quiet --batch --export >stage3.gpg
verify() { gpgv --homedir gnupg --keyring /tmp/croft/stage3.gpg "$@" || { echo "E: the signature of $list is not by a key of the recipe" >&2; exit 1; }; }
fetch "$list" list
verify --output names list
name=$(sed -n 's/^\(stage3-[^ \/]*\|[0-9TZ]*\/stage3-[^ \/]*\)  *[0-9].*/\1/p' names | head -n 1)
[ -n "$name" ] || { echo "E: $list names no stage3" >&2; exit 1; }
echo "I: downloading packages..."
fetch "$name" stage3.tar
fetch "$name.asc" stage3.asc
list=$name
verify stage3.asc stage3.tar
sed -n 's/^# ts=//p' names | head -n 1 >times
echo "I: extracting archives..."
tar --extract --file stage3.tar --directory "$1" --numeric-owner --xattrs --xattrs-include=security.capability --exclude=./dev --exclude=./proc --exclude=./run --exclude=./sys`

func planGentoo(j *Job, r Recipe, mirror string, after []string) {
	dir, name, _ := strings.Cut(r.toolArch(), " ")
	base := strings.TrimRight(cmp.Or(mirror, r.Mirror), "/") + "/releases/" + dir + "/autobuilds"
	j.Shell = systemScript([]string{
		"cat " + quoted(r.armoredKeys(j.Files)...) + " >keys",
		"base=" + quoted(base),
		"list=" + quoted(fmt.Sprintf("latest-stage3-%s-%s.txt", name, r.Suite)),
		stage3,
		printTime("cat times"),
	}, after)
}
