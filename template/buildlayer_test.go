package template

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/template/busybox"
	"croft/template/roottest"
)

// layerOver builds the template app from a recipe. It returns the files of its own layer.
func layerOver(t *testing.T, s *Store, text string, o BuildOptions) (Image, string, error) {
	t.Helper()
	o.RecipeFile = filepath.Join(t.TempDir(), "app.yaml")
	roottest.Must(t, os.WriteFile(o.RecipeFile, []byte(text), 0o644))
	im, err := s.Build(t.Context(), "app", o)
	if err != nil {
		return im, "", err
	}
	dirs, err := s.LayerDirs(im)
	roottest.Must(t, err)
	return im, roottest.List(t, dirs[0]), nil
}

// with are options with the value of one variable.
func with(name, value string) BuildOptions {
	return BuildOptions{BuildSettings: BuildSettings{Set: map[string]string{name: value}}}
}

func TestBuildOfALayer(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	var warned []string
	s := newStore(t, Options{Warn: func(line string) { warned = append(warned, line) }})
	const text = `
from: busybox
variables: {word: hello}
environment: {A: "{{word}}"}
files: [{path: /opt/word, content: "{{word}}\n", mode: "0600"}]
scripts: {post-install: 'echo $word >/opt/script; echo "PS1=x" >>/etc/profile; rm /etc/hostname'}
`
	im, got, err := layerOver(t, s, text, BuildOptions{})
	roottest.Must(t, err)
	base, err := s.Resolve(busybox.Name)
	roottest.Must(t, err)
	if len(im.Layers) != len(base.Layers)+1 || !slices.Equal(im.Layers[:len(base.Layers)], base.Layers) || im.Recipe != "app" || !slices.Contains(im.Env, "A=hello") || im.Init != base.Init {
		t.Errorf("%+v over %+v", im, base)
	}
	for _, want := range []string{"-rw------- opt/word \"hello\\n\"\n", "-rw-r--r-- opt/script \"hello\\n\"\n", "etc/profile ", "etc/hostname"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") > 8 {
		t.Errorf("the layer has more than the recipe's changes:\n%s", got)
	}
	// The same again is no build, and a change of anything is one.
	warned = nil
	same, _, err := layerOver(t, s, text, BuildOptions{})
	roottest.Must(t, err)
	if same.Digest != im.Digest || len(warned) != 1 || !strings.Contains(warned[0], "is unchanged") {
		t.Errorf("%s, was %s; %q", same.Digest, im.Digest, warned)
	}
	for name, o := range map[string]BuildOptions{"a variable": with("word", "x"), "no cache": {NoCache: true}} {
		warned = nil
		if _, _, err := layerOver(t, s, text, o); err != nil || len(warned) > 0 {
			t.Errorf("%s: %q, %v", name, warned, err)
		}
	}
	if _, _, err := layerOver(t, s, text+"clean: [/opt/x]\n", BuildOptions{}); err != nil || len(warned) > 0 {
		t.Errorf("another recipe: %q, %v", warned, err)
	}
}

// SOURCE_DATE_EPOCH is the latest time of a build.
func TestSourceDateOfALayer(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	s := newStore(t, Options{})
	const text = "from: busybox\nfiles: [{path: /opt/word, content: x}]\nscripts: {post-install: 'touch /opt/now'}\n"
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	im, _, err := layerOver(t, s, text, BuildOptions{})
	roottest.Must(t, err)
	dirs, err := s.LayerDirs(im)
	roottest.Must(t, err)
	for _, name := range []string{"opt/word", "opt/now"} {
		info, err := os.Stat(filepath.Join(dirs[0], name))
		roottest.Must(t, err)
		if at := info.ModTime().Unix(); at != 86400 || im.Created.Unix() != 86400 {
			t.Errorf("%s is of %d, the image of %v", name, at, im.Created)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "now")
	if _, _, err := layerOver(t, s, text, BuildOptions{}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("an invalid one: %v", err)
	}
}

func TestBuildOfALayerRefuses(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	s := newStore(t, Options{})
	if _, err := s.Ensure(t.Context(), busybox.Name); err != nil {
		t.Fatal(err)
	}
	before := files(t, s)
	for name, c := range map[string]struct {
		text string
		o    BuildOptions
		want string
	}{
		"a template that is missing": {"from: nothing-like-that\n", BuildOptions{}, `no template "nothing-like-that"`},
		"a mirror":                   {"from: busybox\n", BuildOptions{BuildSettings: BuildSettings{Mirror: "http://mirror.example.org"}}, "--mirror needs --snapshot"},
		"a script that fails":        {"from: busybox\nscripts: {post-install: 'echo too bad; exit 3'}\n", BuildOptions{}, "the recipe's post-install script: too bad"},
		"an owner who is missing":    {"from: busybox\nfiles: [{path: /x, content: x, owner: nobody-here}]\n", BuildOptions{}, "the recipe's owners: "},
		"a snapshot":                 {"from: busybox\nsnapshot: 2026-01-01\n", BuildOptions{}, "no archive of snapshots of busybox"},
		"no variable":                {"from: busybox\n", with("a", "b"), "it has none"},
	} {
		if _, _, err := layerOver(t, s, c.text, c.o); err == nil || !strings.Contains(err.Error(), c.want) || fail.Is(err, fail.Internal) {
			t.Errorf("%s: %v", name, err)
		}
		if after := files(t, s); after != before {
			t.Errorf("%s: it left\n%s\nand not\n%s", name, after, before)
		}
	}
}

// The script of a recipe, and so that of a package, cannot reach the host.
func TestALayerHasNoPowerOverTheHost(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	s := newStore(t, Options{})
	victim := filepath.Join(t.TempDir(), "victim")
	roottest.Must(t, os.WriteFile(victim, []byte("x"), 0o666))
	before := roottest.Mounts(t)
	_, got, err := layerOver(t, s, fmt.Sprintf(`
from: busybox
scripts:
  post-install: |
    mkdir /result && cd /result
    tried() { name=$1; shift; if ("$@") >/dev/null 2>&1; then echo yes >$name; else echo no >$name; fi; }
    tried wrote sh -c 'echo y >%[1]s'
    tried signalled kill -0 %[2]d
    tried nodes mknod disk b 8 0
    tried sysctl sh -c 'echo 1 >/proc/sys/kernel/printk'
    tried hostname sh -c 'echo x >/proc/sys/kernel/core_pattern'
    tried root ls /proc/1/root/var/lib
    ls /proc | grep -c '^[0-9]' | awk '{ print ($1 < 20 ? "few" : "all") }' >processes
    awk '{ print $1, $2, $3 }' /proc/self/uid_map >map
`, victim, os.Getpid()), BuildOptions{})
	roottest.Must(t, err)
	for _, name := range []string{"wrote", "signalled", "nodes", "sysctl", "hostname"} {
		if !strings.Contains(got, "result/"+name+" \"no\\n\"") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	for _, want := range []string{`result/processes "few\n"`, fmt.Sprintf(`result/map "0 %d 65536\n"`, DefaultBuildIDs)} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "x" {
		t.Errorf("the victim has %q, %v", b, err)
	}
	if after := roottest.Mounts(t); after != before {
		t.Errorf("mounts were\n%sand are\n%s", before, after)
	}
}
