package values

import (
	"fmt"
	"strings"
	"testing"

	"croft/internal/signame"
	"croft/internal/sizes"
	"croft/internal/vps"
)

// reading returns a function that parses a text and returns the value, or "no: ERROR".
func reading[T any](parse func(string) (T, error)) func(string) string {
	return func(s string) string {
		v, err := parse(s)
		if err != nil {
			return "no: " + err.Error()
		}
		return fmt.Sprint(v)
	}
}

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		read func(string) string
		want map[string]string // "no" is any refusal
	}{
		"size": {reading(sizes.Parse), map[string]string{
			"0": "0", "1": "1", "1B": "1", "512M": "536870912", "512m": "536870912", "512MiB": "536870912", "1G": "1073741824",
			"1.5K": "1536", "1.25G": "1342177280", "8388607T": "9223370937343148032", "7P": "7881299347898368",
			"": "no", "M": "no", "1Q": "no", "-1": "no", "+1": "no", "1e9": "no", "1 G": "no", "1.5": "no", "1.": "no", ".5G": "no",
			"1.G": "no", "8388608T": "no", "99999999999999999999": "no", "1GM": "no", "1.5.5G": "no", "1.-5G": "no", "0x10": "no",
			"1_000": "no", "٣": "no", "1.1e1K": "no", "1.infK": "no",
		}},
		"memory": {reading(Memory), map[string]string{
			"unlimited": "-1", "4M": "4194304", "1M": "no", "0": "no", "1K": "no", "Unlimited": "no",
		}},
		"swap": {reading(Swap), map[string]string{"unlimited": "0", "0": "-1", "0M": "-1", "1M": "1048576", "-1": "no"}},
		"cpus": {reading(CPUs), map[string]string{
			"1": "1000", "1.5": "1500", "0.25": "250", "0.01": "10", "0.010": "10", "64": "64000", "unlimited": "0",
			"0": "no", "0.0": "no", "0.001": "no", "1.2345": "no", "-1": "no", "two": "no", "NaN": "no", "1,5": "no", "1.": "no",
			".5": "no", "1e3": "no", "1.+5": "no", "99999999": "no", "": "no",
		}},
		"pids":       {reading(PIDs), map[string]string{"1": "1", "512": "512", "unlimited": "-1", "0": "no", "-5": "no", "1.5": "no"}},
		"memory low": {reading(MemoryLow), map[string]string{"default": "0", "0": "0", "64M": "67108864", "unlimited": "no", "-1": "no"}},
		"weight":     {reading(Weight), map[string]string{"1": "1", "10000": "10000", "default": "0", "0": "no", "10001": "no", "x": "no", "-1": "no"}},
		"cpuset": {reading(CPUSet), map[string]string{"1,0": "0-1", "0-3,8": "0-3,8", "unlimited": "", "default": "", "": "no", "a": "no", "3-1": "no",
			"any:2": "any:2", "any:02": "any:2", "any": "no", "any:": "no", "any:0": "no", "any:-1": "no", "any:1-2": "no", "any:9000": "no", "count:2": "no", "2,any:1": "no"}},
		"io": {reading(IOLimit), map[string]string{
			"10M": "10485760", "10M/s": "10485760", "100iops": "100iops", "all:1M": "1048576", "/dev/sda:1M": "/dev/sda:1048576",
			"/dev/disk/by-path/pci-0000:00:1f.2:50iops": "/dev/disk/by-path/pci-0000:00:1f.2:50iops", "unlimited": "",
			"": "no", ":1M": "no", "sda:1M": "no", "0": "no", "1K": "no", "1iops": "no", "-5iops": "no", "99999999999iops": "no", "/dev/sda:": "no", "10": "no",
			"/dev/../etc:1M": "no", "iops": "no", "1.5iops": "no",
		}},
		"id size":  {reading(IDSize), map[string]string{"65536": "65536", "131072": "131072", "0": "no", "65537": "no", "-65536": "no", "4294967296": "no"}},
		"duration": {reading(Duration), map[string]string{"90s": "1m30s", "0": "0s", "1h2m": "1h2m0s", "-1s": "no", "90": "1m30s", "0.5": "500ms", "10": "10s", "1m30s": "1m30s", "": "no", ".": "no", "-3": "no", "99999999999": "no", "soon": "no"}},
		"timeout":  {reading(Timeout), map[string]string{"90s": "1m30s", "0s": "no", "-1s": "no", "x": "no"}},
		"address": {reading(Address), map[string]string{
			"10.0.0.1": "10.0.0.1", "FD00::0:1": "fd00::1", "192.0.2.1": "192.0.2.1",
			"0.0.0.0": "no", "127.0.0.1": "no", "224.0.0.1": "no", "255.255.255.255": "no", "169.254.1.1": "no", "::": "no", "::1": "no",
			"ff02::1": "no", "fe80::1": "no", "fe80::1%eth0": "no", "::ffff:1.2.3.4": "no", "10.0.0.1/8": "no", "1.2.3": "no",
			"1.2.3.4,5.6.7.8": "no", "01.2.3.4": "no", "host": "no",
		}},
		"mount": {reading(Mount), map[string]string{
			"/srv/www/:/var/www/": "/srv/www:/var/www", "data:/srv:ro": "data:/srv:ro", "tmpfs:/cache:size=64M,mode=1777": "tmpfs:/cache:size=64M,mode=1777",
			"/a:/b:rw,nosuid,nodev": "/a:/b", "/a:/b:noexec,host-ids,ro": "/a:/b:ro,noexec,host-ids", "tmpfs:/cache:size=1.5K": "tmpfs:/cache:size=1536",
			"": "no", "/srv": "no", "/srv:": "no", ":/srv": "no", "/a:/b:": "no", "/a:/b:ro:rw": "no", "/a:/b:suid": "no", "/a:/b:ro=1": "no", "/a:/b:size=5M": "no",
			"srv/www:/www": "no", "data:srv": "no", "Data:/srv": "no", "tmpfs:/cache:size=0": "no", "tmpfs:/cache:size=": "no", "tmpfs:/cache:size": "no",
			"tmpfs:/cache:mode=9": "no", "/a:/proc/x": "no", "data:/srv:host-ids": "no",
		}},
		"mount target": {reading(MountTarget), map[string]string{"/srv/": "/srv", "srv": "no"}},
		"volume":       {reading(Volume), map[string]string{"data": "data", "a/b": "no", "A": "no"}},
		"resolver":     {reading(Resolver), map[string]string{"192.0.2.1": "192.0.2.1", "127.0.0.53": "127.0.0.53", "::": "no", "a.b": "no"}},
		"name": {reading(vps.ParseName), map[string]string{
			"a": "a", "web-1": "web-1", strings.Repeat("a", 63): strings.Repeat("a", 63),
			"-a": "no", "a-": "no", "A": "no", "a.b": "no", "a b": "no", "ä": "no", strings.Repeat("a", 64): "no",
		}},
		"template": {reading(Template), map[string]string{
			"debian-12": "debian-12", "my_web.2@sha256:00": "my_web.2@sha256:00", "@x": "no", "../x": "no", "a b": "no", "-x": "no", "a/b": "no",
		}},
		"hostname": {reading(Hostname), map[string]string{
			"web": "web", "Web.Example.org": "Web.Example.org", "a b": "no", "-a": "no", "a-.b": "no", "a..b": "no", "a.": "no", "a_b": "no",
			strings.Repeat("a", 64): "no", strings.Repeat("a.", 33) + "a": "no",
		}},
		"domain": {reading(Domain), map[string]string{"example.org": "example.org", "example.org.": "example.org.", ".": ".", "..": "no", "a b": "no"}},
		"sysctl": {reading(Sysctl), map[string]string{
			"net.ipv4.ip_forward=1": "{net.ipv4.ip_forward 1}", "net/ipv4/x=1 2": "{net.ipv4.x 1 2}",
			"net.x": "no", "=1": "no", "net.x=": "no", "a b=1": "no", "a=1\n2": "no",
		}},
		"label":     {reading(Label), map[string]string{"a=b=c": "{a b=c}", "a=": "{a }", "a": "no", "=b": "no", "a=\x1b[1m": "no"}},
		"env":       {reading(Env), map[string]string{"A=b": "A=b", "A=": "A=", "_a1= x,y\n": "_a1= x,y\n", "A": "no", "=x": "no", "1A=x": "no", "A B=x": "no", "A=\x00": "no"}},
		"allow":     {reading(Allow), map[string]string{"vsock": "vsock", "io_uring": "io_uring", "capabilities": "capabilities", "": "no", "bpf": "no"}},
		"user":      {reading(User), map[string]string{"me": "me", "0:0": "0:0", "me:you": "me:you", "host$": "host$", ":me": "no", "me:": "no", "a b": "no", "a:b:c": "no", "-x": "no"}},
		"path":      {reading(Absolute), map[string]string{"/": "/", "/a b": "/a b", "a": "no", "./a": "no", "/a\x00": "no"}},
		"directory": {reading(Directory), map[string]string{"/a": "/a", "/": "no", "//": "no", "/a/..": "no", "a": "no"}},
		"condition": {reading(Condition), map[string]string{"stopped": "stopped", "network": "network", "doomsday": "no"}},
		"signal": {reading(func(s string) (string, error) {
			sig, err := signame.Parse(s)
			return fmt.Sprint(int(sig)), err
		}), map[string]string{
			"TERM": "15", "sigterm": "15", "SIGHUP": "1", "9": "9", "64": "64", "RTMIN": "34", "SIGRTMIN+4": "38", "rtmax-1": "63", "RTMAX": "64",
			"0": "no", "65": "no", "-1": "no", "SIG": "no", "RTMIN-1": "no", "RTMIN+31": "no", "RTMAX+1": "no", "RTMIN4": "no", "FOO": "no", "SIGSIGHUP": "no",
		}},
		"onboot":     {reading(OnBoot), map[string]string{"yes": "yes", "no": "no", "last": "last", "Yes": "no", "maybe": "no"}},
		"yes or no":  {reading(YesNo), map[string]string{"yes": "true", "no": "false", "Yes": "no", "true": "no", "1": "no"}},
		"boot order": {reading(BootOrder), map[string]string{"0": "0", "12": "12", "-1": "no", "1.5": "no", "2147483648": "no", "x": "no"}},
		"boot":       {reading(Boot), map[string]string{"1": "1", "0": "0", "-2": "-2", "x": "no", "1.5": "no"}},
		"lines":      {reading(Lines), map[string]string{"0": "0", "7": "7", "all": "-1", "-1": "no", "x": "no"}},
		"mirror":     {reading(Mirror), map[string]string{"http://a.invalid/debian": "http://a.invalid/debian", "file:/srv/x": "file:/srv/x", "a": "no", "http://a b": "no", "http:": "no"}},
	} {
		for s, want := range c.want {
			got := c.read(s)
			if want == "no" && strings.HasPrefix(got, "no: ") && !strings.Contains(got, "\n") {
				continue
			}
			if got != want {
				t.Errorf("%s %q: %s, want %s", name, s, got, want)
			}
		}
	}
}

