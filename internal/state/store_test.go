package state

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		root, run string
		want      fail.Kind
	}{
		{"", dir, fail.Usage},
		{dir, "", fail.Usage},
		{dir, dir + "/x/..", fail.Usage},
		{"/proc/version/x", dir, fail.Host},
	} {
		_, err := Open(c.root, c.run)
		wantKind(t, err, c.want)
	}
	s, err := Open(dir+"/a/../root", dir+"/run/")
	if err != nil {
		t.Fatal(err)
	}
	if s.Root != dir+"/root" || s.RunRoot != dir+"/run" {
		t.Errorf("got %q, %q", s.Root, s.RunRoot)
	}
	wantModes(t, dir)
	if _, err := Open(dir+"/root", dir+"/run"); err != nil {
		t.Errorf("again: %v", err)
	}
}

// wantModes checks the directories of a store in dir/root and dir/run.
func wantModes(t *testing.T, dir string) {
	t.Helper()
	for sub, mode := range map[string]os.FileMode{
		"root": 0o700, "root/vps": 0o700, "root/networks": 0o700, "root/trash": 0o700,
		"run": 0o711, "run/rootfs": 0o711, "run/vps": 0o700, "run/locks": 0o700,
	} {
		if fi, err := os.Stat(filepath.Join(dir, sub)); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", sub, fi, err)
		}
	}
}

// The modes are the same whatever the caller's umask is.
func TestOpenIgnoresUmask(t *testing.T) {
	for _, mask := range []int{0, 0o027, 0o077, 0o777} {
		dir := t.TempDir()
		old := unix.Umask(mask)
		_, err := Open(dir+"/root", dir+"/run")
		unix.Umask(old)
		if err != nil {
			if mask == 0o777 && os.Geteuid() != 0 {
				continue // it cannot pass through its own directories
			}
			t.Fatalf("umask %03o: %v", mask, err)
		}
		wantModes(t, dir)
	}
}

// Directories of an older croft were open to all for passing through.
func TestOpenTightensOldDirectories(t *testing.T) {
	dir := t.TempDir()
	for sub, mode := range map[string]os.FileMode{
		"root": 0o711, "root/vps": 0o711, "root/bin": 0o755, "root/networks": 0o700, "root/trash": 0o700,
		"run": 0o700, "run/vps": 0o700, "run/locks": 0o700,
	} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, sub), mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir+"/root", dir+"/run"); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(dir + "/root/bin"); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("bin: %v, %v", fi, err)
	}
	if err := os.Chmod(dir+"/root", 0o700); err != nil { // an existing one is left as it is
		t.Fatal(err)
	}
	wantModes(t, dir)
}

// A run directory that croft did not make keeps its mode, and the store says
// that VPSs cannot pass through it.
func TestImpassable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // of the testing package's own directory
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]string{
		dir + "/open/run":   "",
		dir + "/closed":     dir + "/closed",
		dir + "/closed/run": dir + "/closed",
	} {
		s, err := Open(dir+"/root", run)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Impassable(); err != nil || got != want {
			t.Errorf("%s: %q, %v", run, got, err)
		}
	}
	if fi, err := os.Stat(dir + "/closed"); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("an existing directory was changed: %v, %v", fi, err)
	}
}

