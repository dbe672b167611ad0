package cli

import (
	"fmt"
	"strings"
	"testing"

	"croft/internal/signame"
	"croft/internal/sizes"
	"croft/internal/vps"
)

// reading reads s by parse and says the value, or "no: WHY".
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
		"memory": {reading(parseMemory), map[string]string{
			"unlimited": "-1", "4M": "4194304", "1M": "no", "0": "no", "1K": "no", "Unlimited": "no",
		}},
		"swap": {reading(parseSwap), map[string]string{"unlimited": "0", "0": "-1", "0M": "-1", "1M": "1048576", "-1": "no"}},
		"cpus": {reading(parseCPUs), map[string]string{
			"1": "1000", "1.5": "1500", "0.25": "250", "0.01": "10", "0.010": "10", "64": "64000", "unlimited": "0",
			"0": "no", "0.0": "no", "0.001": "no", "1.2345": "no", "-1": "no", "two": "no", "NaN": "no", "1,5": "no", "1.": "no",
			".5": "no", "1e3": "no", "1.+5": "no", "99999999": "no", "": "no",
		}},
		"pids":     {reading(parsePIDs), map[string]string{"1": "1", "512": "512", "unlimited": "-1", "0": "no", "-5": "no", "1.5": "no"}},
		"id size":  {reading(parseIDSize), map[string]string{"65536": "65536", "131072": "131072", "0": "no", "65537": "no", "-65536": "no", "4294967296": "no"}},
		"duration": {reading(parseDuration), map[string]string{"90s": "1m30s", "0": "0s", "1h2m": "1h2m0s", "-1s": "no", "90": "1m30s", "0.5": "500ms", "10": "10s", "1m30s": "1m30s", "": "no", ".": "no", "-3": "no", "99999999999": "no", "soon": "no"}},
		"timeout":  {reading(parseTimeout), map[string]string{"90s": "1m30s", "0s": "no", "-1s": "no", "x": "no"}},
		"address": {reading(parseAddress), map[string]string{
			"10.0.0.1": "10.0.0.1", "FD00::0:1": "fd00::1", "192.0.2.1": "192.0.2.1",
			"0.0.0.0": "no", "127.0.0.1": "no", "224.0.0.1": "no", "255.255.255.255": "no", "169.254.1.1": "no", "::": "no", "::1": "no",
			"ff02::1": "no", "fe80::1": "no", "fe80::1%eth0": "no", "::ffff:1.2.3.4": "no", "10.0.0.1/8": "no", "1.2.3": "no",
			"1.2.3.4,5.6.7.8": "no", "01.2.3.4": "no", "host": "no",
		}},
		"resolver": {reading(parseResolver), map[string]string{"192.0.2.1": "192.0.2.1", "127.0.0.53": "127.0.0.53", "::": "no", "a.b": "no"}},
		"name": {reading(vps.ParseName), map[string]string{
			"a": "a", "web-1": "web-1", strings.Repeat("a", 63): strings.Repeat("a", 63),
			"-a": "no", "a-": "no", "A": "no", "a.b": "no", "a b": "no", "ä": "no", strings.Repeat("a", 64): "no",
		}},
		"template": {reading(parseTemplate), map[string]string{
			"debian-12": "debian-12", "my_web.2@sha256:00": "my_web.2@sha256:00", "@x": "no", "../x": "no", "a b": "no", "-x": "no", "a/b": "no",
		}},
		"hostname": {reading(parseHostname), map[string]string{
			"web": "web", "Web.Example.org": "Web.Example.org", "a b": "no", "-a": "no", "a-.b": "no", "a..b": "no", "a.": "no", "a_b": "no",
			strings.Repeat("a", 64): "no", strings.Repeat("a.", 33) + "a": "no",
		}},
		"domain": {reading(parseDomain), map[string]string{"example.org": "example.org", "example.org.": "example.org.", ".": ".", "..": "no", "a b": "no"}},
		"sysctl": {reading(parseSysctl), map[string]string{
			"net.ipv4.ip_forward=1": "{net.ipv4.ip_forward 1}", "net/ipv4/x=1 2": "{net.ipv4.x 1 2}",
			"net.x": "no", "=1": "no", "net.x=": "no", "a b=1": "no", "a=1\n2": "no",
		}},
		"label":     {reading(parseLabel), map[string]string{"a=b=c": "{a b=c}", "a=": "{a }", "a": "no", "=b": "no", "a=\x1b[1m": "no"}},
		"env":       {reading(parseEnv), map[string]string{"A=b": "A=b", "A=": "A=", "_a1= x,y\n": "_a1= x,y\n", "A": "no", "=x": "no", "1A=x": "no", "A B=x": "no", "A=\x00": "no"}},
		"allow":     {reading(parseAllow), map[string]string{"vsock": "vsock", "io_uring": "io_uring", "capabilities": "capabilities", "": "no", "bpf": "no"}},
		"user":      {reading(parseUser), map[string]string{"me": "me", "0:0": "0:0", "me:you": "me:you", "host$": "host$", ":me": "no", "me:": "no", "a b": "no", "a:b:c": "no", "-x": "no"}},
		"path":      {reading(parseAbsolute), map[string]string{"/": "/", "/a b": "/a b", "a": "no", "./a": "no", "/a\x00": "no"}},
		"directory": {reading(parseDirectory), map[string]string{"/a": "/a", "/": "no", "//": "no", "/a/..": "no", "a": "no"}},
		"condition": {reading(parseCondition), map[string]string{"stopped": "stopped", "network": "network", "doomsday": "no"}},
		"signal": {reading(func(s string) (string, error) {
			sig, err := signame.Parse(s)
			return fmt.Sprint(int(sig)), err
		}), map[string]string{
			"TERM": "15", "sigterm": "15", "SIGHUP": "1", "9": "9", "64": "64", "RTMIN": "34", "SIGRTMIN+4": "38", "rtmax-1": "63", "RTMAX": "64",
			"0": "no", "65": "no", "-1": "no", "SIG": "no", "RTMIN-1": "no", "RTMIN+31": "no", "RTMAX+1": "no", "RTMIN4": "no", "FOO": "no", "SIGSIGHUP": "no",
		}},
		"onboot":     {reading(parseOnBoot), map[string]string{"yes": "yes", "no": "no", "last": "last", "Yes": "no", "maybe": "no"}},
		"boot order": {reading(parseBootOrder), map[string]string{"0": "0", "12": "12", "-1": "no", "1.5": "no", "2147483648": "no", "x": "no"}},
		"boot":       {reading(parseBoot), map[string]string{"1": "1", "0": "0", "-2": "-2", "x": "no", "1.5": "no"}},
		"lines":      {reading(parseLines), map[string]string{"0": "0", "7": "7", "all": "-1", "-1": "no", "x": "no"}},
		"mirror":     {reading(parseMirror), map[string]string{"http://a.invalid/debian": "http://a.invalid/debian", "file:/srv/x": "file:/srv/x", "a": "no", "http://a b": "no", "http:": "no"}},
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

