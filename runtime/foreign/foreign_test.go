package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

var update = flag.Bool("update", false, "write the golden files")

// examples are the configurations in testdata.
var examples = map[string]Kind{
	"pct.conf": PCT, "vz.conf": OpenVZ, "lxc.conf": LXC, "lxc-old.conf": LXC, "incus.yaml": Incus, "nspawn.conf": Nspawn, "docker.json": Docker, "podman.json": Docker,
}

func host() Host {
	return Host{
		Default: "croft0", None: "none",
		Networks: []Network{
			{Name: "croft0", Bridge: "croft0", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24"), netip.MustParsePrefix("2001:db8::/64")}},
			{Name: "lan", Bridge: "vmbr1", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")}},
		},
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The golden files show what is read of each example, and what a VPS gets.
func TestExamples(t *testing.T) {
	for file, kind := range examples {
		t.Run(file, func(t *testing.T) {
			s, err := Parse(kind, "101", read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			v, more := s.Settings("shop", host())
			if err := v.Check(); err != nil {
				t.Errorf("the settings are not valid: %v", err)
			}
			var out bytes.Buffer
			write := func(title string, value any) {
				text, err := json.MarshalIndent(value, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				out.WriteString(title + " " + string(text) + "\n")
			}
			left := append(s.Left, more...)
			write("system", s)
			write("settings", v)
			for _, i := range v.Interfaces {
				write("addresses of "+i.Name, i.Addresses)
			}
			for _, l := range left {
				out.WriteString("left: " + l.String() + "\n")
			}
			golden := filepath.Join("testdata", file+".golden")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		kind        Kind
		text, words string
	}{
		{PCT, "", "no settings"},
		{PCT, "hello", "not KEY: VALUE"},
		{OpenVZ, "", "no settings"},
		{OpenVZ, "lxc.uts.name = a", "not KEY="},
		{OpenVZ, "arch: amd64", "not KEY="},
		{LXC, "", "no settings"},
		{LXC, "ONBOOT=\"yes\"", "not lxc.KEY"},
		{Incus, "", "no container"},
		{Incus, "\t", "not a configuration of Incus"},
		{Incus, "name: a\ntype: virtual-machine\n", "virtual machine"},
		{Incus, "name: a\noptimized: true\n", "optimized"},
		{Nspawn, "Boot=yes", "not a configuration"},
		{Docker, "", "docker inspect"},
		{Docker, "[]", "docker inspect"},
		{Docker, "{}", "docker inspect"},
		{LXC, strings.Repeat("#", MaxConfig+1), "too long"},
		{LXC, "lxc.a = \x00", "not text"},
		{"other", "", "unknown tool"},
	} {
		if _, err := Parse(c.kind, "", []byte(c.text)); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s %.20q: %v", c.kind, c.text, err)
		}
	}
}

func TestNameFor(t *testing.T) {
	for _, c := range []struct{ name, hostname, want string }{
		{"101", "shop.example.org", "101"},
		{"Web_1.a", "", "web-1-a"},
		{"", "shop.example.org", "shop"},
		{"", "", ""},
		{"!", "a", "a"},
	} {
		s := System{Name: c.name, VPS: vps.VPS{Hostname: c.hostname}}
		if got := s.NameFor(); string(got) != c.want {
			t.Errorf("%q, %q: %q", c.name, c.hostname, got)
		}
	}
}

// Networks that the user has chosen are used in their order.
func TestChosenNetworks(t *testing.T) {
	s, err := Parse(PCT, "101", read(t, "pct.conf"))
	if err != nil {
		t.Fatal(err)
	}
	h := host()
	h.Chosen = []vps.AddInterface{{Network: "lan"}}
	v, more := s.Settings("shop", h)
	if len(v.Interfaces) != 1 || v.Interfaces[0].Network != "lan" || v.Interfaces[0].Name != "eth0" || len(v.Interfaces[0].Addresses) != 0 {
		t.Errorf("it gets %+v", v.Interfaces)
	}
	if len(more) != 2 { // an address, and an interface
		t.Errorf("left: %v", more)
	}
	h.Chosen = []vps.AddInterface{{Network: "none"}}
	if v, _ := s.Settings("shop", h); v.Interfaces != nil {
		t.Errorf("of none it gets %+v", v.Interfaces)
	}
}

// A VPS does not get an address or a MAC that another owner has.
func TestTaken(t *testing.T) {
	s, err := Parse(PCT, "101", read(t, "pct.conf"))
	if err != nil {
		t.Fatal(err)
	}
	h := host()
	h.Networks[0].Taken = func(netip.Addr) error { return errors.New("no") }
	h.Networks[0].HasMAC = func(string) bool { return true }
	v, more := s.Settings("shop", h)
	if len(v.Interfaces[0].Addresses) != 0 || v.Interfaces[0].MAC != "" || len(more) != 2 {
		t.Errorf("it gets %+v, left: %v", v.Interfaces[0], more)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"1GiB": 1 << 30, "1GB": 1e9, "512": 512, "1.5M": 1500000, "0": 0, "64k": 64000} {
		if got, ok := size(text, 1000); !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "-1", "1KM", "9999999999E", "NaN", "50%"} {
		if got, ok := size(text, 1024); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestParseKind(t *testing.T) {
	for text, want := range map[string]Kind{"vz": OpenVZ, "openvz": OpenVZ, "lxd": Incus, "podman": Docker, "proxmox": PCT} {
		if got, err := ParseKind(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	if _, err := ParseKind("jail"); !fail.Is(err, fail.Usage) {
		t.Errorf("jail: %v", err)
	}
}

// No text is a reason to crash, and what is read is always valid.
func fuzz(f *testing.F, kinds ...Kind) {
	for file, kind := range examples {
		for _, k := range kinds {
			if k == kind {
				f.Add(read(f, file))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range kinds {
			s, err := Parse(kind, "101", text)
			if err != nil {
				continue
			}
			v, _ := s.Settings("shop", host())
			if err := v.Check(); err != nil {
				t.Errorf("the settings are not valid: %v", err)
			}
			for _, l := range s.Left {
				if strings.ContainsAny(l.String(), "\n\x1b") {
					t.Errorf("not one line: %q", l)
				}
			}
		}
	})
}

func FuzzOpenVZ(f *testing.F) { fuzz(f, OpenVZ) }
func FuzzLXC(f *testing.F)    { fuzz(f, LXC) }
func FuzzIncus(f *testing.F)  { fuzz(f, Incus) }
func FuzzPCT(f *testing.F)    { fuzz(f, PCT) }
func FuzzNspawn(f *testing.F) { fuzz(f, Nspawn) }
func FuzzDocker(f *testing.F) { fuzz(f, Docker) }
