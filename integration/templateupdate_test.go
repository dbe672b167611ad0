//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// withRecipes returns a way to run croft that sees these recipes in /etc/croft/recipes, the default. They are
// files in the directory that it returns too: NAME.yaml.
func withRecipes(t *testing.T, recipes map[string]string) (dir string, run func(args ...string) result) {
	t.Helper()
	over := t.TempDir()
	dir = filepath.Join(over, "croft", "recipes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range recipes {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	return dir, func(args ...string) result {
		ctx, cancel := context.WithTimeout(context.Background(), usual)
		defer cancel()
		cmd := command(ctx, args...)
		cmd.Env = append(cmd.Env, "CROFT_CONFIG_DIR=")
		script := `mount -t overlay -o "lowerdir=$0:/etc" overlay /etc && exec "$@"`
		cmd.Args = append([]string{unshare, "--mount", "/bin/sh", "-c", script, over, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = unshare
		return finish(cmd, args)
	}
}

// The recipes of a host are in the directory of its configuration, for every command.
func TestRecipesOfTheConfiguration(t *testing.T) {
	app, config := name(t, "ofconfig"), t.TempDir()
	if err := os.MkdirAll(filepath.Join(config, "recipes", app), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		app + ".yaml":  "from: " + app + "-below\ndescription: of the configuration\nfiles: [{path: /etc/motto, source: " + app + "/motto}]\n",
		app + "/motto": "hello\n",
		// A template that is missing below another one is built from a recipe of the same place.
		app + "-below.yaml": "from: busybox\nfiles: [{path: /etc/below, content: \"low\\n\"}]\n",
	} {
		if err := os.WriteFile(filepath.Join(config, "recipes", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { try("template", "remove", app, app+"-below") })
	in := func(args ...string) string { return must(t, append([]string{"--config-dir", config}, args...)...) }
	lists := func(words string, args ...string) {
		t.Helper()
		if out := in(args...); !strings.Contains(out, words) {
			t.Errorf("croft %s does not list %s:\n%s", strings.Join(args, " "), words, out)
		}
		if out := must(t, args...); strings.Contains(out, app) {
			t.Errorf("croft %s lists %s of another configuration:\n%s", strings.Join(args, " "), app, out)
		}
	}
	lists("of the configuration", "template", "recipe")
	lists(app, "template", "list", "--all")
	if out, err := exec.Command(world.croft, "__complete", "--config-dir", config, "template", "build", app).Output(); err != nil || !strings.HasPrefix(string(out), app+"\tof the configuration\n") {
		t.Errorf("completion offers %q, %v", out, err)
	}
	if out := in("template", "recipe", app); !strings.Contains(out, "/etc/motto") {
		t.Errorf("the recipe is %q", out)
	}
	refused(t, 3, "no recipe", "template", "recipe", app)
	refused(t, 3, "no recipe", "template", "build", app)
	if out := in("run", "--rm", "--network", "none", "--template", app, "--", "cat", "/etc/motto", "/etc/below"); out != "hello\nlow" {
		t.Errorf("a VPS of the recipe has %q", out)
	}
	in("template", "update", app)
	refused(t, 5, "there is no recipe of that name", "template", "update", app)
}

// An update of a template builds with the values of the build before, and a new value is
// kept for the next one.
func TestUpdateKeepsTheValuesOfABuild(t *testing.T) {
	hostAsBefore(t)
	app := name(t, "values")
	dir, run := withRecipes(t, map[string]string{app: `
from: busybox
variables: {port: "8080", word: hello}
files: [{path: /etc/app, content: "{{port}} {{word}}\n"}]
`})
	done := func(args ...string) string {
		t.Helper()
		r := run(args...)
		if r.status != 0 {
			t.Fatal(r)
		}
		return strings.TrimSuffix(r.out, "\n")
	}
	t.Cleanup(func() { try("template", "remove", app) })
	has := func(want string, set map[string]string) {
		t.Helper()
		var im struct {
			BuiltWith struct{ Set map[string]string }
		}
		if err := json.Unmarshal([]byte(must(t, "template", "inspect", app)), &im); err != nil || !maps.Equal(im.BuiltWith.Set, set) {
			t.Errorf("it was built with %v, %v", im, err)
		}
		if r := try("run", "--rm", "--network", "none", "--template", app, "--", "cat", "/etc/app"); r.out != want+"\n" {
			t.Errorf("not %q: %s", want, r)
		}
	}
	done("template", "build", app, "--set", "port=80")
	has("80 hello", map[string]string{"port": "80"})
	if err := os.WriteFile(filepath.Join(dir, app+".yaml"), []byte(`
from: busybox
variables: {port: "8080", word: hello}
files: [{path: /etc/app, content: "{{word}}: {{port}}\n"}]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := done("template", "update", app); !strings.HasPrefix(got, app+"@sha256:") {
		t.Errorf("the update prints %q", got)
	}
	has("hello: 80", map[string]string{"port": "80"})
	done("template", "update", app, "--set", "word=bye")
	has("bye: 80", map[string]string{"port": "80", "word": "bye"})
	done("template", "update", app, "--set", "port=81")
	has("bye: 81", map[string]string{"port": "81", "word": "bye"})
	if r := run("template", "update", app); r.status != 0 || r.out != "" || !strings.Contains(r.errOut, "is up to date") {
		t.Error(r)
	}
	checkRefusal(t, run("template", "update", app, "--set", "colour=red"), 2, `no variable "colour"`)
	done("template", "build", app)
	has("hello: 8080", nil)
	if r := try("template", "update", app); r.status != 5 || !strings.Contains(r.errOut, "there is no recipe of that name") {
		t.Error(r)
	}
}
