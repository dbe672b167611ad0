package recipe

import (
	"fmt"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// newRoot makes an empty root filesystem at "$1", with what programs in it need on mounts of
// its own: devices and /proc.
const newRoot = `set -- /tmp/croft/root
mkdir "$1"
mkdir -p "$1/dev" "$1/run" "$1/var/tmp" "$1/tmp" "$1/proc" "$1/sys"
chmod 1777 "$1/tmp" "$1/var/tmp"
chmod 555 "$1/proc" "$1/sys"
mount --rbind /proc "$1/proc"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for d in full null random tty urandom zero; do : >"$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done
ln -s /proc/self/fd "$1/dev/fd"
mkdir "$1/dev/pts" "$1/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
echo "I: installing packages..."
`

// printTar prints a tar archive of the root filesystem "$1". Its files are not younger than
// the release.
const printTar = `exec tar --create --file=- --directory="$1" --one-file-system --sort=name --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime --xattrs --xattrs-include=security.capability --format=pax --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --exclude='./run/*' .`

// systemScript returns a script that makes a root filesystem at "$1" by the lines of install,
// which leave what is in remove, runs after, and prints the archive.
func systemScript(install []string, after []string, remove ...string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(enter + "exec 3>&1 >&2\n" + newRoot)
	for _, command := range install {
		line("%s", command)
	}
	for _, command := range after {
		line("%s", command)
	}
	line(`umount -l "$1/proc" "$1/dev" "$1/run"`)
	remove = append(remove, "/tmp/*")
	for i := range remove {
		remove[i] = `"$1"` + remove[i]
	}
	line("rm -rf %s", strings.Join(remove, " "))
	line(`echo "I: creating tarball..."`)
	line("exec >&3 3>&-")
	line("%s", printTar)
	return b.String()
}

// printTime prints the date of the newest of the lines that the command prints, which are
// seconds since 1970, as printDates does.
func printTime(command string) string {
	return `newest=$(` + command + ` | sort -n | tail -n 1) || newest=` + "\n" +
		`[ -z "$newest" ] || date -u -d "@$newest" '+croft-date: %a, %d %b %Y %H:%M:%S UTC'`
}

// withNeeded returns packages with those that parts of r need inside: a tar that keeps links
// to directories for files, and shadow for users.
func (r Recipe) withNeeded(shadow string) []string {
	all := r.Packages
	if len(r.Files) > 0 {
		all = appendNew(all, []string{"tar"})
	}
	if len(r.Users) > 0 {
		all = appendNew(all, []string{shadow})
	}
	return all
}

func quoted(words ...string) string { return shellescape.QuoteCommand(words) }
