package hostcheck

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// whole is a host that has everything.
func whole() Facts {
	return Facts{
		Kernel: "6.12.43+deb13-cloud-amd64", Packager: "apt-get",
		Namespaces: []string{"user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"}, Seccomp: true, AppArmor: true,
		Sysctls: map[string]int64{
			"user.max_user_namespaces": 31231, "user.max_net_namespaces": 31231, "kernel.unprivileged_userns_clone": 1,
			"fs.inotify.max_user_instances": 128, "fs.inotify.max_user_watches": 122425, "kernel.keys.maxkeys": 200,
			"kernel.keys.maxbytes": 20000, "kernel.pid_max": 4194304,
		},
		StateDir: "/var/lib/croft", RunDir: "/run/croft", Filesystem: "ext4", Device: "/dev/vdb", MountPoint: "/var/lib/croft", FreeBytes: 20 << 30, FreeInodes: 1 << 20,
		Cgroups:  Cgroups{World: "v2", Manager: "systemd", Reachable: true, Controllers: []string{"cpuset", "cpu", "io", "memory", "pids"}},
		QuotaWhy: "project quotas are off",
		Network:  Network{IPTables: "iptables v1.8.11 (nf_tables)", IPv6: true, Forwarding4: true, Modules: true},
		Boot:     Boot{System: "systemd", Installed: true, Enabled: true, Active: true},
		VPSs:     2, FreeIDs: 32748, Builder: "mmdebstrap", Criu: "4.1",
	}
}

// hosts are typical hosts, and hosts with unusual faults.
func hosts() map[string]Facts {
	nothing := Facts{
		Kernel: "4.19.0", NamespaceWhy: "invalid argument", BuilderWhy: "no tool is here",
		Network: Network{LinksWhy: "not supported", FilterWhy: "not supported"},
		Sysctls: map[string]int64{"fs.inotify.max_user_instances": 32, "fs.inotify.max_user_watches": 100, "kernel.keys.maxkeys": 10, "kernel.keys.maxbytes": 500, "kernel.pid_max": 1000},
	}
	all := map[string]Facts{"whole": whole(), "nothing": nothing}
	f := whole()
	f.Kernel, f.Packager = "5.14.0-503.el9.x86_64", "dnf" // with what is needed brought to it
	f.Cgroups.Controllers = []string{"cpu", "pids"}
	f.Network.IPTables, f.Builder, f.BuilderWhy = "", "", "neither mmdebstrap nor debootstrap is here"
	f.Network.Blockers = []Blocker{{"firewalld", "firewall-cmd --do-it"}, {"Docker", "iptables -I DOCKER-USER"}}
	f.Boot.Active = false
	f.Criu, f.CriuWhy = "", "criu is not installed: no program criu in PATH"
	f.Filesystem = "xfs"
	all["red-hat"] = f

	f = whole()
	f.Kernel, f.ShiftWhy = "5.10.0-30-amd64", "it cannot be mounted with a VPS's ids"
	f.Sysctls["kernel.unprivileged_userns_clone"] = 0
	f.Cgroups = Cgroups{World: "v1", Manager: "cgroupfs", Controllers: []string{"cpu", "memory", "pids", "cpuset", "io"}}
	f.Boot = Boot{System: "sysv"}
	f.Criu, f.CriuWhy = "3.15", "criu 3.15 is too old: croft needs 4.1 or newer"
	f.MountPoint = "/"
	all["debian-11"] = f

	f = whole()
	f.OverlayWhy, f.Filesystem = "invalid argument", "overlay"
	f.RunDir, f.Impassable = "/root/run", "/root"
	f.OwnFilesWhy = "this host has no FUSE"
	f.DiskWhy = "mkfs.ext4 is not installed; a disk limit needs it (package e2fsprogs)"
	f.NodeWhy, f.Closed = "operation not permitted", []string{"/dev/fuse"}
	all["on-overlay"] = f

	f = whole()
	f.Sysctls["kernel.apparmor_restrict_unprivileged_userns"] = 1
	f.VPSs, f.FreeIDs, f.FreeBytes = 300, 3, 5<<20
	f.Network.Unavailable, f.Network.IPv6 = []string{"wireguard", "ip_set"}, false
	f.Boot.Enabled, f.QuotaWhy = false, ""
	all["ubuntu-full"] = f

	f = whole()
	f.LacksCaps, f.BoundingCaps = []string{"SYS_ADMIN"}, []string{"SYS_RESOURCE"}
	f.NamespaceWhy, f.Sysctls["user.max_user_namespaces"] = "no space left on device", 0
	f.Cgroups = Cgroups{World: "hybrid", Manager: "systemd", Controllers: f.Cgroups.Controllers}
	f.Network.Modules, f.Devices = false, []string{"/dev/net/tun"}
	f.Network.RulesWhy, f.Network.RatesWhy, f.Network.GuardWhy = "permission denied", "no tbf", "no clsact"
	f.IDsWhy, f.FreeInodes = "/var/lib/croft/vps/web/vps.json is corrupt", 7
	f.Boot = Boot{System: "openrc", Installed: true}
	all["container"] = f
	return all
}

func TestChecksGolden(t *testing.T) {
	for name, f := range hosts() {
		var got strings.Builder
		for _, c := range Checks(f) {
			fmt.Fprintf(&got, "%s: %s: %s\n", c.Status, c.Name, c.Found)
			if c.Remedy != "" {
				fmt.Fprintf(&got, "\t%s\n", c.Remedy)
			}
		}
		fmt.Fprintf(&got, "lacking: %q\n", Lacking(Checks(f)))
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s:\n%s\nand not\n%s", name, &got, want)
		}
	}
}

