package runtime

import (
	"errors"
	"slices"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/fit"
	"croft/template"
)

// The first start fits the files, and no later one. Until then the steps can be set.
func TestFitAtTheFirstStart(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	if err := errors.Join(createWeb(f), f.m.Change(background, "web", vps.SetFit{Fit: "fstab"})); err != nil {
		t.Fatal(err)
	}
	if i, err := f.m.Inspect(background, "web"); err != nil || i.Fit != "fstab" || len(i.Fitted) != 0 {
		t.Errorf("before: %s, %v, %v", i.Fit, i.Fitted, err)
	}
	for range 2 {
		if err := startWeb(f); err != nil {
			t.Fatal(err)
		}
		if err := f.m.Stop(background, "web", StopOptions{Fast: true}); err != nil {
			t.Fatal(err)
		}
	}
	i, err := f.m.Inspect(background, "web")
	if err != nil || !slices.Equal(i.Fitted, []string{"machine-id"}) {
		t.Errorf("after: %v, %v", i.Fitted, err)
	}
	if want := []string{"fstab of " + i.UUID}; !slices.Equal(f.w.fitted, want) {
		t.Errorf("it was fitted: %v, want %v", f.w.fitted, want)
	}
	if err := f.m.Change(background, "web", vps.SetFit{}); !fail.Is(err, fail.State) {
		t.Errorf("a change after the first start: %v", err)
	}
	if err := f.m.Change(background, "web", vps.SetFit{Fit: "fstab"}); err != nil {
		t.Errorf("the same value: %v", err)
	}
}

func TestFitOfATemplateThatKeepsItsIdentity(t *testing.T) {
	backup := template.Image{KeepsIdentity: true}
	if got := fitOf(vps.VPS{}, backup); got != vps.FitNone {
		t.Errorf("by default: %s", got)
	}
	if got := fitOf(vps.VPS{Fit: "machine-id"}, backup); got != "machine-id" {
		t.Errorf("asked for: %s", got)
	}
	if got := fitOf(vps.VPS{}, template.Image{}); got != "" {
		t.Errorf("another template: %s", got)
	}
}

func TestPingAtEachStart(t *testing.T) {
	ids := vps.IDRange{Size: 65536}
	for _, c := range []struct {
		v    vps.VPS
		want string
	}{
		{vps.VPS{IDs: ids}, "0 65535"},
		{vps.VPS{}, "0 2147483647"},
		{vps.VPS{IDs: ids, Sysctls: map[string]string{"net.ipv4.ip_forward": "1"}}, "0 65535"},
		{vps.VPS{IDs: ids, Sysctls: map[string]string{fit.PingKey: "1 0"}}, "1 0"},
		{vps.VPS{IDs: ids, Fit: vps.FitNone}, ""},
		{vps.VPS{IDs: ids, Fit: "ping"}, "0 65535"},
	} {
		if got := startSysctls(c.v)[fit.PingKey]; got != c.want {
			t.Errorf("%+v: %q, want %q", c.v, got, c.want)
		}
	}
}
