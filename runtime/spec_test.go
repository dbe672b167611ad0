package runtime

import (
	"testing"

	"croft/internal/initkind"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/hostfacts"
	"croft/template"
)

// A systemd with capabilities that VPSs do not have by default gets arguments that mask the units which would fail.
func TestUnitsLeftOut(t *testing.T) {
	for _, c := range []struct {
		allow, add, drop []string
		kind             initkind.Kind
		want             int
	}{
		{nil, nil, nil, initkind.Systemd, 1}, {[]string{"vsock"}, nil, nil, initkind.Systemd, 1},
		{[]string{"capabilities"}, nil, nil, initkind.Systemd, 5}, {[]string{"capabilities"}, nil, nil, initkind.SysV, 1},
		{[]string{"capabilities"}, nil, []string{"SYS_RAWIO"}, initkind.Systemd, 2},
		{nil, []string{"ALL"}, nil, initkind.Systemd, 5}, {nil, []string{"SYS_MODULE"}, nil, initkind.Systemd, 2}, {nil, []string{"SYS_TIME"}, nil, initkind.Systemd, 1},
	} {
		s := bundleSettings(vps.VPS{IDs: vps.IDRange{First: 1, Size: 1}, Allow: c.allow, CapAdd: c.add, CapDrop: c.drop}, guests.Init{Path: "/sbin/init", Kind: c.kind}, hostfacts.Facts{}, template.Image{}, "")
		if len(s.Init) != c.want || s.Init[0] != "/sbin/init" {
			t.Errorf("%v, %s: %q", c, c.kind, s.Init)
		}
	}
}
