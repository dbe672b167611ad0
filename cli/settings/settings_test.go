package settings

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"croft/internal/vps"
)

// full has a value for each setting.
func full() vps.VPS {
	return vps.VPS{
		Name: "web", Hostname: "web.example.org", Privileged: true, Storage: vps.StoragePlain, Tree: vps.FirstTree, IDs: vps.IDRange{First: 1 << 20, Size: 131072},
		Template:   vps.Template{Name: "debian-12"},
		Interfaces: []vps.Interface{{Name: "eth0", Network: "croft0", Rate: vps.Rate{In: 100_000_000}, Addresses: []netip.Addr{netip.MustParseAddr("10.90.0.2")}, Connections: 500}},
		Disk:       vps.Disk{Bytes: 10 << 30, Inodes: 5000},
		Limits: vps.Limits{Memory: 1536 << 20, Swap: -1, MilliCPUs: 1500, PIDs: 512, MemoryLow: 64 << 20, CPUWeight: 200, CPUSet: "0-1", IOWeight: 50,
			IORead: []vps.IOLimit{{Bytes: 10 << 20, Operations: 100}}, IOWrite: []vps.IOLimit{{Device: "/dev/sda", Bytes: 1 << 20}}},
		DNS:       vps.DNS{Servers: []string{"192.0.2.1"}, Search: []string{"example.org"}},
		Published: []vps.Publication{{Protocol: "udp", Host: "::1", Ports: "5353", To: "53"}},
		Sysctls:   map[string]string{"net.core.somaxconn": "100"}, Env: []string{"A=yes", "B=a: b"}, Allow: []string{"vsock"}, CapAdd: []string{"SYS_TIME"}, CapDrop: []string{"NET_RAW", "MKNOD"},
		Devices: []vps.Device{{Source: "/dev/sdb", Path: "/dev/xvda", Access: "r"}, {Source: "gpu", Optional: true}},
		OnBoot:  vps.OnBootYes, BootOrder: 3, StopAfter: 90, Restart: vps.Restart{When: vps.RestartOnFailure, Most: 5}, Fit: "machine-id,fstab", Protected: true, NoDmesg: true, Seccomp: vps.SeccompOff, Description: "the shop: web", Labels: map[string]string{"tier": "1"},
		Mounts: []vps.Mount{{Kind: vps.MountHost, Source: "/srv/www", Target: "/var/www", ReadOnly: true}, {Kind: vps.MountTmpfs, Target: "/cache", Size: 64 << 20}},
	}
}

