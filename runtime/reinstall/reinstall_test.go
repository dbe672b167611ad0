package reinstall

import (
	"slices"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestPaths(t *testing.T) {
	got, err := Paths([]string{"/srv/", "/home", "/etc/ssh", "/home/web", "/homes", "/srv", "/home//"})
	if want := []string{"/etc/ssh", "/home", "/homes", "/srv"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "home", "/", "//", "/home/../etc", "/.", "/.."} {
		if got, err := Paths([]string{"/srv", bad}); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestSettings(t *testing.T) {
	v := vps.VPS{Name: "web", Hostname: "shop", Storage: vps.StoragePlain, Tree: vps.FirstTree, Frozen: []vps.Frozen{{ID: "a"}}, Fit: vps.Fit("").Cloned(true)}
	got := Settings(v, vps.Template{Name: "debian-13"})
	if got.Template.Name != "debian-13" || got.Frozen != nil || got.Tree != v.OtherTree() || !got.Reinstalled || got.Fit != "" || got.Hostname != "shop" {
		t.Errorf("%+v", got)
	}
	for _, f := range []vps.Fit{"", vps.FitNone, "ping"} { // the user has set them
		if got := Settings(vps.VPS{Fit: f}, vps.Template{}); got.Fit != f || got.Tree != "" {
			t.Errorf("%s: %+v", f, got)
		}
	}
	name := SnapshotName(time.Date(2026, 1, 31, 23, 59, 58, 0, time.FixedZone("", 3600)))
	if name != "before-reinstall-20260131-225958" || vps.CheckSnapshot(name) != nil {
		t.Error(name)
	}
}
