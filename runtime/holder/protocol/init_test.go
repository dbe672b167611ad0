package protocol

import (
	"reflect"
	"testing"
)

func TestInitCommandLine(t *testing.T) {
	for _, c := range []Init{
		{},
		{Args: []string{"a"}, Dir: "/", Stop: 15},
		{Args: []string{"a", "", "-x", "ü\n"}, Dir: "/srv", UID: 5, GID: 65534, Groups: []uint32{7, 8}, Stop: 37, OOMScore: 100},
		{Args: []string{"a"}, Dir: "/", UID: 1_000_700_000, GID: 4_294_967_295, Groups: []uint32{2_000_000_000}, Stop: 15},
	} {
		got, err := ParseInit(c.CommandLine("/run/" + InitName))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
	}
	got, err := ParseInit(LaunchArgs("/x", []string{"a", "b"}))
	if err != nil || !got.Launch || len(got.Args) != 2 {
		t.Errorf("launch: %+v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {"x"}, {"x", "wait", "y"}, {"x", "launch"}, {"x", "run"}, {"x", "run", "15", "0", "0", "0", "", "/"},
		{"x", "run", "15", "0", "-1", "0", "", "/", "a"}, {"x", "run", "15", "0", "0", "0", "y,", "/", "a"}} {
		if c, err := ParseInit(bad); err == nil {
			t.Errorf("%q is %+v", bad, c)
		}
	}
	for path, want := range map[string]bool{"/run/host/croft-init": true, "croft-init": false, "/x/croft-init2": false, "": false} {
		if IsInit(path) != want {
			t.Errorf("%q is %v", path, !want)
		}
	}
}
