package bundles

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
	"croft/internal/vps"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func settings() Settings {
	return Settings{
		Name: "web", UUID: "5a7d3c1e-0000-4000-8000-000000000001", Hostname: "web",
		Init: []string{"/sbin/init"}, First: 1000000, Size: 65536,
		CgroupsPath: "/croft/web", NotifyFile: "/run/croft/vps/web/notify",
		Capacity: Capacity{Tasks: 32768, Memory: 16 << 30},
		NoFile:   1 << 20, Arch: "amd64", HostUptime: time.Hour,
	}
}

func TestSpec(t *testing.T) {
	limited := settings()
	limited.Limits = vps.Limits{Memory: 512 << 20, Swap: 256 << 20, MilliCPUs: 1500, PIDs: 512}
	limited.Sysctls = map[string]string{"net.ipv4.ip_forward": "1"}
	limited.Devices = []Device{
		{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, Mode: 0o666},
		{Path: "/dev/fuse", Absent: true, Type: "c", Major: 10, Minor: 229, Mode: 0o666},
		{Path: "/dev/xvda", Source: "/dev/disk/by-id/ata-1", Type: "b", Major: 8, Minor: 16, Mode: 0o660, GID: 6, Access: "r"},
	}
	limited.ContainerEnv = "lxc"
	limited.Env = []string{"LANG=C.UTF-8"}

	privileged := settings()
	privileged.First, privileged.Size, privileged.HostUptime = 0, 0, 0
	privileged.HostCaps = []string{"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_MODULE"}
	privileged.Arch = "riscv64"
	privileged.Devices = limited.Devices

	for name, s := range map[string]Settings{"plain": settings(), "limited": limited, "privileged": privileged} {
		t.Run(name, func(t *testing.T) {
			spec, err := Spec(s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(spec, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(got, '\n'))
		})
	}
}

func TestSpecForOthers(t *testing.T) {
	s := settings()
	s.NotifyFile, s.HostUptime = "", 0
	spec, err := Spec(s)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is the same
		ForOthers(spec)
	}
	got, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "others.json", append(got, '\n'))
}

func TestSpecRefuses(t *testing.T) {
	noInit := settings()
	noInit.Init = nil
	hostRoot := settings()
	hostRoot.First = 0
	hostSysctl := settings()
	hostSysctl.Sysctls = map[string]string{"kernel.core_pattern": "x"}
	for name, s := range map[string]Settings{"no init": noInit, "host root": hostRoot, "host sysctl": hostSysctl} {
		if _, err := Spec(s); err == nil {
			t.Errorf("%s: a spec was made", name)
		}
	}
}

func TestNoSwapIsMemoryAlone(t *testing.T) {
	s := settings()
	s.Limits = vps.Limits{Memory: 1 << 30, Swap: -1}
	spec, err := Spec(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := *spec.Linux.Resources.Memory.Swap; got != 1<<30 {
		t.Fatalf("memory and swap together: %d, want %d", got, 1<<30)
	}
}

func TestUserSysctlsNeedAUserNamespace(t *testing.T) {
	if err := vps.CheckSysctl("user.max_net_namespaces", true); !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
	s := settings()
	s.Sysctls = map[string]string{"user.max_net_namespaces": "9", "kernel.shmmni": "5"}
	spec, err := Spec(s)
	if err != nil || len(spec.Linux.Sysctl) != 1 || spec.Linux.Sysctl["kernel.shmmni"] != "5" {
		t.Errorf("%v, %v", spec.Linux.Sysctl, err)
	}
}

func TestWriteIsReadBack(t *testing.T) {
	dir := t.TempDir()
	spec, err := Spec(settings())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is the same
		if err := Write(dir, spec); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec, got); diff != "" {
		t.Fatal(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the bundle holds %v, %v", entries, err)
	}
}

func TestReadRefuses(t *testing.T) {
	if _, err := Read(t.TempDir()); !fail.Is(err, fail.NotFound) {
		t.Errorf("an empty directory: %v", err)
	}
	for _, text := range []string{"", "{", "[]", "{}", `{"root":{"path":"x"}}`, `{"process":{"args":["x"]}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); !fail.Is(err, fail.State) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"root":{"path":"rootfs"},"process":{"args":["/sbin/init"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Parse(data)
		if err == nil && (spec.Root == nil || len(spec.Process.Args) == 0) {
			t.Fatal("accepted without a root or a process")
		}
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got, -update rewrites):\n%s", name, diff)
	}
}

// A VPS can be allowed all capabilities that there are, but not one whose root is
// the host's.
func TestAllowCapabilities(t *testing.T) {
	s := settings()
	before := Capabilities(s)
	s.Allow = []string{vps.AllowCapabilities}
	if got := Capabilities(s); len(got) != 41 || len(got)-len(before) != len(useless()) { // Linux 5.9 to 6.18 have 41
		t.Errorf("%d capabilities, %d before: %v", len(got), len(before), got)
	}
	if _, err := Spec(s); err != nil {
		t.Error(err)
	}
	s.First, s.Size, s.HostUptime = 0, 0, 0
	if _, err := Spec(s); !fail.Is(err, fail.Usage) {
		t.Errorf("privileged: %v", err)
	}
}

// The filters that a VPS may have: each denies what its description says.
func TestSeccomp(t *testing.T) {
	denied := func(f vps.Seccomp, allow ...string) (names []string, families int) {
		s := settings()
		s.Seccomp, s.Allow = f, allow
		spec, err := Spec(s)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Linux.Seccomp == nil {
			return nil, 0
		}
		for _, c := range spec.Linux.Seccomp.Syscalls {
			if c.Names[0] == "socket" {
				families++
			} else {
				names = append(names, c.Names...)
			}
		}
		return names, families
	}
	all, families := denied(vps.SeccompDefault)
	if !slices.Contains(all, "open_by_handle_at") || !slices.Contains(all, "io_uring_setup") || !slices.Contains(all, "syslog") || families != 3 {
		t.Errorf("the default filter denies %v, and %d families of sockets", all, families)
	}
	few, families := denied(vps.SeccompMinimal)
	if diff := cmp.Diff([]string{"io_uring_setup", "io_uring_enter", "io_uring_register", "syslog"}, few); diff != "" || families != 2 {
		t.Errorf("the minimal filter: %s, and %d families of sockets", diff, families)
	}
	if few, families = denied(vps.SeccompMinimal, vps.AllowVsock, vps.AllowIOURing); len(few) != 1 || families != 1 {
		t.Errorf("the minimal filter with all allowed: %v, and %d families of sockets", few, families)
	}
	if none, families := denied(vps.SeccompOff); len(none) > 0 || families > 0 {
		t.Errorf("no filter: %v, %d", none, families)
	}
	s := settings()
	s.First, s.Size, s.Seccomp = 0, 0, vps.SeccompOff
	if _, err := Spec(s); err == nil {
		t.Error("a privileged VPS has no filter")
	}
}
