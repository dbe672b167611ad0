package fit

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"croft/internal/initkind"
	"croft/internal/vps"
)

var update = flag.Bool("update", false, "write the golden file")

// file, link and dir are entries of a tree.
func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
func link(to string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(to), Mode: 0o777 | fs.ModeSymlink}
}
func dir() *fstest.MapFile { return &fstest.MapFile{Mode: 0o755 | fs.ModeDir} }

const (
	uuid    = "8982a52f-35fc-4a08-b76d-3d6f0f1ce001"
	another = "0123456789abcdef0123456789abcdef\n"
	script  = "#!/bin/sh\n### BEGIN INIT INFO\n### END INIT INFO\ndo_it\n"
)

// machine is a Debian with systemd that was made for a machine, and has all that a step
// changes.
func machine() fstest.MapFS {
	return fstest.MapFS{
		"etc/machine-id": file(another), "var/lib/dbus/machine-id": file(another),
		"usr/bin/ssh-keygen": file(""), "etc/ssh/ssh_host_rsa_key": file("k"), "etc/ssh/ssh_host_rsa_key.pub": file("k"), "etc/ssh/sshd_config": file(""),
		"usr/bin/dropbearkey": file(""), "etc/dropbear/dropbear_rsa_host_key": file("k"), "etc/dropbear/run": file(""),
		"var/lib/systemd/random-seed": file("s"),
		"etc/shadow":                  file("root::20786:0:99999:7:::\nann::20786:0:99999:7:::\n"), "etc/passwd": file("root:x:0:0:root:/root:/bin/sh\n"),
		"usr/lib/sysctl.d/50-default.conf": file("kernel.sysrq = 0x01b6\n-net.ipv4.ping_group_range = 0 2147483647\n"),
		"usr/lib/sysctl.d/60-ping.conf":    file("net/ipv4/ping_group_range=0 2147483647"), "usr/lib/sysctl.d/70-both.conf": file("vm.swappiness=1\nnet.ipv4.ip_forward=1"),
		"usr/lib/sysctl.d/99-protect-links.conf": file("# links\nfs.protected_fifos = 1\n-fs.protected_hardlinks = 1\n"), "usr/lib/sysctl.d/README": file("kernel.x=1"),
		"etc/sysctl.d/98-own.conf":                    file("vm.swappiness = 10\n"),
		"usr/lib/systemd/system/fstrim.timer":         file(""),
		"usr/lib/systemd/system/e2scrub_reap.service": file(""), "etc/systemd/system/e2scrub_reap.service": link("/dev/null"),
		"etc/init.d/openipmi": file(script),
		"etc/fstab":           file("# <file system>\nUUID=1234 / ext4 errors=remount-ro 0 1\n/dev/sdb1 /data ext4 defaults 0 2\n/swap.img none swap sw 0 0\ntmpfs /scratch tmpfs size=10m 0 0\n/srv /mnt none bind 0 0\n/dev/xvdz /mine ext4 defaults 0 0\nLABEL=x /boot vfat"),
		"usr/lib/systemd/systemd-networkd-wait-online": file(""), "usr/bin/nm-online": file(""),
		"usr/lib/systemd/libsystemd-shared-252.so": file(""), "etc/systemd/system.conf": file("[Manager]\n#DefaultOOMScoreAdjust=\n"),
		"etc/network/interfaces":        file("auto lo\niface lo inet loopback\n\nauto ens3\niface ens3 inet dhcp\n    up true\n\nauto eth0\niface eth0 inet dhcp\n"),
		"etc/network/interfaces.d/more": file("allow-hotplug enp0s3:1\niface enp0s3:1 inet dhcp\n"),
	}
}

// with returns the files with others in their place.
func with(files, more fstest.MapFS) fstest.MapFS {
	all := maps.Clone(files)
	maps.Copy(all, more)
	return all
}

func guestOf(root fs.FS, init initkind.Kind) Guest {
	return Guest{Root: root, Init: init, UUID: uuid, IDs: 262144, Devices: []string{"/dev/xvdz"}, Links: []string{"eth0"}}
}

func guests() map[string]Guest {
	debian13 := fstest.MapFS{ // as mmdebstrap makes it
		"etc/machine-id": file("uninitialized\n"), "var/lib/dbus/machine-id": link("/etc/machine-id"), "etc/shadow": file("root:*:20786:0:99999:7:::\n"),
		"usr/bin/ssh-keygen": file(""), "etc/ssh/ssh_host_ed25519_key": file("k"), "etc/ssh/ssh_host_ed25519_key.pub": file("k"),
		"usr/lib/sysctl.d/50-default.conf": machine()["usr/lib/sysctl.d/50-default.conf"], "usr/lib/systemd/system/fstrim.timer": file(""),
		"etc/fstab": file("# UNCONFIGURED FSTAB FOR BASE SYSTEM\n"), "usr/lib/systemd/systemd-networkd-wait-online": file(""), "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so": file(""),
	}
	all := map[string]Guest{
		"debian 13": guestOf(debian13, initkind.Systemd),
		"machine":   guestOf(machine(), initkind.Systemd),
		"sysvinit": guestOf(fstest.MapFS{
			"etc/machine-id": file(""), "etc/init.d/mountkernfs.sh": file(script), "etc/init.d/hwclock.sh": file(script), "etc/init.d/cron": file(script),
			"etc/runlevels/sysinit/cgroups": link("/etc/init.d/cgroups"), "etc/init.d/umountfs": link("umountroot"),
		}, initkind.SysV),
		"openrc":      guestOf(fstest.MapFS{"etc/init.d/agetty": file(""), "etc/fstab": dir()}, initkind.OpenRC),
		"alpine":      guestOf(fstest.MapFS{"etc/fstab": file("/dev/cdrom /media/cdrom iso9660 noauto,ro 0 0\n"), "var/lib/seedrng/seed.credit": file("s")}, initkind.Busybox),
		"busybox":     guestOf(fstest.MapFS{"bin/busybox": file("")}, initkind.Busybox),
		"application": guestOf(machine(), initkind.Croft),
	}
	privileged := guestOf(machine(), initkind.Systemd)
	privileged.IDs = 0
	all["privileged"] = privileged
	own := guestOf(machine(), initkind.Systemd)
	own.Own = machine() // written by croft cp before the first start
	all["all written before"] = own
	return all
}

