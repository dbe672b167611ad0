package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range (&bench{}).rows() {
		switch {
		case seen[r.name] || !regexp.MustCompile(`^[a-z0-9-]{1,16}$`).MatchString(r.name):
			t.Errorf("%q is not a name for a row, or two have it", r.name)
		case (len(r.sides) == 0) != (len(r.peers) > 0 && r.together != nil):
			t.Errorf("%s has no sides, or peers too", r.name)
		}
		seen[r.name] = true
		peers := map[string]bool{}
		for _, s := range r.sides {
			if len(s.peer) > 27 || peers[s.peer] {
				t.Errorf("%s: %q is too long for the table, or two sides have it", r.name, s.peer)
			}
			peers[s.peer] = true
		}
	}
}

func TestCached(t *testing.T) {
	const v1 = "active_file 1\ntotal_inactive_file 100\ntotal_active_file 20\ntotal_rss 4000\n"
	const v2 = "anon 4000\ninactive_file 100\nactive_file 20\nworkingset_refault_file 5\n"
	if a, b := cached(v1, "total_"), cached(v2, ""); a != 120 || b != 120 {
		t.Errorf("%v, %v", a, b)
	}
}

func TestMean(t *testing.T) {
	if got, want := mean([]sample{{Wall: 2, CPU: 4}, {Wall: 4, CPU: 8}}), (sample{Wall: 3, CPU: 6}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestTemplates(t *testing.T) {
	for name, want := range map[string]string{"exec": busybox, "debian": busybox + " " + debian, "work-redis": busybox + " " + debian + " " + worker} {
		rows, err := chosen((&bench{}).rows(), "^"+name+"$")
		if got := strings.Join(templates(rows), " "); got != want || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestChosen(t *testing.T) {
	all := (&bench{}).rows()
	if got, err := chosen(all, "^start"); err != nil || len(got) != 2 || got[1].name != "start-nonet" {
		t.Errorf("%d rows, %v", len(got), err)
	}
	for _, bad := range []string{"(", "no such row"} {
		if _, err := chosen(all, bad); err == nil {
			t.Errorf("%q chooses rows", bad)
		}
	}
}

func TestWithUserNamespace(t *testing.T) {
	const proposed = `{"ociVersion":"1.2.0","process":{"terminal":true,"args":["sh"],"cwd":"/"},"root":{"path":"rootfs","readonly":true},
		"linux":{"namespaces":[{"type":"pid"},{"type":"user"},{"type":"mount"}]}}`
	text, err := withUserNamespace([]byte(proposed), "/files", "one", []string{"true"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Process struct {
			Terminal bool
			Args     []string
			Cwd      string
		}
		Root  struct{ Path string }
		Linux struct {
			Namespaces  []struct{ Type string }
			UIDMappings []struct{ HostID int }
			CgroupsPath string
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if p := got.Process; p.Terminal || len(p.Args) != 1 || p.Args[0] != "true" || p.Cwd != "/" {
		t.Errorf("%+v", p)
	}
	if l := got.Linux; len(l.Namespaces) != 3 || l.Namespaces[0].Type != "user" || len(l.UIDMappings) != 1 ||
		l.UIDMappings[0].HostID != idBase || l.CgroupsPath != "/one" || got.Root.Path != "/files" {
		t.Errorf("%s", text)
	}
	if _, err := withUserNamespace([]byte(`{}`), "", "", nil); err == nil {
		t.Error("an empty one is accepted")
	}
}
