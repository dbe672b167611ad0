package cli

import (
	"slices"
	"strings"
	"testing"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/runtime"
)

// Commands that only look make no directories.
func TestQueries(t *testing.T) {
	queries := []string{
		"list", "status", "inspect", "stats", "top", "doctor", "logs", "events", "wait", "firewall list", "route list", "publish list",
		"template list", "template inspect", "template search", "template outdated", "template remote list", "network list", "network inspect", "trash list", "snapshot list", "volume list", "volume inspect",
	}
	root := commands((&command.App{}))
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		if want := slices.Contains(queries, strings.Join(path, " ")); v.Query != want {
			t.Errorf("croft %s: query is %v", strings.Join(path, " "), v.Query)
		}
	})
	for line, want := range map[string]bool{"list": true, "create web --template t": false} {
		var asked []runtime.Options
		a := hinting(t)
		a.Screen = display.NewScreen(a.Stdio.Err, a.Getenv, a.Now)
		a.Connect = func(o runtime.Options) (command.Manager, error) {
			asked = append(asked, o)
			return nil, errAccepted
		}
		execute(a, append([]string{"croft"}, strings.Fields(line)...))
		if len(asked) != 1 || asked[0].Query != want {
			t.Errorf("%s asked %+v", line, asked)
		}
	}
}
