package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// containerOf makes a container of LXC with these settings, and returns its directory.
func containerOf(t *testing.T, config string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "rootfs", "etc"), 0o755), os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// What this host does not have or others use is not among the settings of the VPS, and is
// listed with the reason.
func TestForeignFitsTheHost(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	m.trySysctls = func(_ context.Context, all map[string]string, _ bool) error {
		if _, bad := all["net.bad"]; bad {
			return errors.New("the kernel has no such setting")
		}
		return nil
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	taken, free := table.Claims[0].Addresses[0], table.IPv4.Addr()
	for range 40 {
		free = free.Next()
	}
	dir := containerOf(t, fmt.Sprintf(`lxc.net.0.type = veth
lxc.net.0.ipv4.address = %s/16
lxc.net.0.ipv4.address = %s/16
lxc.net.0.hwaddr = %s
lxc.cgroup2.memory.max = 64M
lxc.cgroup2.cpuset.cpus = 0-7
lxc.mount.entry = /srv/absent srv none bind
lxc.mount.entry = /srv/data data none bind
lxc.mount.entry = /dev/none dev/none none bind
lxc.mount.entry = /dev/sdb dev/sdb none bind
lxc.sysctl.net.bad = 1
lxc.sysctl.net.good = 1
`, taken, free, table.Claims[0].MAC))
	f, err := m.OpenForeign(ctx, ForeignOptions{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := f.Settings
	if f.Name != "shop" || v.Limits.Memory != 64<<20 || v.Limits.CPUSet != "" {
		t.Errorf("%s has the limits %+v", f.Name, v.Limits)
	}
	if len(v.Mounts) != 1 || v.Mounts[0].Source != "/srv/data" || len(v.Devices) != 1 || v.Devices[0].Source != "/dev/sdb" || len(v.Sysctls) != 1 {
		t.Errorf("it has %+v, %+v, %+v", v.Mounts, v.Devices, v.Sysctls)
	}
	if i := v.Interfaces[0]; len(i.Addresses) != 1 || i.Addresses[0] != free || i.MAC != "" {
		t.Errorf("its interface is %+v", i)
	}
	var said []string
	for _, l := range f.NotTaken {
		said = append(said, l.String())
	}
	for _, words := range []string{taken.String() + ": address", "MAC", "cpuset", "/srv/absent", "/dev/none", "net.bad=1: the kernel"} {
		if !strings.Contains(strings.Join(said, "\n"), words) {
			t.Errorf("%q is not among\n%s", words, strings.Join(said, "\n"))
		}
	}
	if len(said) != 6 {
		t.Errorf("it does not get\n%s", strings.Join(said, "\n"))
	}
}

// A port that another VPS has published is not taken.
func TestForeignPorts(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t", Published: published()}); err != nil {
		t.Fatal(err)
	}
	dir := containerOf(t, "")
	config := filepath.Join(dir, "shop.nspawn")
	if err := os.WriteFile(config, []byte("[Network]\nVirtualEthernet=yes\nPort=8080:80\nPort=8081:81\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenForeign(ctx, ForeignOptions{Path: config, Rootfs: filepath.Join(dir, "rootfs")})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := f.Settings.Published; len(p) != 1 || p[0].Ports != "8081" || len(f.NotTaken) != 1 || !strings.Contains(f.NotTaken[0].Reason, "web has published") {
		t.Errorf("it has %v, left %v", p, f.NotTaken)
	}
}

func TestOpenForeignRefuses(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	for what, o := range map[string]ForeignOptions{
		"another architecture": {Path: containerOf(t, "lxc.arch = s390x\n")},
		"nothing":              {Path: containerOf(t, "")},
	} {
		if f, err := m.OpenForeign(ctx, o); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", what, err)
			f.Close()
		}
	}
	if w.String() != "" {
		t.Errorf("the world has\n%s", w)
	}
}

// An adopted VPS keeps its identity, and an existing name is refused before files are read.
func TestAdopt(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	dir := containerOf(t, "lxc.uts.name = shop.example.org\n")
	for n := range 2 {
		f, err := m.OpenForeign(ctx, ForeignOptions{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Settings.Fit.Has(vps.FitMachineID) || f.Settings.Hostname != "shop.example.org" {
			t.Errorf("it gets %+v", f.Settings)
		}
		info, err := m.Adopt(ctx, f.Name, f, AdoptOptions{CreateOptions: CreateOptions{Hostname: f.Settings.Hostname, Fit: f.Settings.Fit}})
		switch {
		case n == 0 && (err != nil || info.Template != "adopted" || info.Status != StatusStopped):
			t.Errorf("%+v, %v", info, err)
		case n == 1 && !fail.Is(err, fail.Taken):
			t.Errorf("again: %v", err)
		}
	}
	var said []Event
	if err := m.Events(ctx, false, func(e Event) error { said = append(said, e); return nil }); err != nil || len(said) != 1 || said[0].Attributes["from"] != "lxc shop" {
		t.Errorf("the events are %+v, %v", said, err)
	}
}
