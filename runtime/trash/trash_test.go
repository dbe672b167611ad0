package trash

import (
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

func kept(name vps.Name, id string) state.Trashed {
	return state.Trashed{Name: name, ID: id, Expires: time.Unix(1, 0)}
}

func TestFind(t *testing.T) {
	all := []state.Trashed{kept("db", "aa11"), kept("web", "ab12"), kept("web", "ab34"), kept("web", "cd56")}
	for _, c := range []struct {
		text   string
		id     string
		others int
		kind   fail.Kind
	}{
		{"web", "ab12", 2, 0},
		{"web@cd", "cd56", 0, 0},
		{"web@ab34", "ab34", 0, 0},
		{"web@ab", "", 0, fail.Usage},
		{"web@aa", "", 0, fail.NotFound},
		{"mail", "", 0, fail.NotFound},
		{"db", "aa11", 0, 0},
	} {
		choice, err := ParseChoice(c.text)
		if err != nil || choice.String() != c.text {
			t.Fatalf("%s: %v, %v", c.text, choice, err)
		}
		found, others, err := choice.Find(all)
		if c.kind == 0 && err != nil || c.kind != 0 && !fail.Is(err, c.kind) || found.ID != c.id || others != c.others {
			t.Errorf("%s: %q, %d others, %v", c.text, found.ID, others, err)
		}
	}
	for _, text := range []string{"", "Web", "web@", "web@xyz", "@ab", "web@ab/.."} {
		if _, err := ParseChoice(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestRestored(t *testing.T) {
	v := Restored(vps.VPS{Name: "web", Hostname: "web", RenamedFrom: "old"}, "www")
	if v.Name != "www" || v.Hostname != "www" || v.RenamedFrom != "" {
		t.Errorf("%+v", v)
	}
	if v := Restored(vps.VPS{Name: "web", Hostname: "web.example"}, "www"); v.Hostname != "web.example" {
		t.Errorf("%+v", v)
	}
}

func TestPorts(t *testing.T) {
	port := func(p string) vps.Publication { return vps.Publication{Protocol: "tcp", Ports: p, To: "80"} }
	mine := []vps.Publication{port("80"), port("81"), port("82")}
	free, lost, err := Ports(mine, []vps.VPS{{Name: "db", Published: []vps.Publication{port("81")}}})
	if len(free) != 2 || len(lost) != 1 || lost[0].Ports != "81" || !fail.Is(err, fail.Taken) {
		t.Errorf("%v, %v, %v", free, lost, err)
	}
	if free, lost, err := Ports(mine, nil); len(free) != 3 || len(lost) > 0 || err != nil {
		t.Errorf("%v, %v, %v", free, lost, err)
	}
}
