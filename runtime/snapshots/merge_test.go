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
		if m, ok := Mergeable(all, v); ok {
			got = m.Lower + " into " + m.Upper
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	// Files with other ids stay a layer of their own.
	one := stack(t, "web: a")
	if m, ok := Mergeable([]state.Stack{one}, vps.VPS{Name: "web", Frozen: one.Frozen, IDs: vps.IDRange{First: 7, Size: 2}}); ok {
		t.Errorf("with other ids: %+v", m)
	}
	if got := Without(stack(t, "web: c b a").Frozen, "b"); len(got) != 2 || got[0].ID != "c" || got[1].ID != "a" {
		t.Errorf("without b: %+v", got)
	}
}