// Every check has a subject, and every failed one a remedy. In these tests each
// check succeeds on some host and fails on another.
func TestChecksAreWhole(t *testing.T) {
	well, unwell := map[string]bool{}, map[string]bool{}
	for host, f := range hosts() {
		seen := map[string]int{}
		for _, c := range Checks(f) {
			seen[c.Name]++
			if c.Name == "" || c.Found == "" || c.For == "" || c.Status == OK && c.Remedy != "" || c.Status != OK && c.Remedy == "" {
				t.Errorf("%s: %+v", host, c)
			}
			for _, text := range []string{c.Found, c.For, c.Remedy} {
				if strings.Contains(text, "\n") {
					t.Errorf("%s: %s: more than one line: %q", host, c.Name, text)
				}
			}
			if c.Status == OK {
				well[c.Name] = true
			} else {
				unwell[c.Name] = true
			}
		}
		for name, n := range seen {
			if n > 1 && name != "firewalls" {
				t.Errorf("%s: %d lines about %s", host, n, name)
			}
		}
	}
	if a, b := slices.Sorted(maps.Keys(well)), slices.Sorted(maps.Keys(unwell)); !reflect.DeepEqual(a, b) {
		t.Errorf("well:\n%q\nunwell:\n%q", a, b)
	}
}

// docs/hosts.md names every check.
func TestChecksAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks(whole()) {
		if !strings.Contains(string(doc), "`"+c.Name+"`") {
			t.Errorf("docs/hosts.md does not name `%s`", c.Name)
		}
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string]string{
		"6.18.44-fc-v657": "6 18 true", "5.19": "5 19 true", "5.19-rc1": "5 19 true", "6.1.0-18-amd64": "6 1 true", "10.0": "10 0 true",
		"": "0 0 false", "6": "6 0 false", "6.x": "6 0 false", "unknown": "0 0 false",
	} {
		major, minor, ok := version(release)
		if got := fmt.Sprint(major, minor, ok); got != want {
			t.Errorf("%q is %s, not %s", release, got, want)
		}
	}
}

func TestCgroupsOf(t *testing.T) {
	const v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	const v1 = "31 24 0:27 / /sys/fs/cgroup ro shared:5 - tmpfs tmpfs ro,mode=755\n" +
		"33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 31 0:30 / /sys/fs/cgroup/blkio rw shared:8 - cgroup cgroup rw,blkio\n"
	const unified = "32 31 0:28 / /sys/fs/cgroup/unified rw shared:6 - cgroup2 cgroup2 rw\n"
	const elsewhere = "35 31 0:30 / /var/lib/lxc/cgroup rw - cgroup2 cgroup2 rw\n24 1 0:1 / /\n\n"
	for what, c := range map[string]struct {
		mountinfo, world string
		controllers      []string
	}{
		"version 2": {v2, "v2", []string{"memory", "of /sys/fs/cgroup"}},
		"hybrid":    {v1 + unified, "hybrid", []string{"cpu", "cpuacct", "io", "memory", "of /sys/fs/cgroup/unified"}},
		"version 1": {v1, "v1", []string{"cpu", "cpuacct", "io"}},
		"none":      {elsewhere, "", nil},
	} {
		got := cgroupsOf(c.mountinfo, func(dir string) string { return "memory " + dir })
		for _, want := range c.controllers {
			want = strings.TrimPrefix(want, "of ")
			if !slices.Contains(got.Controllers, want) {
				t.Errorf("%s: no %s in %q", what, want, got.Controllers)
			}
		}
		if got.World != c.world || c.controllers == nil && got.Controllers != nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestLackingCapabilities(t *testing.T) {
	status := func(effective, bounding uint64) string {
		return fmt.Sprintf("Name:\tx\nCapEff:\t%016x\nCapBnd:\t%016x\n", effective, bounding)
	}
	const all = 1<<41 - 1
	for what, c := range map[string]struct {
		status          string
		lacks, bounding string
	}{
		"all":           {status(all, all), "[]", "[]"},
		"no admin":      {status(all&^(1<<21), all&^(1<<21)), "[SYS_ADMIN]", "[]"},
		"not effective": {status(0, all), "[CHOWN DAC_OVERRIDE FOWNER KILL SETGID SETUID SETPCAP NET_ADMIN SYS_CHROOT SYS_PTRACE SYS_ADMIN SETFCAP]", "[]"},
		"no resource":   {status(all&^(1<<24), all&^(1<<24)), "[]", "[SYS_RESOURCE]"},
	} {
		lacks, bounding := lackingCapabilities(c.status)
		if fmt.Sprint(lacks) != c.lacks || fmt.Sprint(bounding) != c.bounding {
			t.Errorf("%s: lacks %v, bounding %v", what, lacks, bounding)
		}
	}
}

// This host has what any Linux has that these tests run on.
func TestProbe(t *testing.T) {
	f := Probe(t.Context(), t.TempDir())
	if _, _, ok := version(f.Kernel); !ok || len(f.Namespaces) < 5 || f.Sysctls["kernel.pid_max"] == 0 || f.FreeBytes == 0 ||
		f.Filesystem == "" || f.Cgroups.World == "" {
		t.Errorf("%+v", f)
	}
}
