package recipe

import (
	"fmt"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"croft/template/confine"
)

// AptGet is the tool of a job that adds packages to a template.
const AptGet = "apt-get"

// PlanLayer returns the job that makes the changes of r, which has From, in confine.RootDir. It runs
// nothing and reads nothing. Files of the recipe get the time at.
func PlanLayer(r Recipe, at time.Time) Job {
	j := Job{Tool: AptGet, Marks: debianFamily().marks, Files: map[string]string{}, Proxy: r.Proxy, Archives: r.archives("")}
	if r.frozen != nil {
		j.Archives = append(j.Archives, r.frozen.base())
	}
	j.Env = []string{"PATH=" + buildPath, "HOME=/tmp/croft", "TMPDIR=/tmp/croft", "LC_ALL=C.UTF-8", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", at.Unix())}
	if r.Scripts.PreInstall != "" {
		j.Files["pre-install"] = r.Scripts.PreInstall
	}
	for i, p := range r.Repositories {
		j.Files[fmt.Sprintf("repository-%d.sources", i)] = p.deb822()
	}
	j.Shell = layerScript(r, r.afterPackages(j.Files, at, servicesScript))
	return j
}

// layerMounts gives a job what programs in the root filesystem "$1" need, on mounts of its
// own: devices, /proc, empty /tmp and /run, and no resolvers.
const layerMounts = `set -- ` + confine.RootDir + `
mkdir -p "$1/proc" "$1/dev" "$1/tmp" "$1/run" "$1/etc"
mount --rbind /proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for d in full null random tty urandom zero; do : >"$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done
ln -s /proc/self/fd "$1/dev/fd"
ln -s pts/ptmx "$1/dev/ptmx"
mkdir "$1/dev/pts" "$1/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$1/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
if [ -L "$1/etc/resolv.conf" ] || ! [ -f "$1/etc/resolv.conf" ]; then
	link=$(readlink "$1/etc/resolv.conf") || link=
	rm -f "$1/etc/resolv.conf"
	: >"$1/etc/resolv.conf"
else
	: >/tmp/croft/resolv.conf
	mount --bind /tmp/croft/resolv.conf "$1/etc/resolv.conf"
fi
`

// layerPolicy has no service started when its package is installed
// (https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt).
const layerPolicy = `policy=$1/usr/sbin/policy-rc.d
[ -e "$policy" ] && policy= || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; }
`

// layerEnd removes what a job needed and an image does not, and layerAptEnd what apt needed.
const layerEnd = `if mountpoint -q "$1/etc/resolv.conf"; then umount "$1/etc/resolv.conf"; else rm "$1/etc/resolv.conf"; [ -z "$link" ] || ln -s "$link" "$1/etc/resolv.conf"; fi
umount -l "$1/proc" "$1/dev" "$1/tmp" "$1/run"
`

const layerAptEnd = `[ -z "$policy" ] || rm "$policy"
find "$1/var/lib/apt/lists" -maxdepth 1 -type f -delete
rm -f "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb
`

func layerScript(r Recipe, after []string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString("exec >&2\n" + enter + layerMounts)
	if len(r.Repositories) > 0 {
		line(`cp /tmp/croft/repository-*.sources "$1/etc/apt/sources.list.d/"`)
	}
	if r.Scripts.PreInstall != "" {
		line("%s", insideCommand("pre-install"))
	}
	if len(r.Packages) > 0 {
		b.WriteString(layerPolicy)
		line(`in="chroot $1 /usr/bin/env -i PATH=%s LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH`+passProxies+`"`, buildPath)
		sources := ""
		if r.frozen != nil {
			b.WriteString(r.frozen.layerSources())
			sources = " $sources"
		}
		update := "$in apt-get --quiet --error-on=any" + sources
		if r.acceptsExpired() {
			update += " -o Acquire::Check-Valid-Until=false"
		}
		line(`echo "I: running apt-get update..." >&2`)
		line("%s update", update)
		line("%s", printDates)
		line(`echo "I: installing packages..." >&2`)
		line(`$in apt-get --quiet --yes%s --no-install-recommends install %s`, sources, shellescape.QuoteCommand(r.Packages))
	}
	for _, command := range after {
		line("%s", command)
	}
	line(`echo "I: cleaning package lists..." >&2`)
	if len(r.Packages) > 0 {
		b.WriteString(layerAptEnd)
	}
	b.WriteString(layerEnd)
	return b.String()
}