func TestPlans(t *testing.T) {
	all := guests()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.WriteString("== " + name + "\n" + For(all[name], "").String())
	}
	golden := filepath.Join("testdata", "plans.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("%v; it differs from %s (go test -update):\n%s", err, golden, b.String())
	}
}

// A step is made if it is asked for, and no other one.
func TestSteps(t *testing.T) {
	g := guestOf(with(machine(), fstest.MapFS{"etc/init.d/agetty": file("")}), initkind.Systemd)
	if got := For(g, vps.FitNone); len(got) != 0 {
		t.Errorf("none: %s", got)
	}
	for _, s := range vps.FitSteps() {
		if s == vps.FitConsole {
			g.Init = initkind.OpenRC
		} else {
			g.Init = initkind.Systemd
		}
		if got := For(g, vps.Fit(s)).Names(); len(got) != 1 || got[0] != string(s) {
			t.Errorf("%s: %v", s, got)
		}
	}
}

// What was made once needs nothing more, except the identity, which a changed file keeps.
func TestTwice(t *testing.T) {
	g := guestOf(machine(), initkind.Systemd)
	root := machine()
	for _, s := range For(g, "") {
		for _, e := range s.Edits {
			switch name := e.Path[1:]; e.Action {
			case Remove:
				delete(root, name)
			case Link:
				root[name] = link(e.Content)
			default:
				root[name] = file(e.Content)
			}
		}
	}
	g.Root = root
	if got := For(g, "").Names(); len(got) != 2 || got[0] != string(vps.FitMachineID) || got[1] != string(vps.FitPing) {
		t.Errorf("again: %v", got)
	}
}

// Only a systemd that knows the option is told to raise scores, and no other choice is
// overridden.
func TestOOM(t *testing.T) {
	const lib = "usr/lib64/systemd/libsystemd-shared-"
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int
	}{
		"fedora":          {fstest.MapFS{lib + "258.2-1.fc43.so": file("")}, 1},
		"first":           {fstest.MapFS{lib + "250.so": file("")}, 1},
		"before":          {fstest.MapFS{lib + "249.so": file("")}, 0},
		"bullseye":        {fstest.MapFS{"lib/systemd/libsystemd-shared-247.so": file("")}, 0},
		"unknown version": {fstest.MapFS{lib + "x.so": file(""), "usr/lib/systemd/systemd": file("")}, 0},
		"set":             {fstest.MapFS{lib + "257.so": file(""), "etc/systemd/system.conf": file("[Manager]\nDefaultOOMScoreAdjust = 0\n")}, 0},
		"set by a drop-in": {fstest.MapFS{lib + "257.so": file(""),
			"usr/lib/systemd/system.conf.d/50-x.conf": file("[Manager]\nDefaultOOMScoreAdjust=200")}, 0},
	} {
		if got := For(guestOf(c.files, initkind.Systemd), vps.Fit(vps.FitOOM)); len(got) != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := For(guestOf(fstest.MapFS{lib + "257.so": file("")}, initkind.SysV), vps.Fit(vps.FitOOM)); len(got) != 0 {
		t.Errorf("another init: %s", got)
	}
}

func FuzzFor(f *testing.F) {
	f.Add("root::", "UUID=1 / ext4", "net.ipv4.ping_group_range = 0 99999999999999999999")
	f.Add("\x00", "\n\n /dev/ swap swap", "-=-/")
	f.Fuzz(func(t *testing.T, shadow, fstab, sysctl string) {
		g := guestOf(fstest.MapFS{"etc/shadow": file(shadow), "etc/fstab": file(fstab), "etc/sysctl.conf": file(sysctl), "usr/lib/sysctl.d/x.conf": file(sysctl)}, initkind.Systemd)
		for _, s := range For(g, "") {
			for _, e := range s.Edits {
				if e.Action == Change && strings.Count(e.Content, "\n") != strings.Count(shadow, "\n") && strings.Count(e.Content, "\n") != strings.Count(fstab, "\n") {
					t.Errorf("%s has another number of lines: %q", e.Path, e.Content)
				}
			}
		}
	})
}
