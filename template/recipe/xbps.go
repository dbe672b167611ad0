package recipe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func xbpsArchitectures() map[string]string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686"}
}

// xbpsFamily has the distributions that xbps-install installs.
func xbpsFamily() family {
	return family{
		distributions: []string{"void"},
		tools:         []tool{{name: "xbps-install"}},
		architectures: xbpsArchitectures(),
		marks:         []string{"ERROR: "},
		flaws: func(r Recipe) flaws {
			f := r.needsKeys()
			f = append(f, r.require(
				part{"mirror", r.Mirror != "", "the URL of its package archive"},
				part{"components", len(r.Components) > 0, "the paths of its repositories below mirror"})...)
			f = append(f, r.refuse(r.onlyDebian()...)...)
			f = append(f, r.refuse(
				part{"suite", r.Suite != "", "use components"},
				part{"key", r.Key != "", "xbps has keys of another kind: use keyring, a directory"},
				part{"repositories", len(r.Repositories) > 0, "xbps has keys of another kind"})...)
			return append(f, r.archFlaws(xbpsArchitectures())...)
		},
		services: runitServices,
		plan:     planXBPS,
	}
}

// runitServices is servicesScript for Void's runit.
func runitServices(services map[string]bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(services)) {
		link := quoted("/etc/runit/runsvdir/default/" + name)
		if !services[name] {
			b.WriteString("rm -f " + link + "\n")
			continue
		}
		sv := quoted("/etc/sv/" + name)
		fmt.Fprintf(&b, "[ -d %s ] || { echo \"service %s does not exist\" >&2; exit 1; }\nln -sfn %s %s\n", sv, name, sv, link)
	}
	return b.String()
}

// planXBPS installs the packages with the keys of a directory. For a repository with another
// key xbps-install asks also with --yes, and the end of its input is a no.
func planXBPS(j *Job, r Recipe, mirror string, after []string) {
	j.Env = append(j.Env, "XBPS_ARCH="+r.toolArch())
	args := []string{"xbps-install", "--rootdir", "/tmp/croft/root", "--sync", "--yes", "--ignore-conf-repos"}
	for _, c := range r.Components {
		args = append(args, "--repository", strings.TrimRight(cmp.Or(mirror, r.Mirror), "/")+"/"+strings.Trim(c, "/"))
	}
	args = append(args, r.withNeeded("shadow")...)
	j.Shell = systemScript([]string{
		`mkdir -p "$1/var/db/xbps/keys"`,
		"cp " + strings.Join(r.Keyring, "/*.plist ") + `/*.plist "$1/var/db/xbps/keys"`,
		quoted(args...) + " </dev/null",
	}, after, "/var/cache/xbps")
}