func TestTextIsReadAgain(t *testing.T) {
	words := Of(full())
	for _, s := range All() {
		if len(words[s.Key]) == 0 && s.Words != nil {
			t.Errorf("%s: no words", s.Key)
		}
	}
	text := Text(words, "a comment")
	f, err := Parse("f", text)
	if err != nil || !reflect.DeepEqual(f.Words, words) {
		t.Errorf("%v; read %v, want %v from\n%s", err, f.Words, words, text)
	}
	const want = `# a comment
template: debian-12
privileged: yes
storage: plain
id-size: 131072
network:
  - croft0
hostname: web.example.org
memory: 1536M
swap: 0
cpus: 1.5
pids: 512
disk: 10G
inodes: 5000
memory-low: 64M
cpu-weight: 200
cpuset: 0-1
io-weight: 50
io-read:
  - 10M
  - 100iops
io-write:
  - /dev/sda:1M
`
	if !strings.HasPrefix(string(text), want) {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

// The name and the MAC of an interface are written if they were chosen.
func TestNetworks(t *testing.T) {
	v := vps.VPS{Interfaces: []vps.Interface{{Name: "eth0", Network: "croft0"}, {Name: "eth1", Network: "dmz", MAC: "02:00:00:00:00:07"}, {Name: "lan0", Network: "lan"}, {Name: "eth2", Network: "x"}}}
	if got := fmt.Sprint(Of(v)["network"]); got != "[croft0 dmz:mac=02:00:00:00:00:07 lan:name=lan0 x]" {
		t.Error(got)
	}
	f, err := Parse("f", []byte("network: none"))
	if got := Changes(Words{"network": {"none"}}, f.Words); err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
	f, err = Parse("f", []byte("network:"))
	if got := fmt.Sprint(Changes(Words{"network": {"none"}}, f.Words)); err != nil || got != "[{network network-add croft0}]" {
		t.Errorf("%v, %v", got, err)
	}
	if got := fmt.Sprint(Changes(Words{"network": {"dmz:name=lan0"}}, f.Words)); got != "[{network network-del dmz} {network network-add croft0}]" {
		t.Error(got)
	}
}

// An address is written with its interface only if it would go to another one.
func TestAddressesOfSeveralInterfaces(t *testing.T) {
	one, two := netip.MustParseAddr("10.90.0.2"), netip.MustParseAddr("10.91.0.2")
	v := vps.VPS{Interfaces: []vps.Interface{
		{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/16")}, Addresses: []netip.Addr{one}},
		{Name: "eth1", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.91.0.0/16")}, Addresses: []netip.Addr{two}},
	}}
	if got := fmt.Sprint(Of(v)["ip"]); got != "[10.90.0.2 10.91.0.2]" {
		t.Error(got)
	}
	v.Interfaces[1].Prefixes = nil
	if got := fmt.Sprint(Of(v)["ip"]); got != "[10.90.0.2 eth1:10.91.0.2]" {
		t.Error(got)
	}
}

func TestDefaultsHaveNoWords(t *testing.T) {
	got := Of(vps.VPS{Name: "web", Hostname: "web"})
	if want := (Words{"network": {"none"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"memory: 1G\nmemroy: 2G\n":         `f:2: unknown setting "memroy"`,
		"memory: 1G\nmemory: 2G\n":         "f:2: memory is there twice",
		"- a\n":                            "f:1: use KEY: VALUE",
		"memory: [1G]\n":                   "f:1: memory: use one value",
		"dns: {a: b}\n":                    "f:1: dns: use a list of words",
		"label: [[a]]\nx: 1\n":             `f:1: label: use a list of words; f:2: unknown setting "x"`,
		"label: {a: {b: c}}\n":             "f:1: label: a: use one value",
		"dns: &x [a]\nsearch: *x\n":        "f:2: search: aliases cannot be used here",
		"memory: 1G: 2\n":                  "f: invalid YAML: mapping values are not allowed in this context",
		"? [a, b]\n: c\n":                  "f:1: invalid key: use a word",
		"base: &b {a: b}\nlabel:\n <<: *b": `f:1: unknown setting "base"; f:3: label: use KEY: VALUE, each KEY once`,
	} {
		if _, err := Parse("f", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestFiles(t *testing.T) {
	for text, want := range map[string]Words{
		"":                       {},
		"# nothing\n":            {},
		"memory: 1G":             {"memory": {"1G"}},
		"memory:\ndns:\n":        {"memory": nil, "dns": nil},
		"protect: true":          {"protect": {"yes"}},
		"protect: no":            {"protect": {"no"}},
		"dns: 192.0.2.1":         {"dns": {"192.0.2.1"}},
		"label: {a: 1, b: true}": {"label": {"a=1", "b=true"}},
		"label: [a=1]":           {"label": {"a=1"}},
		"publish: [8080:80]":     {"publish": {"8080:80"}},
		"cpus: 1.50":             {"cpus": {"1.50"}},
	} {
		if f, err := Parse("f", []byte(text)); err != nil || !reflect.DeepEqual(f.Words, want) {
			t.Errorf("%q: got %v, %v", text, f.Words, err)
		}
	}
}

func TestConfig(t *testing.T) {
	c, err := ParseConfig("c", []byte("defaults:\n  template: debian-12\ntrash: 24h\n"), "trash")
	if err != nil || c.Host["trash"] != "24h" || c.Defaults.Words["template"][0] != "debian-12" || c.Defaults.At("template") != "c:2" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = ParseConfig("c", []byte("default:\n  a: b\ndefaults: {x: 1}\ntrash: [1]\n"), "trash")
	if want := `c:1: unknown key "default": use defaults, trash; c:3: unknown setting "x"; c:4: trash: use one value`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestChanges(t *testing.T) {
	have := Of(full())
	for text, want := range map[string]string{
		"memory: 2G":                     "memory=2G",
		"memory: 1536M":                  "",
		"memory:":                        "memory=default",
		"cpus:\nswap:\npids:":            "swap=unlimited cpus=unlimited pids=default",
		"dns: [192.0.2.2, 192.0.2.3]":    "dns=192.0.2.2 dns=192.0.2.3",
		"dns: []":                        "dns=default",
		"label: {tier: 2, new: x}":       "label=tier=2 label=new=x",
		"label: {}":                      "label=-tier",
		"env: [B=c]":                     "env=-A env=B=c",
		"allow: [io_uring]":              "allow=-vsock allow=io_uring",
		"ip: [10.90.0.3]":                "ip-del=10.90.0.2 ip-add=10.90.0.3",
		"rate:":                          "rate=eth0:unlimited",
		"publish: [8080:80]":             "publish=-[::1]:5353:53/udp publish=8080:80",
		"network: [croft0, dmz]":         "network-add=dmz",
		"network: [dmz]":                 "network-del=croft0 network-add=dmz",
		"network: none":                  "network-del=croft0",
		"network:":                       "",
		"device: /dev/sdb:/dev/xvda":     "device-del=/dev/xvda device-del=gpu device-add=/dev/sdb:/dev/xvda",
		"onboot: last\nprotect:":         "onboot=last protect=no",
		"hostname:\nlabel: {tier: 1}":    "hostname=default",
		"template: busybox\nmemory: 64M": "memory=64M",
	} {
		f, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range Changes(have, f.Words) {
			got = append(got, o.Name+"="+o.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	if got := Changes(Words{}, Words{"onboot": {"last"}, "protect": {"no"}}); len(got) > 0 {
		t.Errorf("a default is no change: %v", got)
	}
	if got := fmt.Sprint(Fixed(have, Words{"template": {"busybox"}, "memory": {"1G"}})); got != "[template]" {
		t.Errorf("fixed: %s", got)
	}
}

func TestLayered(t *testing.T) {
	config, err := Parse("croft.yaml", []byte("memory: 1G\nlabel: {a: 1, b: 1}\ndns: 192.0.2.1\ncpus: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	small, err := Parse("small.yaml", []byte("# small\nmemory: 2G\nlabel: {b: 2}\ndns: [192.0.2.2, 192.0.2.3]\ncpus:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Value{
		"memory": {[]string{"2G"}, "small.yaml:2"}, "label": {[]string{"a=1", "b=2"}, "small.yaml:3"},
		"dns": {[]string{"192.0.2.2", "192.0.2.3"}, "small.yaml:4"}, "cpus": {nil, "small.yaml:5"},
	}
	if got := Layered(config, small); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