// No value makes a parser panic, or return an error of several lines.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"512M", "1.5", "10.0.0.1", "a=b", "RTMIN+1", "90s", "me:you", "/", "@", "$", "-", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return // refused before
		}
		if n, err := sizes.Parse(s); err == nil && n < 0 {
			t.Fatalf("size %q is %d", s, n)
		}
		if n, err := CPUs(s); err == nil && n < 0 {
			t.Fatalf("CPUs %q is %d", s, n)
		}
		if d, err := Timeout(s); err == nil && d <= 0 {
			t.Fatalf("timeout %q is %s", s, d)
		}
		if sig, err := signame.Parse(s); err == nil && (sig < 1 || sig > signame.RTMax) {
			t.Fatalf("signal %q is %d", s, sig)
		}
		for _, read := range []func(string) string{
			reading(Memory), reading(Swap), reading(PIDs), reading(IDSize), reading(Address),
			reading(Resolver), reading(vps.ParseName), reading(Template), reading(Hostname), reading(Domain),
			reading(Sysctl), reading(Label), reading(Env), reading(User), reading(Directory),
			reading(Wait), reading(Condition), reading(Boot), reading(Lines), reading(Word),
			reading(OnBoot), reading(BootOrder),
			reading(Mirror),
		} {
			if got := read(s); strings.HasPrefix(got, "no: ") && strings.Contains(got, "\n") {
				t.Fatalf("%q: %s", s, got)
			}
		}
	})
}
