package guest

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
)

var update = flag.Bool("update", false, "write the golden files")

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func settings() Settings {
	return Settings{
		Hostname: "web.example.org",
		Interfaces: []Interface{{
			Name:      "eth0",
			Addresses: []netip.Prefix{prefix("10.90.0.2/16"), prefix("10.90.0.9/16"), prefix("fd00:1::2/64"), prefix("fd00:1::9/64")},
			Gateways:  []netip.Addr{addr("10.90.0.1"), addr("fd00:1::1")},
			MTU:       1400,
			Routes:    []string{"192.0.2.0/24 via 10.90.0.1 mtu 1300 protocol 201", "2001:db8::/32 via fd00:1::1 protocol 201"},
		}},
		Routing: true,
		Servers: []netip.Addr{addr("9.9.9.9"), addr("2620:fe::fe")},
		Search:  []string{"example.org", "example.net"},
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
func link(to string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// distributions are what a fresh root file system of each has, as far as
// this package looks.
func distributions() map[string]fstest.MapFS {
	debianInterfaces := "# This file describes the network interfaces available on your system\nsource /etc/network/interfaces.d/*\n\n# The loopback network interface\nauto lo\niface lo inet loopback\n\n# The primary network interface\nallow-hotplug eth0\niface eth0 inet dhcp\n    pre-up sleep 2\n# other\nauto eth1\niface eth1 inet dhcp\n"
	return map[string]fstest.MapFS{
		"debian-ifupdown": {
			"usr/sbin/ifup": file(""), "etc/network/interfaces": file(debianInterfaces),
			"etc/hosts":       file("127.0.0.1\tlocalhost\n127.0.1.1\tbuilder\n::1\tlocalhost\n"),
			"etc/hostname":    file("builder\n"),
			"etc/resolv.conf": file("nameserver 127.0.0.53\n"),
		},
		"debian-both": { // networkd is enabled, and ifupdown is installed
			"usr/sbin/ifup": file(""), "etc/network/interfaces": file(debianInterfaces), "usr/lib/systemd/systemd-networkd": file(""),
			"etc/systemd/system/multi-user.target.wants/systemd-networkd.service": link("/usr/lib/systemd/system/systemd-networkd.service"),
		},
		"debian-systemd": {
			"usr/lib/systemd/systemd-networkd": file(""), "etc/hosts": file("127.0.0.1\tlocalhost\n"),
			"etc/resolv.conf": link("../run/systemd/resolve/stub-resolv.conf"),
		},
		"ubuntu-netplan": {
			"usr/sbin/netplan": file(""), "usr/lib/systemd/systemd-networkd": file(""),
			"etc/netplan/50-cloud-init.yaml": file("network: {ethernets: {eth0: {dhcp4: true}}}\n"),
			"etc/resolv.conf":                link("../run/systemd/resolve/stub-resolv.conf"),
		},
		"fedora-networkmanager": {
			"usr/sbin/NetworkManager": file(""), "usr/lib/systemd/systemd-networkd": file(""),
			"etc/resolv.conf": link("/run/NetworkManager/resolv.conf"),
		},
		"centos-ifcfg": {
			"etc/sysconfig/network-scripts/ifup-eth":   file(""),
			"etc/sysconfig/network-scripts/ifcfg-eth0": file("DEVICE=eth0\nBOOTPROTO=dhcp\n"),
			"etc/sysconfig/network-scripts/ifcfg-lo":   file("DEVICE=lo\n"),
		},
		"suse-wicked": {"usr/sbin/wicked": file(""), "etc/sysconfig/network/config": file("")},
		"alpine":      {"sbin/ifup": link("/bin/busybox"), "etc/network/if-up.d/x": file("")},
		"busybox":     {"bin/busybox": file("")},
	}
}

func (c Changes) String() string {
	var b strings.Builder
	for _, f := range c.Files {
		fmt.Fprintf(&b, "== %s %04o\n%s", f.Path, f.Mode, f.Content)
	}
	for _, path := range c.Remove {
		fmt.Fprintf(&b, "== remove %s\n", path)
	}
	for _, path := range c.Kept {
		fmt.Fprintf(&b, "== keep %s\n", path)
	}
	return b.String()
}

func TestFirstStartOfEachDistribution(t *testing.T) {
	for name, root := range distributions() {
		t.Run(name, func(t *testing.T) {
			s := settings()
			s.First = true
			got, err := Files(root, s)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got.String())

			// Once written, there is nothing to write.
			apply(root, got)
			s.First = false
			again, err := Files(root, s)
			if err != nil || len(again.Files)+len(again.Remove)+len(again.Kept) > 0 {
				t.Errorf("a second start would write\n%s, %v", again, err)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func apply(root fstest.MapFS, c Changes) {
	for _, f := range c.Files {
		root[strings.TrimPrefix(f.Path, "/")] = &fstest.MapFile{Data: f.Content, Mode: f.Mode}
	}
	for _, path := range c.Remove {
		delete(root, strings.TrimPrefix(path, "/"))
	}
}

// TestUsersFilesStay: after the first start a file without our mark is the
// user's, in every distribution, whatever is in it.
func TestUsersFilesStay(t *testing.T) {
	for name, root := range distributions() {
		s := settings()
		s.First = true
		first, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		apply(root, first)
		var users []string
		for _, f := range first.Files {
			if strings.HasSuffix(f.Path, "/hosts") || strings.HasSuffix(f.Path, "/hostname") || strings.HasSuffix(f.Path, "/interfaces") {
				continue // these are shared with the user, below
			}
			users = append(users, f.Path)
			root[strings.TrimPrefix(f.Path, "/")].Data = []byte("# mine\n")
		}
		s.First = false
		s.Interfaces[0].Addresses = s.Interfaces[0].Addresses[1:]
		got, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Kept, users) {
			t.Errorf("%s: kept %v, want %v", name, got.Kept, users)
		}
		s.Interfaces = nil
		got, err = Files(root, s)
		if err != nil || len(got.Remove) > 0 {
			t.Errorf("%s: the user's %v would be removed (%v)", name, got.Remove, err)
		}
	}
}

// TestOursGoWithTheInterface: without an interface nothing of ours stays.
func TestOursGoWithTheInterface(t *testing.T) {
	for name, root := range distributions() {
		s := settings()
		s.First = true
		first, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		apply(root, first)
		s.First, s.Interfaces = false, nil
		got, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		apply(root, got)
		for path, f := range root {
			if strings.Contains(string(f.Data), "10.90.0.") {
				t.Errorf("%s: %s still has an address:\n%s", name, path, f.Data)
			}
		}
	}
}

func TestHostnameChangedInsideStays(t *testing.T) {
	root := fstest.MapFS{"etc/hosts": file("::1 localhost\n")}
	s := settings()
	start := func() Changes {
		t.Helper()
		c, err := Files(root, s)
		if err != nil {
			t.Fatal(err)
		}
		apply(root, c)
		return c
	}
	start()
	if got := string(root["etc/hostname"].Data); got != "web.example.org\n" {
		t.Fatalf("hostname is %q", got)
	}
	s.Hostname = "shop"
	start()
	if got := string(root["etc/hostname"].Data); got != "shop\n" {
		t.Fatalf("after a change by croft it is %q", got)
	}
	root["etc/hostname"] = file("mine\n")
	if c := start(); string(root["etc/hostname"].Data) != "mine\n" || !slices.Contains(c.Kept, "/etc/hostname") {
		t.Fatalf("after a change inside it is %q", root["etc/hostname"].Data)
	}
	hosts := func(want string) {
		t.Helper()
		if got := string(root["etc/hosts"].Data); got != "::1 localhost\n"+want {
			t.Fatalf("hosts is %q, want %q at its end", got, want)
		}
	}
	hosts("10.90.0.2\tmine shop\t# managed by croft, which called it shop\n")
	if c := start(); len(c.Files) > 0 || string(root["etc/hostname"].Data) != "mine\n" {
		t.Fatalf("at the next start it is %q, and this is written:\n%s", root["etc/hostname"].Data, c)
	}
	s.Hostname, root["etc/hostname"] = "web.example.org", file("# the box\nshop.example.org\n")
	start()
	hosts("10.90.0.2\tshop.example.org shop web.example.org web\t# managed by croft, which called it web.example.org\n")
	root["etc/hostname"] = file("web.example.org\n") // back again: it follows croft's settings
	start()
	hosts("10.90.0.2\tweb.example.org web\t# managed by croft\n")
	s.Hostname = "shop"
	start()
	hosts("10.90.0.2\tshop\t# managed by croft\n")
	root["etc/hostname"] = file("two words\n")
	start()
	hosts("10.90.0.2\tshop\t# managed by croft\n")
}

// An sshd without host keys makes its own.
func TestHostKeys(t *testing.T) {
	debian := func() fstest.MapFS {
		return fstest.MapFS{"usr/sbin/sshd": file(""), "usr/bin/ssh-keygen": file(""), "etc/default/ssh": file("SSHD_OPTS="), "etc/init.d/ssh": file(""),
			"usr/lib/systemd/system/ssh.service": file("")}
	}
	const dropIn = "etc/systemd/system/ssh.service.d/croft-host-keys.conf"
	for what, c := range map[string]struct {
		change   func(fstest.MapFS)
		init     string
		unit, rc bool
	}{
		"no keys":           {func(fstest.MapFS) {}, "", true, false},
		"no keys, sysvinit": {func(fstest.MapFS) {}, InitSysVinit, true, true},
		"no keys, runit":    {func(fstest.MapFS) {}, InitRunit, true, true},
		"no keys, OpenRC":   {func(fstest.MapFS) {}, InitOpenRC, true, true},
		"no script":         {func(f fstest.MapFS) { delete(f, "etc/init.d/ssh") }, InitOpenRC, true, false},
		"keys":              {func(f fstest.MapFS) { f["etc/ssh/ssh_host_rsa_key"] = file("x") }, InitSysVinit, false, false},
		"no sshd":           {func(f fstest.MapFS) { delete(f, "usr/sbin/sshd") }, InitSysVinit, false, false},
	} {
		root := debian()
		c.change(root)
		for range 2 {
			changes, err := Files(root, Settings{Init: c.init})
			if err != nil {
				t.Fatal(err)
			}
			apply(root, changes)
		}
		if got := root[dropIn] != nil; got != c.unit {
			t.Errorf("%s: the unit has a drop-in: %v", what, got)
		}
		if got := strings.Count(string(root["etc/default/ssh"].Data), "\n/usr/bin/ssh-keygen -A"); (got == 1) != c.rc || got > 1 {
			t.Errorf("%s: the script makes keys %d times", what, got)
		}
	}
}

// So does dropbear.
func TestDropbearKeys(t *testing.T) {
	for init, want := range map[string]bool{"": false, InitSysVinit: true} {
		root := fstest.MapFS{"usr/sbin/dropbear": file(""), "usr/bin/dropbearkey": file(""), "usr/lib/systemd/system/dropbear.service": file(""), "etc/init.d/dropbear": file(""),
			"etc/default/dropbear": file("#DROPBEAR_PORT=22\n")}
		for range 2 {
			changes, err := Files(root, Settings{Init: init})
			if err != nil {
				t.Fatal(err)
			}
			apply(root, changes)
		}
		unit := root["etc/systemd/system/dropbear.service.d/croft-host-keys.conf"]
		if unit == nil || !strings.Contains(string(unit.Data), "dropbear_$${t}_host_key") {
			t.Errorf("%q: the drop-in is %v", init, unit)
		}
		if defaults := root["etc/default/dropbear"]; strings.Count(string(defaults.Data), "\nfor t in rsa") != map[bool]int{true: 1}[want] {
			t.Errorf("%q: what the script reads is %s", init, defaults.Data)
		}
	}
}

// A systemd-resolved that is installed later finds its resolvers.
func TestResolvedIsToldInAdvance(t *testing.T) {
	root := fstest.MapFS{"usr/lib/systemd/systemd": file("")}
	s := settings()
	c, err := Files(root, s)
	if err != nil {
		t.Fatal(err)
	}
	apply(root, c)
	if drop := root["etc/systemd/resolved.conf.d/croft.conf"]; drop == nil || !strings.Contains(string(drop.Data), "DNS=9.9.9.9") {
		t.Errorf("there is no file for systemd-resolved:\n%s", c)
	}
	if conf := root["etc/resolv.conf"]; conf == nil || !strings.Contains(string(conf.Data), "nameserver 9.9.9.9") {
		t.Errorf("there is no resolv.conf:\n%s", c)
	}
}

func TestInterfacesKeepTheUsersLines(t *testing.T) {
	users := "auto lo\niface lo inet loopback\n\nauto tun0\niface tun0 inet manual\n"
	root := fstest.MapFS{"sbin/ifup": file(""), "etc/network/interfaces": file(users)}
	s := settings()
	c, err := Files(root, s)
	if err != nil {
		t.Fatal(err)
	}
	apply(root, c)
	now := string(root["etc/network/interfaces"].Data)
	if !strings.HasPrefix(now, users) || !strings.Contains(now, "address 10.90.0.2\n") || strings.Count(now, "iface lo") != 1 {
		t.Fatalf("interfaces is\n%s", now)
	}
	// The user takes eth0 over.
	root["etc/network/interfaces"] = file(now + "iface eth0 inet manual\n")
	if c, err = Files(root, s); err != nil || !slices.Contains(c.Kept, "/etc/network/interfaces") {
		t.Fatalf("kept %v, %v", c.Kept, err)
	}
	apply(root, c)
	if now := string(root["etc/network/interfaces"].Data); now != users+"iface eth0 inet manual\n" {
		t.Fatalf("interfaces is\n%s", now)
	}
}

func TestSettingsThatAreNoWords(t *testing.T) {
	for _, change := range []func(*Settings){
		func(s *Settings) { s.Hostname = "a\nnameserver 1.2.3.4" },
		func(s *Settings) { s.Hostname = "a b" },
		func(s *Settings) { s.Search = []string{"x;y"} },
		func(s *Settings) { s.Interfaces[0].Name = "../../x" },
		func(s *Settings) { s.Interfaces[0].Name = "" },
	} {
		s := settings()
		change(&s)
		if _, err := Files(fstest.MapFS{}, s); !fail.Is(err, fail.Usage) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestRealRoot: links out of the VPS, devices and directories in place of
// files are neither followed nor written.
func TestRealRoot(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret\n"), 0o600),
		os.MkdirAll(filepath.Join(dir, "etc/hostname"), 0o755),
		os.Symlink(outside, filepath.Join(dir, "etc/hosts")),
		os.Symlink("/nowhere/systemd/network", filepath.Join(dir, "etc/systemd")),
		os.Symlink("/etc/alternatives/resolv", filepath.Join(dir, "etc/resolv.conf")),
		os.MkdirAll(filepath.Join(dir, "usr/lib/systemd/systemd-networkd"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	got, err := Files(root.FS(), settings())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
	if !slices.Equal(got.Kept, want) {
		t.Errorf("kept %v, want %v", got.Kept, want)
	}
	for _, f := range got.Files {
		if bytes.Contains(f.Content, []byte("secret")) {
			t.Errorf("%s has what is outside", f.Path)
		}
	}
}

func TestUpstreams(t *testing.T) {
	stub := "# stub\nnameserver 127.0.0.53\noptions edns0\n"
	for _, c := range []struct {
		name, want string
		files      []string
	}{
		{"plain", "[9.9.9.9 2620:fe::fe]", []string{"nameserver 9.9.9.9\nnameserver 2620:fe::fe\n", "nameserver 1.1.1.1\n"}},
		{"stub", "[192.0.2.1]", []string{stub, "nameserver 192.0.2.1\n"}},
		{"only loopback", "[]", []string{stub, "nameserver ::1\nnameserver 0.0.0.0\nnameserver fe80::1%eth0\nnameserver ::ffff:127.0.0.1\n"}},
		{"twice, and too many", "[1.0.0.1 1.0.0.2 1.0.0.3]", []string{"nameserver 1.0.0.1\n nameserver\t1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n"}},
		{"nonsense", "[]", []string{"nameserver\nnameserver x\nserver 1.1.1.1\n#nameserver 1.1.1.1\n", ""}},
		{"nothing", "[]", nil},
	} {
		var files [][]byte
		for _, f := range c.files {
			files = append(files, []byte(f))
		}
		if got := fmt.Sprint(Upstreams(files...)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzUpstreams(f *testing.F) {
	f.Add([]byte("nameserver 1.1.1.1\n"))
	f.Fuzz(func(t *testing.T, conf []byte) {
		for _, a := range Upstreams(conf) {
			if a.IsLoopback() || !a.IsValid() {
				t.Errorf("%s", a)
			}
		}
	})
}

// FuzzFiles: whatever stands in the files, what is written once is right the
// second time, and no line of the user's is lost.
func FuzzFiles(f *testing.F) {
	f.Add("127.0.0.1 localhost\n", "auto lo\n", "nameserver 1.1.1.1\n", "x\n")
	f.Add("a # managed by croft\nb", blockBegin+"x", "", "")
	f.Fuzz(func(t *testing.T, hosts, interfaces, resolv, hostname string) {
		root := fstest.MapFS{"sbin/ifup": file(""), "etc/hosts": file(hosts), "etc/network/interfaces": file(interfaces),
			"etc/resolv.conf": file(resolv), "etc/hostname": file(hostname)}
		c, err := Files(root, settings())
		if err != nil {
			t.Fatal(err)
		}
		apply(root, c)
		for line := range strings.Lines(hosts) {
			if line = strings.TrimSpace(line); !strings.Contains(line, marker) && !strings.Contains(string(root["etc/hosts"].Data), line) {
				t.Errorf("the line %q of hosts is lost", line)
			}
		}
		again, err := Files(root, settings())
		if err != nil || len(again.Files) > 0 {
			t.Errorf("a second time:\n%s%v", again, err)
		}
	})
}
