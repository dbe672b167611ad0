//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An archive of another tool has the files of a root filesystem as that tool writes them.
type foreignTar struct {
	file  string // its name as the tool gives it
	tool  []string
	dot   bool // names begin with ./
	extra []entry
}

func (f foreignTar) data(t *testing.T) []byte {
	t.Helper()
	var all []entry
	if f.dot {
		all = append(all, entry{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir}})
	}
	for _, e := range append(smallSystem(t), f.extra...) {
		if f.dot {
			e.Name = "./" + e.Name
			if e.Typeflag == tar.TypeLink {
				e.Linkname = "./" + e.Linkname
			}
		}
		all = append(all, e)
	}
	plain := archive(t, all)
	if f.tool == nil {
		return plain
	}
	cmd := exec.Command(f.tool[0], f.tool[1:]...)
	cmd.Stdin = bytes.NewReader(plain)
	data, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What Proxmox, OpenVZ, LXC, Docker and machinectl write is imported and boots, under the name
// of the file. Device nodes and files of a running container in it do no harm.
func TestArchivesOfOthers(t *testing.T) {
	hostAsBefore(t)
	node := func(name string, major, minor int64) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: major, Devminor: minor}}
	}
	text := func(name, content string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: []byte(content)}
	}
	link := func(name, to string) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}}
	}
	release := text("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
	for _, f := range []foreignTar{
		{file: "debian-12-standard_12.7-1_amd64.tar.zst", tool: []string{"zstd", "-q"}, dot: true, extra: []entry{
			release, text("etc/fstab", "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n"), text("etc/hostname", "localhost\n"), text("etc/resolv.conf", "# --- BEGIN PVE ---\n"),
		}},
		{file: "debian-12-x86_64.tar.gz", tool: []string{"gzip", "-1"}, dot: true, extra: []entry{
			release, node("dev/null", 1, 3), node("dev/ptyp0", 2, 0), node("dev/ttyp0", 3, 0), text("etc/fstab", "proc /proc proc defaults 0 0\n/dev/simfs / simfs rw 0 0\n"),
			link("etc/mtab", "/proc/mounts"), text("etc/network/interfaces", "auto venet0\niface venet0 inet static\n address 127.0.0.1\n"),
		}},
		{file: "rootfs.tar.xz", tool: []string{"xz", "-0"}, dot: true, extra: []entry{release, link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")}},
		{file: "docker-export.tar", extra: []entry{
			text(".dockerenv", ""), release, text("dev/console", ""), text("etc/hosts", ""), text("etc/hostname", ""), text("etc/resolv.conf", ""), link("etc/mtab", "/proc/mounts"),
		}},
		{file: "machine.tar.xz", tool: []string{"xz", "-0"}, dot: true, extra: []entry{
			release, text("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
			{Header: tar.Header{Name: "usr/", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.user.note": "kept"}}},
		}},
	} {
		t.Run(f.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), f.file)
			if err := os.WriteFile(path, f.data(t), 0o600); err != nil {
				t.Fatal(err)
			}
			template, vps := name(t, "of-others"), name(t, "of-others-vps")
			t.Cleanup(func() {
				try("destroy", "--force", "--if-exists", vps)
				try("template", "remove", template)
			})
			must(t, "template", "import", template, path)
			must(t, "create", "--template", template, "--network", "none", vps)
			must(t, "start", vps)
			eventually(t, "its init runs", func() bool { return strings.Contains(must(t, "logs", vps), "imported") })
			if got := in(t, vps, "stat", "-c", "%u %g %a %h", "/etc/linked"); got != "7 8 640 2" {
				t.Errorf("a file's owner, group, mode and links: %s", got)
			}
			if got := in(t, vps, "cat", "/etc/os-release"); !strings.HasPrefix(got, "ID=debian") {
				t.Errorf("its os-release is %s", got)
			}
			if got := in(t, vps, "stat", "-c", "%F %t:%T", "/dev/null"); got != "character special file 1:3" {
				t.Errorf("its /dev/null is %s", got)
			}
			if got := sh(t, vps, "ls /dev/ptyp0 /dev/ttyp0 2>&1 || true"); !strings.Contains(got, "No such") {
				t.Errorf("it has device nodes of the archive: %s", got)
			}
		})
	}
}
