package guest

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

func vpsHosts() []Host {
	return []Host{
		{"db", []netip.Addr{addr("10.90.0.3"), addr("fd00:1::3")}},
		{"localhost", []netip.Addr{addr("10.90.0.4")}},
		{"web", []netip.Addr{addr("10.90.0.2")}},
	}
}

func TestWithHosts(t *testing.T) {
	const lines = "10.90.0.3\tdb db.croft\t# a VPS, kept by croft\n" +
		"fd00:1::3\tdb db.croft\t# a VPS, kept by croft\n" +
		"10.90.0.4\tlocalhost.croft\t# a VPS, kept by croft\n" +
		"10.90.0.2\tweb web.croft\t# a VPS, kept by croft\n"
	const old = "10.90.0.9\told old.croft\t# a VPS, kept by croft\n"
	for name, test := range map[string]struct {
		now  string
		all  []Host
		want string
	}{
		"the first ones":     {"127.0.0.1\tlocalhost\n", vpsHosts(), "127.0.0.1\tlocalhost\n" + lines},
		"no end of line":     {"127.0.0.1\tlocalhost", vpsHosts(), "127.0.0.1\tlocalhost\n" + lines},
		"nothing":            {"", vpsHosts(), lines},
		"the same again":     {"a\n" + lines + "b\n", vpsHosts(), "a\n" + lines + "b\n"},
		"others":             {"a\n" + old + "b\n" + old + "c\n", vpsHosts(), "a\n" + lines + "b\nc\n"},
		"none any more":      {"a\n" + lines + "b", nil, "a\nb"},
		"none, and none yet": {"a", nil, "a"},
	} {
		if got := withHosts(test.now, test.all); got != test.want {
			t.Errorf("%s:\n%swant\n%s", name, got, test.want)
		}
	}
}

// What is written at a start, Hosts finds right; it changes nothing but lines
// about VPSs, and makes no file.
func TestHosts(t *testing.T) {
	root := fstest.MapFS{"etc/hosts": file("127.0.0.1\tlocalhost\n192.0.2.1\tmine\n")}
	s := settings()
	s.Hosts = vpsHosts()
	first, err := Files(root, s)
	if err != nil {
		t.Fatal(err)
	}
	apply(root, first)
	if again, err := Hosts(root, vpsHosts()); err != nil || len(again.Files) != 0 {
		t.Errorf("%s, %v", again, err)
	}
	fewer, err := Hosts(root, vpsHosts()[2:])
	if err != nil || len(fewer.Files) != 1 {
		t.Fatalf("%s, %v", fewer, err)
	}
	text := string(fewer.Files[0].Content)
	for _, want := range []string{"localhost\n", "192.0.2.1\tmine\n", "web.example.org", "web.croft"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "db.croft") {
		t.Errorf("db is still in\n%s", text)
	}
	for name, root := range map[string]fstest.MapFS{
		"no file": {}, "a link": {"etc/hosts": link("/run/hosts")}, "a huge file": {"etc/hosts": file(strings.Repeat("#\n", maxFile))},
	} {
		if got, err := Hosts(root, vpsHosts()); err != nil || len(got.Files) != 0 {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
