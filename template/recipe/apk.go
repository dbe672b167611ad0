package recipe

import (
	"cmp"
	"strings"
)

func apkArchitectures() map[string]string {
	return map[string]string{
		"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7", "i386": "x86", "ppc64el": "ppc64le",
		"riscv64": "riscv64", "s390x": "s390x", "loong64": "loongarch64",
	}
}

// apkFamily has the distributions that apk installs.
func apkFamily() family {
	return family{
		distributions: []string{"alpine"},
		tools:         []tool{{name: "apk"}, {name: "apk.static"}},
		architectures: apkArchitectures(),
		marks:         []string{"WARNING: fetching ", "ERROR: "}, // a bad signature is such a warning
		flaws: func(r Recipe) flaws {
			f := r.needsKeys()
			f = append(f, r.require(
				part{"mirror", r.Mirror != "", "the URL of its package archive"},
				part{"suite", r.Suite != "", "the branch, such as v3.22"},
				part{"components", len(r.Components) > 0, "such as main"})...)
			f = append(f, r.refuse(r.onlyDebian()...)...)
			f = append(f, r.refuse(
				part{"key", r.Key != "", "apk has keys of another kind: use keyring, a directory"},
				part{"repositories", len(r.Repositories) > 0, "apk has keys of another kind"})...)
			return append(f, r.archFlaws(apkArchitectures())...)
		},
		plan: planAPK,
	}
}

// planAPK installs the packages with the keys of a directory. apk reads /etc/apk of the new
// system, which has the repositories and the keys too.
func planAPK(j *Job, r Recipe, mirror string, after []string) {
	for _, c := range r.Components {
		j.Files["repositories"] += strings.TrimRight(cmp.Or(mirror, r.Mirror), "/") + "/" + r.Suite + "/" + c + "\n"
	}
	packages := r.withNeeded("shadow")
	j.Shell = systemScript([]string{
		`mkdir -p "$1/etc/apk/keys"`,
		"cp " + strings.Join(r.Keyring, "/*.pub ") + `/*.pub "$1/etc/apk/keys"`,
		`cp repositories "$1/etc/apk/repositories"`,
		quoted(j.Tool, "--root", "/tmp/croft/root", "--arch", r.toolArch(), "--no-cache", "--no-progress", "add", "--initdb") + " " + quoted(packages...),
		printTime(`sed -n 's/^t://p' "$1/lib/apk/db/installed" "$1/usr/lib/apk/db/installed" 2>/dev/null`),
	}, after, "/var/cache/apk/*")
}
