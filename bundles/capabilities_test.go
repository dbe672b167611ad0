package bundles

import (
	"slices"
	"testing"

	"croft/internal/vps"
)

func TestCapabilities(t *testing.T) {
	all := []string{}
	for _, name := range vps.Capabilities() {
		all = append(all, "CAP_"+name)
	}
	def := without(all, "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN")
	if got := Capabilities(settings()); !slices.Equal(got, def) {
		t.Errorf("by default: %v", got)
	}
	allow := []string{vps.AllowCapabilities}
	for what, c := range map[string]struct {
		allow, add, drop, want []string
	}{
		"one less":                  {nil, nil, []string{"NET_RAW"}, without(def, "CAP_NET_RAW")},
		"one that it has anyway":    {nil, []string{"NET_RAW"}, nil, def},
		"one more":                  {nil, []string{"MAC_ADMIN"}, []string{"SYS_TIME"}, without(all, "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_MAC_OVERRIDE")},
		"all":                       {nil, []string{"ALL"}, nil, all},
		"all but one":               {nil, []string{"ALL"}, []string{"SYS_TIME"}, without(all, "CAP_SYS_TIME")},
		"allowed all":               {allow, nil, nil, all},
		"allowed all but one":       {allow, nil, []string{"CHOWN"}, without(all, "CAP_CHOWN")},
		"none":                      {nil, nil, []string{"ALL"}, []string{}},
		"none though all allowed":   {allow, nil, []string{"ALL"}, []string{}},
		"only those that are named": {allow, []string{"SYS_TIME", "CHOWN"}, []string{"ALL", "BPF"}, []string{"CAP_CHOWN", "CAP_SYS_TIME"}},
	} {
		s := settings()
		s.Allow, s.CapAdd, s.CapDrop = c.allow, c.add, c.drop
		if got := Capabilities(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", what, got)
		}
		spec, err := Spec(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range [][]string{spec.Process.Capabilities.Bounding, spec.Process.Capabilities.Permitted, spec.Process.Capabilities.Effective} {
			if !slices.Equal(set, c.want) {
				t.Errorf("%s: the bundle has %v", what, set)
			}
		}
		if len(spec.Process.Capabilities.Inheritable)+len(spec.Process.Capabilities.Ambient) != 0 {
			t.Errorf("%s: %v", what, spec.Process.Capabilities)
		}
	}
}

// A privileged VPS has no capability that the host does not have.
func TestCapabilitiesOfAPrivilegedVPS(t *testing.T) {
	s := settings()
	s.First, s.Size, s.HostUptime = 0, 0, 0
	s.HostCaps = []string{"CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_TIME"}
	s.CapAdd, s.CapDrop = []string{"SYS_TIME", "SYS_MODULE"}, []string{"NET_RAW"}
	if got := Capabilities(s); !slices.Equal(got, []string{"CAP_CHOWN", "CAP_SYS_TIME"}) {
		t.Errorf("%v", got)
	}
}

func without(all []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return slices.Contains(names, c) })
}
