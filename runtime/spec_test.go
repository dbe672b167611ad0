package runtime

import (
	"testing"

	"croft/internal/initkind"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/hostfacts"
	"croft/template"
)

// A systemd with all capabilities gets arguments that mask the units which would fail.
func TestUnitsLeftOut(t *testing.T) {
	for _, c := range []struct {
		allow []string
		kind  initkind.Kind
		want  int
	}{
		{nil, initkind.Systemd, 1}, {[]string{"vsock"}, initkind.Systemd, 1}, {[]string{"capabilities"}, initkind.Systemd, 5}, {[]string{"capabilities"}, initkind.SysV, 1},
	} {
		s := bundleSettings(vps.VPS{Allow: c.allow}, guests.Init{Path: "/sbin/init", Kind: c.kind}, hostfacts.Facts{}, template.Image{}, "")
		if len(s.Init) != c.want || s.Init[0] != "/sbin/init" {
			t.Errorf("%v, %s: %q", c.allow, c.kind, s.Init)
		}
	}
}
