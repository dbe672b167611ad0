package runtime

import (
	"slices"
	"strings"
	"testing"

	"croft/internal/initkind"
	"croft/runtime/holder"
	"croft/template"
)

func TestArgumentsOf(t *testing.T) {
	app := template.Image{Entrypoint: []string{"entry"}, Cmd: []string{"serve"}}
	for _, c := range []struct {
		what  string
		image template.Image
		args  []string
		want  string
	}{
		{"the image's own", app, nil, "entry serve"},
		{"others", app, []string{"a", "b"}, "entry a b"},
		{"no entrypoint", template.Image{Cmd: []string{"serve"}}, []string{"a"}, "a"},
		{"one that boots", template.Image{Init: "systemd", Cmd: []string{"serve"}}, nil, ""},
		{"busybox and a command", template.Image{Init: "busybox", Cmd: []string{"sh"}}, nil, "sh"},
		{"busybox that is meant", template.Image{Init: "busybox", Cmd: []string{"/sbin/init"}}, nil, ""},
		{"busybox alone", template.Image{Init: "busybox"}, []string{"a"}, "a"},
	} {
		if got := strings.Join(slices.Clone(argumentsOf(c.image, c.args)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// croft finds its own init by the name of the program.
func TestOwnInitIsAKind(t *testing.T) {
	if kind := initkind.Of("/run/" + holder.InitName); kind != initkind.Croft {
		t.Errorf("%s is an init of kind %s", holder.InitName, kind)
	}
}
