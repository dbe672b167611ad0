package recipe

import (
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
)

func TestParseSnapshot(t *testing.T) {
	for text, want := range map[string]string{"2026-01-02": "20260102T000000Z", "20260102": "20260102T000000Z", "20260102T083000Z": "20260102T083000Z"} {
		if got, err := ParseSnapshot(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-1-2", "20261301T000000Z", "20260102T083000", "20260102T083000Z/../x"} {
		if got, err := ParseSnapshot(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// frozenPlan returns the job of the recipe name with the packages of a date.
func frozenPlan(t *testing.T, c Cookbook, name, tool, mirror string) string {
	t.Helper()
	r, err := c.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	distribution := r.Distribution
	if r.From != "" {
		distribution = "debian"
	} else {
		r.Architecture = "amd64"
	}
	r, mirror, err = r.Frozen("2026-01-02", mirror, distribution)
	if err != nil {
		t.Fatal(err)
	}
	if r.From != "" {
		return layerPlan(t, r, nil)
	}
	j, err := Plan(r, tool, mirror)
	if err != nil {
		t.Fatal(err)
	}
	return j.String()
}

func TestPlansOfASnapshot(t *testing.T) {
	c := embeddedRecipes(t)
	for _, tool := range []string{mmdebstrap, debootstrap} {
		golden(t, "plan-snapshot-"+tool+".txt", frozenPlan(t, c, "debian-13", tool, ""))
	}
	golden(t, "plan-snapshot-apt-get.txt", frozenPlan(t, c, "debian-13-nginx", AptGet, ""))
	for _, tool := range []string{mmdebstrap, debootstrap, AptGet} {
		name := "debian-13"
		if tool == AptGet {
			name = "debian-13-nginx"
		}
		text := frozenPlan(t, c, name, tool, "http://127.0.0.1:8/{{snapshot}}/debian")
		if !strings.Contains(text, "http://127.0.0.1:8/20260102T000000Z/debian") || strings.Contains(text, "snapshot.debian.org") || strings.Contains(text, snapshotMark) {
			t.Errorf("%s does not use the mirror alone:\n%s", tool, text)
		}
	}
	if text := frozenPlan(t, c, "debian-sid", mmdebstrap, ""); strings.Contains(text, "sid-updates") {
		t.Errorf("sid has no updates:\n%s", text)
	}
	for _, tool := range []string{mmdebstrap, debootstrap} {
		text := frozenPlan(t, c, "ubuntu-24.04", tool, "")
		for _, want := range []string{"deb http://snapshot.ubuntu.com/ubuntu/20260102T000000Z/ noble-security ", "deb http://archive.ubuntu.com/ubuntu noble-security "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s of Ubuntu has no %q:\n%s", tool, want, text)
			}
		}
	}
	// Another distribution can have a mirror of its own.
	if text := frozenPlan(t, c, "alpine-3.22", "apk", "https://mirror.example.org/{{snapshot}}"); !strings.Contains(text, "https://mirror.example.org/20260102T000000Z") {
		t.Errorf("Alpine:\n%s", text)
	}
}

// The date of a recipe counts for recipes that extend it, and a mirror of the recipe has the mark.
func TestSnapshotOfARecipe(t *testing.T) {
	c := Cookbook{t.TempDir()}
	writeRecipe(t, c, "old", "extends: debian-13\nsnapshot: 2026-01-02\nvariables: {a: b}\nmirror: 'http://{{a}}.example.org/{{snapshot}}/debian'\nproxy: 'http://{{a}}'\n")
	writeRecipe(t, c, "older", "extends: old\nsnapshot: 2025-01-02\n")
	for name, want := range map[string]string{"old": "http://b.example.org/20260102T000000Z/debian", "older": "http://b.example.org/20250102T000000Z/debian"} {
		r, err := c.Read(name)
		if err == nil {
			r, err = r.With(nil)
		}
		if err == nil {
			r, _, err = r.Frozen("", "", r.Distribution)
		}
		if err != nil || r.Mirror != want || r.frozen.base() != want {
			t.Errorf("%s: %q, %v", name, r.Mirror, err)
		}
	}
	writeRecipe(t, c, "bad", "extends: debian-13\nsnapshot: yesterday\n")
	if _, err := c.Read("bad"); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), `line 2: invalid date of a snapshot "yesterday"`) {
		t.Errorf("it says %v", err)
	}
}

func TestSnapshotsThatAreRefused(t *testing.T) {
	c := embeddedRecipes(t)
	for _, x := range []struct{ name, recipe, snapshot, mirror, want string }{
		{"a distribution without an archive", "fedora-43", "2026-01-02", "", "no archive of snapshots of fedora"},
		{"a mirror without the mark", "debian-13", "2026-01-02", "http://example.org/debian", "has no {{snapshot}}"},
		{"a mark without a date", "debian-13", "", "http://example.org/{{snapshot}}", "needs the date of a snapshot"},
		{"no date", "debian-13", "x", "", "invalid date"},
	} {
		r, err := c.Read(x.recipe)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Frozen(x.snapshot, x.mirror, r.Distribution); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	r := Recipe{Name: "a", From: "b"}
	if _, _, err := r.Frozen("2026-01-02", "", ""); !fail.Is(err, fail.Usage) {
		t.Errorf("an unknown template: %v", err)
	}
}

func TestSourceDate(t *testing.T) {
	r := Recipe{Released: "2023-06-10"}
	for _, bad := range []string{"x", "-1", "1.5", " 1", "+1", "01"} {
		if _, err := r.SourceDate(bad); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	same, err := r.SourceDate("")
	if at, _ := same.Epoch(); err != nil || at.Format(time.DateOnly) != r.Released || !same.Clamped(at.AddDate(9, 0, 0)).Equal(at.AddDate(9, 0, 0)) {
		t.Errorf("without one: %v, %v", at, err)
	}
	said, err := r.SourceDate("86400")
	if at, _ := said.Epoch(); err != nil || at.Unix() != 86400 || said.Clamped(at.AddDate(9, 0, 0)).Unix() != 86400 || said.Clamped(time.Unix(7, 0)).Unix() != 7 {
		t.Errorf("%v, %v", at, err)
	}
}