// full is a VPS in which every field says something, as reflection finds them.
func full(t testing.TB) vps.VPS {
	v := vps.VPS{
		Schema: Schema, Name: "web", UUID: "u", Created: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Template:    vps.Template{Name: "debian-12", Digest: "sha256:aa", Layers: []string{"sha256:bb"}},
		Frozen:      []vps.Frozen{{ID: "0123456789ab", IDs: vps.IDRange{First: 1, Size: 2}}},
		IDs:         vps.IDRange{First: firstIDs, Size: IDUnit},
		Hostname:    "web.example",
		Interfaces:  []vps.Interface{{Name: "eth0", Network: "default"}},
		Disk:        vps.Disk{Bytes: 1 << 30, Inodes: 9999, Kind: vps.DiskImage, Image: "disk.x.img"},
		Limits:      vps.Limits{Memory: 1, Swap: -1, MilliCPUs: 1500, PIDs: 3},
		DNS:         vps.DNS{Servers: []string{"192.0.2.1"}, Search: []string{"example"}},
		Credentials: []vps.Credential{{Name: "db", Version: "A1"}},
		Storage:     vps.StoragePlain,
		Tree:        vps.SecondTree,
		Sysctls:     map[string]string{"net.ipv4.ip_forward": "1"},
		Allow:       []string{"vsock"},
		CapAdd:      []string{"SYS_TIME"},
		CapDrop:     []string{"NET_RAW"},
		Env:         []string{"A=<b>"},
		Devices:     []vps.Device{{Source: "/dev/sda", Path: "/dev/xvda", Access: "r", Mode: "0640", UID: 1, GID: 2, Optional: true}},
		Ephemeral:   true,
		Runner:      vps.Runner{HostBoot: "b", PID: 7, StartTime: 8},
		Creator:     vps.Runner{HostBoot: "b", PID: 9, StartTime: 10},
		OnBoot:      vps.OnBootYes,
		BootOrder:   7,
		StopAfter:   90,
		NoDmesg:     true,
		Seccomp:     vps.SeccompOff,
		Protected:   true,
		Fit:         vps.FitNone,
		Restart:     vps.Restart{When: vps.RestartOnFailure, Most: 3},
		Privileged:  true,
		Labels:      map[string]string{"k": "v"},

		RenamedFrom: "old",
		Reinstalled: true, Restored: vps.RestoredNeverStarted,
		Description: "the shop",
	}
	v.Firewall = vps.Firewall{Input: "drop", Output: "accept", Forward: "drop", Rules: []vps.FirewallRule{{Chain: "input", Action: "allow",
		Protocol: "tcp", Ports: []string{"80"}, From: "192.0.2.0/24", To: "192.0.2.1", States: []string{"new"}}}}
	v.Detached = []vps.Interface{{Name: "eth1", Network: "dmz", MAC: "02:00:00:00:00:07"}}
	v.Mounts = []vps.Mount{{Kind: vps.MountHost, Source: "/srv", Target: "/srv", ReadOnly: true, NoExec: true, HostIDs: true}, {Kind: vps.MountTmpfs, Target: "/tmp", Size: 7, Mode: "1777"}}
	v.Published = []vps.Publication{{Protocol: "tcp", Host: "192.0.2.1", Ports: "8000-8100", To: "80-180"}}
	v.Routing = vps.Routing{
		Routes: []vps.Route{{Destination: "192.0.2.0/24", Via: "10.0.0.1", Dev: "eth0", Src: "10.0.0.2", MTU: 1300, AdvMSS: 1200, Table: 100, Metric: 5}},
		Rules:  []vps.RouteRule{{From: "10.0.0.2", To: "192.0.2.1", Table: 100, Priority: 7}},
	}
	for f := range reflect.TypeFor[vps.VPS]().Fields() {
		if reflect.ValueOf(v).FieldByIndex(f.Index).IsZero() {
			t.Errorf("the test does not fill %s", f.Name)
		}
	}
	return v
}

