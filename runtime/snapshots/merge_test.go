package snapshots

import (
	"strings"
	"testing"

	"croft/internal/state"
	"croft/internal/vps"
)

// stack reads "web@snapshot: top middle bottom".
func stack(t *testing.T, text string) state.Stack {
	t.Helper()
	head, layers, ok := strings.Cut(text, ":")
	if !ok {
		t.Fatal(text)
	}
	name, snapshot, _ := strings.Cut(head, "@")
	s := state.Stack{Snapshot: snapshot}
	name, s.Trashed, _ = strings.Cut(name, "#")
	name, s.Draft = strings.CutPrefix(name, ".")
	s.VPS = vps.Name(name)
	for _, id := range strings.Fields(layers) {
		s.Frozen = append(s.Frozen, vps.Frozen{ID: id, IDs: vps.IDRange{First: 1, Size: 2}})
	}
	return s
}

func TestMergeable(t *testing.T) {
	for text, want := range map[string]string{
		"web: a":                         "a into ",
		"web: b a":                       "b into ",
		"web:":                           "none",
		"web: a; web@s: a":               "none",
		"web: b a; web@s: a":             "b into ",
		"web: b a; web@s: b a":           "a into b", // its older snapshot is deleted
		"web: c b a; web@s: c b a":       "b into c",
		"web: b a; web@s: b a; web@t: a": "none",
		"web: b a; db: b a":              "none", // a clone: the other VPS may run
		"web: a; db: a":                  "none",
		"web: a; web#7: a":               "none", // in the trash
		"web: a; .db: a":                 "none", // a clone that is being created
		"web: b; web@s: x a":             "b into ",
		"web: b a; web@live: x a":        "b into ", // of the running VPS
		"web: a; web@live: x a":          "none",
	} {
		var all []state.Stack
		for part := range strings.SplitSeq(text, ";") {
			all = append(all, stack(t, strings.TrimSpace(part)))
		}
		got := "none"
		v := vps.VPS{Name: "web", Frozen: all[0].Frozen, IDs: vps.IDRange{First: 1, Size: 2}}
		if m, ok := Choose(Mergeable(all, v), len(v.Frozen), notPushed); ok {
			got = m.Lower + " into " + m.Upper
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	// Files with other ids stay a layer of their own.
	one := stack(t, "web: a")
	if all := Mergeable([]state.Stack{one}, vps.VPS{Name: "web", Frozen: one.Frozen, IDs: vps.IDRange{First: 7, Size: 2}}); len(all) > 0 {
		t.Errorf("with other ids: %+v", all)
	}
	if got := Without(stack(t, "web: c b a").Frozen, "b"); len(got) != 2 || got[0].ID != "c" || got[1].ID != "a" {
		t.Errorf("without b: %+v", got)
	}
}

func notPushed(string) int64 { return 0 }

// Layers that were pushed are merged late: a layer that is as large as the one below, and
// the smallest ones if there are many.
func TestChoose(t *testing.T) {
	const mib = 1 << 20
	pushed := func(sizes map[string]int64) func(string) int64 {
		return func(id string) int64 { return sizes[id] * mib }
	}
	own, cb, ba := Merge{Lower: "c"}, Merge{Upper: "c", Lower: "b"}, Merge{Upper: "b", Lower: "a"}
	for _, c := range []struct {
		name   string
		layers int
		sizes  map[string]int64
		want   Merge
	}{
		{"none was pushed", 3, nil, own},
		{"all were", 3, map[string]int64{"c": 1, "b": 2, "a": 900}, Merge{}},
		{"the newest was not", 3, map[string]int64{"b": 2, "a": 900}, own},
		{"one as large as the one below", 3, map[string]int64{"c": 1, "b": 500, "a": 900}, ba},
		{"both are small", 3, map[string]int64{"c": 15, "b": 15, "a": 900}, Merge{}},
		{"there are many", 17, map[string]int64{"c": 9, "b": 2, "a": 3}, ba},
		{"there are many, and the own files are cheap", 17, map[string]int64{"c": 1, "b": 2, "a": 3}, own},
		{"the newest two are similar", 3, map[string]int64{"c": 30, "b": 40, "a": 900}, cb},
	} {
		got, found := Choose([]Merge{own, cb, ba}, c.layers, pushed(c.sizes))
		if got != c.want || found != (c.want != Merge{}) {
			t.Errorf("%s: %+v, %t, want %+v", c.name, got, found, c.want)
		}
	}
}
