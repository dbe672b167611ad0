//go:build integration

package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// foreignArchive is an archive of a tool: its configuration, and the files of smallSystem
// below root, which have the ids of a host from first on.
func foreignArchive(t *testing.T, config, text, root string, first int) []byte {
	t.Helper()
	entries := []entry{{Header: tar.Header{Name: config, Typeflag: tar.TypeReg, Mode: 0o644}, content: []byte(text)}}
	if first > 0 {
		entries = append(entries, entry{Header: tar.Header{Name: root + "/", Typeflag: tar.TypeDir, Uid: first, Gid: first}})
	}
	for _, e := range smallSystem(t) {
		e.Name, e.Uid, e.Gid = root+"/"+e.Name, e.Uid+first, e.Gid+first
		if e.Typeflag == tar.TypeLink {
			e.Linkname = root + "/" + e.Linkname
		}
		entries = append(entries, e)
	}
	return archive(t, entries)
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// adoptedAs destroys the VPS at the end of the test.
func adoptedAs(t *testing.T, base string) string {
	vps := name(t, base)
	t.Cleanup(func() { try("destroy", "--force", "--if-exists", vps) })
	return vps
}

// checkOwners looks at the files of smallSystem in a VPS.
func checkOwners(t *testing.T, vps string) {
	t.Helper()
	if got := in(t, vps, "stat", "-c", "%u %g %a %h", "/etc/linked"); got != "7 8 640 2" {
		t.Errorf("a file is %s", got)
	}
	if got := in(t, vps, "stat", "-c", "%u %g", "/bin/busybox"); got != "0 0" {
		t.Errorf("the program belongs to %s", got)
	}
}

// A backup of Proxmox, of which the configuration comes first, becomes a VPS that boots.
func TestAdoptProxmox(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	conf := `#The shop
arch: amd64
hostname: shop.example.org
memory: 96
swap: 0
cores: 1
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:2A:3B:4C,ip=203.0.113.7/24,type=veth
net1: name=eth1,bridge=vmbr1,type=veth
nameserver: 192.0.2.53
mp0: ` + dir + `,mp=/data,ro=1
mp1: /srv/does-not-exist,mp=/lost
rootfs: local:101/vm-101-disk-0.raw
onboot: 0
unprivileged: 1
`
	file := filepath.Join(dir, "vzdump-lxc-101-2026_01_05-10_00_00.tar.gz")
	data := foreignArchive(t, "./etc/vzdump/pct.conf", conf, ".", 0)
	if err := os.WriteFile(file, gzipped(t, data), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := must(t, "adopt", "--dry-run", file)
	for _, words := range []string{"# 101 would get", "memory: 96M", "hostname: shop.example.org", "cpus: 1", dir + ":/data:ro", "net1=", "203.0.113.7", "/srv/does-not-exist"} {
		if !strings.Contains(plan, words) {
			t.Errorf("the plan does not have %q:\n%s", words, plan)
		}
	}
	refused(t, 3, "101", "inspect", "101")

	vps := adoptedAs(t, "pct")
	r := try("adopt", file, vps, "--memory", "64M")
	if r.status != 0 || strings.TrimSpace(r.out) != vps || !strings.Contains(r.errOut, "not taken over: net1=") {
		t.Fatalf("adopt: %s", r)
	}
	refused(t, 4, "exists", "adopt", file, vps)
	must(t, "start", vps)
	eventually(t, "its init runs", func() bool { return strings.Contains(must(t, "logs", vps), "imported") })
	checkOwners(t, vps)
	if got := in(t, vps, "sh", "-c", "cat /etc/hostname /proc/sys/kernel/hostname | tail -n 1; ls /data; ls /etc/vzdump; true"); !strings.HasPrefix(got, "shop.example.org") || !strings.Contains(got, filepath.Base(file)) || strings.Contains(got, "pct.conf") {
		t.Errorf("inside: %s", got)
	}
	if got := inspect(t, vps); got.Limits.MemoryBytes != 64<<20 || got.Template != "adopted" || got.Interfaces[0].MAC != "bc:24:11:2a:3b:4c" {
		t.Errorf("it has %+v", got)
	}

	// From a pipe, and cut off.
	other := adoptedAs(t, "pipe")
	if r := croftWithin(usual, string(data), "adopt", "-", other, "--network", "none"); r.status != 0 {
		t.Fatal(r)
	}
	must(t, "destroy", other)
	if r := croftWithin(usual, string(data[:len(data)-4096]), "adopt", "-", other, "--network", "none"); r.status != 2 || !strings.Contains(r.errOut, "damaged") {
		t.Errorf("of a part of the archive: %s", r)
	}
	refused(t, 3, other, "inspect", other)
}

// The directory of a container of LXC, whose files have the ids of the host, becomes a VPS
// that boots. The directory does not change.
func TestAdoptLXC(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	const first = 100000
	dir := filepath.Join(t.TempDir(), "shop")
	rootfs := filepath.Join(dir, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	unpackShifted(t, smallSystem(t), rootfs, first)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config", `lxc.uts.name = shop
lxc.rootfs.path = dir:`+rootfs+`
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.cgroup2.memory.max = 80M
lxc.cgroup2.pids.max = 77
lxc.hook.start = /bin/true
`)
	before := listed(t, dir)
	vps := adoptedAs(t, "lxc")

	// A container that runs has a monitor with this socket.
	l, err := net.Listen("unix", "@"+dir+"/command")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, 5, "stop it first", "adopt", dir, vps)
	l.Close()

	must(t, "adopt", "--from", "lxc", dir, vps)
	must(t, "start", vps)
	eventually(t, "its init runs", func() bool { return strings.Contains(must(t, "logs", vps), "imported") })
	checkOwners(t, vps)
	if got := in(t, vps, "cat", "/proc/sys/kernel/hostname"); got != "shop" {
		t.Errorf("its host name is %s", got)
	}
	if got := inspect(t, vps).Limits; got.MemoryBytes != 80<<20 || got.PIDs != 77 {
		t.Errorf("its limits are %+v", got)
	}
	if after := listed(t, dir); !slices.Equal(before, after) {
		t.Errorf("the container has changed: %q, was %q", after, before)
	}
	must(t, "destroy", "--force", vps)

	// The same from its configuration, with plain storage.
	must(t, "adopt", "--from", "lxc", filepath.Join(dir, "config"), vps, "--storage", "plain", "--network", "none")
	must(t, "start", vps)
	checkOwners(t, vps)
}

// unpackShifted writes files to dir with the ids of a host.
func unpackShifted(t *testing.T, entries []entry, dir string, first int) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(os.Lchown(dir, first, first))
	for _, e := range entries {
		to := filepath.Join(dir, e.Name)
		check(os.MkdirAll(filepath.Dir(to), 0o755))
		switch e.Typeflag {
		case tar.TypeDir:
			check(os.MkdirAll(to, 0o755))
		case tar.TypeSymlink:
			check(os.Symlink(e.Linkname, to))
		case tar.TypeLink:
			check(os.Link(filepath.Join(dir, e.Linkname), to))
			continue
		default:
			check(os.WriteFile(to, e.content, 0o755))
		}
		check(os.Lchown(to, e.Uid+first, e.Gid+first))
		if e.Typeflag == tar.TypeReg && e.Mode != 0 {
			check(os.Chmod(to, os.FileMode(e.Mode)))
		}
	}
}

// listed describes all files below dir.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What docker export writes runs its command, with the settings of docker inspect.
func TestAdoptDocker(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "web.json")
	json := `[{"Name": "/web", "State": {"Running": false}, "HostConfig": {"NetworkMode": "none", "Memory": 67108864, "PidsLimit": 50},
"Config": {"Hostname": "0123456789ab", "Env": ["COLOR=red"], "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo it is $COLOR; id -u; sleep 1000"], "User": "7:8"}}]`
	if err := os.WriteFile(config, []byte(json), 0o600); err != nil {
		t.Fatal(err)
	}
	var files []entry
	for _, e := range smallSystem(t) {
		if e.Name != "sbin/init" {
			files = append(files, e)
		}
	}
	vps := adoptedAs(t, "docker")
	data := string(archive(t, files))
	checkRefusal(t, croftWithin(usual, data, "adopt", "--from", "docker", "-", vps), 2, "--config")
	if r := croftWithin(usual, data, "adopt", "--from", "docker", "--config", config, "-", vps); r.status != 0 {
		t.Fatal(r)
	}
	must(t, "start", vps)
	eventually(t, "its command runs", func() bool {
		got := must(t, "logs", vps)
		return strings.Contains(got, "it is red") && strings.Contains(got, "7")
	})
	if got := inspect(t, vps).Limits; got.MemoryBytes != 64<<20 || got.PIDs != 50 {
		t.Errorf("its limits are %+v", got)
	}
}

// Archives and directories of the other tools become VPSs with their files and limits.
func TestAdoptOthers(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	incus := `name: shop
optimized: false
type: container
config:
  instance:
    name: shop
    architecture: x86_64
    expanded_config: {limits.memory: 64MiB, volatile.last_state.idmap: '[{"Isuid":true,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]'}
    expanded_devices: {root: {type: disk, path: /, pool: default}}
`
	machine := filepath.Join(dir, "machine")
	if err := os.Mkdir(machine, 0o755); err != nil {
		t.Fatal(err)
	}
	unpackShifted(t, smallSystem(t), machine, 524288)
	for _, c := range []struct {
		kind, file string
		data       []byte
	}{
		{"vz", "vzdump-openvz-101.tar", foreignArchive(t, "./etc/vzdump/vps.conf", "PHYSPAGES=\"0:16384\"\nVE_PRIVATE=\"/vz/private/$VEID\"\n", ".", 0)},
		{"incus", "incus.tar.gz", gzipped(t, foreignArchive(t, "backup/index.yaml", incus, "backup/container/rootfs", 1000000))},
		{"lxc", "lxc.tar", foreignArchive(t, "shop/config", "lxc.cgroup2.memory.max = 64M\nlxc.idmap = u 0 100000 65536\n", "shop/rootfs", 100000)},
		{"nspawn", "machine", nil},
	} {
		t.Run(c.kind, func(t *testing.T) {
			source := filepath.Join(dir, c.file)
			if c.data != nil {
				if err := os.WriteFile(source, c.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			vps := adoptedAs(t, c.kind)
			must(t, "adopt", "--from", c.kind, source, vps, "--network", "none", "--memory", "64M")
			if got := inspect(t, vps).Limits; got.MemoryBytes != 64<<20 {
				t.Errorf("its limits are %+v", got)
			}
			out := filepath.Join(dir, "copied")
			must(t, "cp", vps+":/etc/owned", out)
			defer os.Remove(out)
			if got := ownerOf(t, out); got != 7 {
				t.Errorf("a file belongs to %d", got)
			}
		})
	}
	refused(t, 2, "squashfs", "adopt", "--from", "incus", fileWith(t, dir, "hsqs"+strings.Repeat("\x00", 600)))
	refused(t, 2, "optimized", "adopt", fileWith(t, dir, string(archive(t, []entry{{Header: tar.Header{Name: "backup/index.yaml", Typeflag: tar.TypeReg}, content: []byte("name: a\noptimized: true\n")}}))))
	refused(t, 2, "no configuration", "adopt", fileWith(t, dir, string(archive(t, smallSystem(t)))))
	refused(t, 3, "no such file", "adopt", "--from", "lxc", filepath.Join(dir, "missing"))
	refused(t, 2, "this host", "adopt", "--from", "lxc", fileWith(t, dir, "lxc.uts.name = a\nlxc.rootfs.path = /\n"), "a")
}

func fileWith(t *testing.T, dir, text string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "source-")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