// No value of an option makes a parser panic, or say more than one line.
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
		if n, err := parseCPUs(s); err == nil && n < 0 {
			t.Fatalf("CPUs %q is %d", s, n)
		}
		if d, err := parseTimeout(s); err == nil && d <= 0 {
			t.Fatalf("timeout %q is %s", s, d)
		}
		if sig, err := signame.Parse(s); err == nil && (sig < 1 || sig > signame.RTMax) {
			t.Fatalf("signal %q is %d", s, sig)
		}
		for _, read := range []func(string) string{
			reading(parseMemory), reading(parseSwap), reading(parsePIDs), reading(parseIDSize), reading(parseAddress),
			reading(parseResolver), reading(vps.ParseName), reading(parseTemplate), reading(parseHostname), reading(parseDomain),
			reading(parseSysctl), reading(parseLabel), reading(parseEnv), reading(parseUser), reading(parseDirectory),
			reading(parseWait), reading(parseCondition), reading(parseBoot), reading(parseLines), reading(parseWord),
			reading(parseOnBoot), reading(parseBootOrder),
			reading(parseMirror), reading(parseColumns), reading(func(s string) (string, error) { _, err := parseFilter(s); return "", err }),
		} {
			if got := read(s); strings.HasPrefix(got, "no: ") && strings.Contains(got, "\n") {
				t.Fatalf("%q: %s", s, got)
			}
		}
	})
}
