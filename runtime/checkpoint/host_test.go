package checkpoint

import (
	"fmt"
	"slices"
	"testing"
)

func TestCPUFeatures(t *testing.T) {
	for text, want := range map[string][]string{
		"processor\t: 0\nflags\t\t: sse fpu sse\n\nprocessor\t: 1\nflags\t\t: other\n": {"fpu", "sse"},
		"Features\t: fp asimd\n": {"asimd", "fp"},
		"":                       nil,
	} {
		if got := cpuFeatures(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
	if h, err := (Criu{}).Host(); err != nil || len(h.CPU) == 0 || h.Cgroups < 1 || h.Cgroups > 2 {
		t.Errorf("here: %+v, %v", h, err)
	}
}

func TestCgroupRoots(t *testing.T) {
	got := ""
	for _, r := range cgroupRoots("9:cpu,cpuacct:/croft/web\n1:name=systemd:/croft/a:b\n0::/croft/web\nbroken\n") {
		got += fmt.Sprintf("%q %q\n", r.GetCtrl(), r.GetPath())
	}
	if want := "\"cpu,cpuacct\" \"/croft/web\"\n\"name=systemd\" \"/croft/a:b\"\n\"\" \"/croft/web\"\n"; got != want {
		t.Errorf("%s", got)
	}
}