func TestPutAndGet(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	want := full(t)
	for range 2 { // twice is the same
		if err := l.Put(want); err != nil {
			t.Fatal(err)
		}
		got, err := l.VPS()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	data, err := os.ReadFile(s.VPSFile("web"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); !strings.HasPrefix(text, "{\n  \"schema\": 1,\n") || !strings.HasSuffix(text, "}\n") || !strings.Contains(text, "A=<b>") {
		t.Errorf("not for people:\n%s", text)
	}
}

func TestAbsentVPS(t *testing.T) {
	s, _ := newStore(t)
	_, err := s.Get("web")
	wantKind(t, err, fail.NotFound)
	if err.Error() != `no VPS named "web"` || fail.HintOf(err) != "croft list" {
		t.Errorf("got %q, hint %q", err, fail.HintOf(err))
	}
	l := lock(t, s, "web")
	wantKind(t, l.Put(vps.VPS{}), fail.NotFound)
	if err := l.Trash(); err != nil {
		t.Errorf("trash of an absent VPS: %v", err)
	}
	if err := s.RemoveRun("web"); err != nil {
		t.Errorf("remove of an absent run: %v", err)
	}
	if all, err := s.All(); err != nil || all == nil || len(all) != 0 {
		t.Errorf("All() = %v, %v", all, err)
	}
}

func TestUnreadableVPSs(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "good")
	for name, c := range map[string]struct{ content, want string }{
		"cut":     {`{"schema": 1, "na`, " is corrupt: unexpected end of JSON input"},
		"empty":   {``, " is corrupt: unexpected end of JSON input"},
		"newer":   {`{"schema": 2, "ids": "any"}`, " was written by a newer croft (schema 2)"},
		"none":    {`{"name": "none"}`, " is corrupt: it has no schema number"},
		"zero":    {`{"schema": 0}`, " is corrupt: it has no schema number"},
		"list":    {`[1, 2]`, " is corrupt: json: cannot unmarshal array into Go value of type"},
		"type":    {`{"schema": 1, "ids": []}`, " is corrupt: json: cannot unmarshal array"},
		"ids":     {`{"schema": 1, "ids": {"first": 4294967295, "size": 65536}}`, " is corrupt: ids 4294967295+65536 are out of range"},
		"missing": {"", "missing is broken: it has no "},
	} {
		if err := os.Mkdir(s.VPSDir(vps.Name(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "missing" {
			write(t, s.VPSFile(vps.Name(name)), c.content)
		}
		_, err := s.Get(vps.Name(name))
		wantKind(t, err, fail.State)
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.VPSFile(vps.Name(name))) {
			t.Errorf("%s: got %q, want %q", name, err, c.want)
		}
	}
	write(t, filepath.Join(s.Root, "vps", "stray"), "a file")
	if err := os.Mkdir(filepath.Join(s.Root, "vps", ".web.abc"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := s.All()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, string(e.Name))
		if (e.Err == nil) != (e.Name == "good") {
			t.Errorf("%s: %v", e.Name, e.Err)
		}
	}
	if got, want := strings.Join(names, " "), "cut empty good ids list missing newer none type zero"; got != want {
		t.Errorf("All: %s\nwant %s", got, want)
	}
}

// The directory's name is what counts: one that was moved by hand is found.
func TestNameIsTheDirectorys(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	if err := os.Rename(s.VPSDir("web"), s.VPSDir("www")); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get("www"); err != nil || v.Name != "www" {
		t.Errorf("got %q, %v", v.Name, err)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownFieldsSurvive(t *testing.T) {
	s, _ := newStore(t)
	makeVPS(t, s, "web")
	write(t, s.VPSFile("web"), `{
  "future": {"deep": [1, 2.50, {"a": null}]},
  "schema": 1, "name": "web", "NAME": "other", "ephemeral": true,
  "ids": {"first": 1048576, "size": 65536, "idsFuture": "x"},
  "limits": {"pids": 3, "limitsFuture": 1e400},
  "labels": {"gone": "yes"},
  "interfaces": [
    {"name": "eth1", "network": "b", "colour": 5},
    {"name": "eth0", "network": "a", "colour": 4}
  ]
}`)
	l := lock(t, s, "web")
	v, err := l.VPS()
	if err != nil {
		t.Fatal(err)
	}
	v.Name, v.Ephemeral, v.Labels, v.Limits.PIDs = "web", false, map[string]string{"new": "yes"}, 0
	v.Interfaces = []vps.Interface{{Name: "eth0", Network: "c"}, {Name: "eth2", Network: "d"}}
	if err := l.Put(v); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(s.VPSFile("web"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "schema": 1,
  "name": "web",
  "uuid": "",
  "created": "0001-01-01T00:00:00Z",
  "template": {
    "name": "",
    "digest": "",
    "layers": null
  },
  "ids": {
    "first": 1048576,
    "size": 65536,
    "idsFuture": "x"
  },
  "hostname": "",
  "interfaces": [
    {
      "name": "eth0",
      "network": "c",
      "colour": 4
    },
    {
      "name": "eth2",
      "network": "d"
    }
  ],
  "limits": {
    "limitsFuture": 1e400
  },
  "dns": {},
  "labels": {
    "new": "yes"
  },
  "future": {
    "deep": [
      1,
      2.50,
      {
        "a": null
      }
    ]
  }
}
`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRun(t *testing.T) {
	s, _ := newStore(t)
	if r, err := s.Run("web"); err != nil || !reflect.DeepEqual(r, Run{}) {
		t.Fatalf("absent: got %+v, %v", r, err)
	}
	want := Run{State: Running, Boot: 3, Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Init: Process{PID: 7, StartTime: 8}}
	if err := s.PutRun("web", want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Run("web")
	if err != nil {
		t.Fatal(err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	want.Schema, want.HostBoot = Schema, strings.TrimSpace(string(boot))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}

	after := *s // the same files after the host has booted anew
	after.boot = "another"
	if r, err := after.Run("web"); err != nil || !reflect.DeepEqual(r, Run{}) {
		t.Errorf("after a reboot of the host: got %+v, %v", r, err)
	}

	for _, corrupt := range []string{"{", "", "null", `{"schema": 9}`} { // of no boot of the host
		write(t, s.RunFile("web"), corrupt)
		if r, err := s.Run("web"); err != nil || !reflect.DeepEqual(r, Run{}) {
			t.Errorf("%q: got %+v, %v", corrupt, r, err)
		}
	}
	write(t, s.RunFile("web"), `{"schema": 9, "hostBoot": "`+s.boot+`"}`)
	_, err = s.Run("web")
	wantKind(t, err, fail.State)
	if err := s.RemoveRun("web"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.RunDir("web")); !os.IsNotExist(err) {
		t.Errorf("RemoveRun left it: %v", err)
	}
}

func FuzzDecodeVPS(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"schema":1}`, `{"schema":2}`, `{"schema":1,"ids":{"first":1048576,"size":65536}}`,
		`{"schema":1,"NAME":"x","nAme":"y","limits":{"Pids":7,"x":[]},"interfaces":[{"name":"a","z":1},{"NAME":"a"}]}`,
		`{"schema":1,"created":"2026-01-02T15:04:05Z","labels":{"":""},"x":{"x":{"x":1e999}}}`,
		`{"schema":1,"labels":null,"interfaces":null,"dns":null}`, `{"schema":1}{"schema":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeVPS(data, "web", "vps.json")
		if err != nil {
			wantKind(t, err, fail.State)
		}
		// Whatever the old file was, what is put over it is what is read.
		want := full(t)
		out, err := encode(want, data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeVPS(out, "web", "vps.json")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("put over it, then read: %+v, %v\n%s", got, err, out)
		}
		again, err := encode(v, data)
		if err != nil {
			return // a time that RFC 3339 cannot say
		}
		if twice, err := encode(v, again); err != nil || string(twice) != string(again) {
			t.Fatalf("put twice: %v\n%s\n%s", err, again, twice)
		}
	})
}

func FuzzDecodeRun(f *testing.F) {
	f.Add([]byte(`{"schema":1,"hostBoot":"x","state":"running","end":{"reason":"halted"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Run
		if err := decode(data, "run.json", &r); err != nil {
			wantKind(t, err, fail.State)
		}
	})
}

// A query of a root that does not exist finds nothing and leaves nothing.
func TestOpenIfUsed(t *testing.T) {
	root, run := filepath.Join(t.TempDir(), "typo", "root"), filepath.Join(t.TempDir(), "run")
	s, used, err := OpenIfUsed(root, run)
	if err != nil || used {
		t.Fatal(used, err)
	}
	names, err1 := s.Names()
	networks, err2 := s.Networks()
	publishers, err3 := s.Publishers()
	if len(names)+len(networks)+len(publishers) != 0 || err1 != nil || err2 != nil || err3 != nil {
		t.Errorf("%v %v, %v %v, %v %v", names, err1, networks, err2, publishers, err3)
	}
	if _, err := s.Get("web"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if exists(filepath.Dir(root)) || exists(run) {
		t.Error("it has made directories")
	}
	if _, err := Open(root, run); err != nil {
		t.Fatal(err)
	}
	if _, used, err := OpenIfUsed(root, run); err != nil || !used {
		t.Errorf("a root that is used: %v, %v", used, err)
	}
}
