// Package busybox embeds a static busybox program and creates a root filesystem from
// it. This template needs no network and no tools.
package busybox

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
)

// Name is the name of the template that croft creates from its own binary.
const Name = "busybox"

// files has the static program busybox, unless croft was built without make.
//
//go:embed all:program
var files embed.FS

// Program returns the embedded program. It is fail.Host if croft was built without
// it.
func Program() ([]byte, error) {
	program, err := files.ReadFile("program/busybox")
	if err != nil {
		return nil, fail.New(fail.Host, "this croft was built without the embedded busybox").WithHint("make build")
	}
	return program, nil
}

// Rootfs returns a tar archive of a root filesystem with the program. The same
// program gives the same bytes. It runs the program once.
func Rootfs(ctx context.Context, program []byte) ([]byte, error) {
	applets, err := listApplets(ctx, program)
	if err != nil {
		return nil, err
	}
	return rootfsTar(program, applets)
}

// leftOut are applets that do harm in a VPS or cannot work: busybox has no package
// database, and the host assigns a VPS's address.
var leftOut = []string{"linuxrc", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "udhcpc", "udhcpd"}

// listApplets runs the program, which prints the paths of its applets. It runs from
// memory, because the filesystem of the store may be mounted noexec. It is trusted:
// it is part of croft's binary.
func listApplets(ctx context.Context, program []byte) ([]string, error) {
	fd, err := unix.MemfdCreate(Name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, layer.HostError(fmt.Errorf("keep busybox in memory: %w", err))
	}
	f := os.NewFile(uintptr(fd), Name)
	defer f.Close()
	if _, err := f.Write(program); err != nil {
		return nil, layer.HostError(fmt.Errorf("keep busybox in memory: %w", err))
	}
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/self/fd/%d", fd), "--list-full")
	cmd.Args[0] = Name
	cmd.Env, cmd.Dir = []string{}, "/"
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask the embedded busybox for its applets: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// Time returns the time of all files of the template: a constant, so that the
// archive is always the same.
func Time() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

// Version returns the version of the program, from "BusyBox v1.35.0 (" in it. It
// returns "" if that is missing.
func Version(program []byte) string {
	_, rest, ok := bytes.Cut(program, []byte("BusyBox v"))
	if v, _, end := bytes.Cut(rest[:min(len(rest), 32)], []byte(" ")); ok && end {
		return string(v)
	}
	return ""
}

// rootfsTar returns an archive with the program, a link for each applet, and the files
// that its init, getty and login need.
func rootfsTar(program []byte, applets []string) ([]byte, error) {
	var out bytes.Buffer
	w := rootWriter{tar: tar.NewWriter(&out), made: map[string]bool{}}
	for _, d := range []struct {
		name string
		mode int64
	}{
		{"bin", 0o755}, {"dev", 0o755}, {"etc", 0o755}, {"home", 0o755}, {"mnt", 0o755}, {"opt", 0o755}, {"proc", 0o555},
		{"root", 0o700}, {"run", 0o755}, {"sbin", 0o755}, {"srv", 0o755}, {"sys", 0o555}, {"tmp", 0o1777},
		{"usr/bin", 0o755}, {"usr/sbin", 0o755}, {"usr/local/bin", 0o755}, {"var/cache", 0o755}, {"var/lib", 0o755}, {"var/log", 0o755},
		{"var/spool/cron/crontabs", 0o755}, {"var/tmp", 0o1777},
	} {
		w.dir(d.name, d.mode)
	}
	w.link("var/run", "/run")
	w.link("var/lock", "/run/lock")
	w.file("bin/busybox", 0o755, string(program))
	for _, a := range slices.Sorted(slices.Values(applets)) {
		if a != "bin/busybox" && !slices.Contains(leftOut, path.Base(a)) && path.Clean(a) == a {
			w.link(a, "/bin/busybox")
		}
	}
	for _, f := range etcFiles(Version(program)) {
		w.file(f.name, f.mode, f.text)
	}
	if w.err == nil {
		w.err = w.tar.Close()
	}
	if w.err != nil {
		return nil, fmt.Errorf("make the busybox root filesystem: %w", w.err)
	}
	return out.Bytes(), nil
}

type etcFile struct {
	name string
	mode int64
	text string
}

func etcFiles(version string) []etcFile {
	return []etcFile{
		{"etc/fstab", 0o644, ""},
		{"etc/group", 0o644, "root:x:0:\ndaemon:x:1:\ntty:x:5:\nmail:x:8:\nshadow:x:42:\nutmp:x:43:\nusers:x:100:\nnogroup:x:65534:\n"},
		{"etc/hostname", 0o644, "localhost\n"},
		{"etc/hosts", 0o644, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
		{"etc/init.d/rcK", 0o755, rcK},
		{"etc/init.d/rcS", 0o755, rcS},
		{"etc/inittab", 0o644, inittab},
		{"etc/issue", 0o644, "BusyBox on \\n\n\n"},
		{"etc/machine-id", 0o444, ""},
		{"etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"},
		{"etc/os-release", 0o644, fmt.Sprintf("NAME=BusyBox\nID=busybox\nVERSION_ID=%s\nPRETTY_NAME=\"BusyBox %s\"\n", version, version)},
		{"etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
		{"etc/profile", 0o644, profile},
		{"etc/resolv.conf", 0o644, ""},
		{"etc/shadow", 0o600, "root:*:18262:0:99999:7:::\ndaemon:*:18262:0:99999:7:::\nnobody:*:18262:0:99999:7:::\n"},
		{"etc/shells", 0o644, "/bin/sh\n/bin/ash\n"},
	}
}

const inittab = `# What init does: https://busybox.net, examples/inittab.
::sysinit:/etc/init.d/rcS
::respawn:/sbin/syslogd -n
::respawn:/sbin/getty -L 115200 console linux
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/init.d/rcK
`

const rcS = `#!/bin/sh
# Run once at boot. The host has mounted all there is to mount and has set up
# the network; nothing here undoes that.
PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mkdir -p /run/lock
if [ ! -s /etc/machine-id ]; then
    tr '\0' '\n' </proc/1/environ | sed -n 's/^container_uuid=//p' | tr -d - >/etc/machine-id
fi
ip link set lo up
if [ -s /etc/network/interfaces ]; then
    ifup -a
fi
if [ -x /etc/rc.local ]; then
    /etc/rc.local
fi
# croft start --wait looks for this file.
: >/run/booted
`

const rcK = `#!/bin/sh
# Run once at shutdown, before everything is killed.
PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
if [ -x /etc/rc.shutdown ]; then
    /etc/rc.shutdown
fi
sync
`

const profile = `PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
if [ -n "$PS1" ]; then
    PS1='\u@\h:\w\$ '
fi
`

// rootWriter writes the entries of a root filesystem, each directory before its
// content. After an error it does nothing.
type rootWriter struct {
	tar  *tar.Writer
	made map[string]bool
	err  error
}

func (w *rootWriter) dir(name string, mode int64) {
	if name == "." || w.made[name] {
		return
	}
	w.dir(path.Dir(name), 0o755)
	w.made[name] = true
	w.entry(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, "")
}

func (w *rootWriter) file(name string, mode int64, text string) {
	w.dir(path.Dir(name), 0o755)
	w.entry(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))}, text)
}

func (w *rootWriter) link(name, to string) {
	w.dir(path.Dir(name), 0o755)
	w.entry(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, "")
}

func (w *rootWriter) entry(h *tar.Header, text string) {
	if w.err != nil {
		return
	}
	h.ModTime, h.Format = Time(), tar.FormatPAX
	if w.err = w.tar.WriteHeader(h); w.err == nil {
		_, w.err = w.tar.Write([]byte(text))
	}
}
