package cli

import (
	"slices"
	"strings"
	"testing"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/runtime"
)

// Commands that only look make no directories.
func TestQueries(t *testing.T) {
	queries := []string{
		"list", "status", "inspect", "stats", "top", "doctor", "logs", "events", "wait", "firewall list", "route list", "publish list",
		"template list", "template inspect", "network list", "network inspect", "trash list", "snapshot list", "volume list", "volume inspect",
	}
	root := (&app{}).commands()
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		if want := slices.Contains(queries, strings.Join(path, " ")); v.Query != want {
			t.Errorf("croft %s: query is %v", strings.Join(path, " "), v.Query)
		}
	})
	for line, want := range map[string]bool{"list": true, "create web --template t": false} {
		var asked []runtime.Options
		a := hinting(t)
		a.screen = display.NewScreen(a.stdio.Err, a.getenv, a.now)
		a.connect = func(o runtime.Options) (Manager, error) {
			asked = append(asked, o)
			return nil, errAccepted
		}
		a.execute(append([]string{"croft"}, strings.Fields(line)...))
		if len(asked) != 1 || asked[0].Query != want {
			t.Errorf("%s asked %+v", line, asked)
		}
	}
}
