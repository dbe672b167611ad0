package recipe

import (
	"archive/tar"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
	"croft/template/busybox"
	"croft/template/roottest"
)

// embeddedRecipes returns a cookbook without recipes of the host.
func embeddedRecipes(t testing.TB) Cookbook {
	return OpenCookbook(filepath.Join(t.TempDir(), "none"))
}

// examples are the recipes of other distributions than Debian with golden files.
var examples = []string{"almalinux-9", "alpine-3.22", "arch-rolling", "devuan-5", "fedora-43", "gentoo-rolling", "kali-rolling", "opensuse-15.6", "ubuntu-24.04", "void-rolling"}

// TestPlans compares the job of each recipe and tool with a golden file.
func TestPlans(t *testing.T) {
	c := embeddedRecipes(t)
	all, err := List(c.dir)
	if err != nil || len(all) < 4 {
		t.Fatalf("%d recipes, %v", len(all), err)
	}
	for _, in := range all {
		if in.Error != "" {
			t.Errorf("%s: %s", in.Name, in.Error)
			continue
		}
		if in.Name == busybox.Name {
			continue // it has no recipe
		}
		r, err := c.Read(in.Name)
		if err != nil {
			t.Fatal(err)
		}
		if r.From != "" {
			golden(t, "plan-"+in.Name+"-apt-get.txt", layerPlan(t, r, nil))
			continue
		}
		r.Architecture = "amd64"
		f, _ := familyOf(r.Distribution)
		for _, tool := range f.tools {
			j, err := Plan(r, tool.name, "")
			if err != nil {
				t.Fatal(err)
			}
			if r.Distribution == "debian" || slices.Contains(examples, in.Name) {
				golden(t, "plan-"+in.Name+"-"+tool.name+".txt", j.String())
			}
		}
	}
}

func TestPlanWithAllThereIs(t *testing.T) {
	c := Cookbook{t.TempDir()}
	writeRecipe(t, c, "web", `
extends: debian-13
variant: web
architecture: arm64
components: [contrib]
packages: [nginx, -nano]
environment: {LANG: C.UTF-8, A: "b c"}
proxy: http://proxy.example.org:3128
users: [{name: web, groups: [www-data]}]
files: [{path: /etc/motd, content: "it's here\n", owner: web}]
services: {nginx: on, ssh: off}
repositories:
  - uri: https://packages.example.org/debian
    suites: [stable]
    components: [main, extra]
    key: |
      -----BEGIN PGP PUBLIC KEY BLOCK-----

      mDMEabc=
      -----END PGP PUBLIC KEY BLOCK-----
scripts:
  pre-install: echo 'before "all"'
  post-install: echo it's done
clean: ["/var/cache/nginx/*"]
`)
	r, err := c.Read("web")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{mmdebstrap, debootstrap} {
		j, err := Plan(r, tool, "https://mirror.example.org/debian")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "plan-all-"+tool+".txt", j.String())
	}
	if fmt.Sprint(r.Environment) != "map[A:b c LANG:C.UTF-8]" || GoArch(r.DebianArch()) != "arm64" || r.Variant != "web" || r.Release != "13" {
		t.Errorf("recipe %+v", r)
	}
}

// layerPlan returns the job of a layer, with these values of the recipe's variables.
func layerPlan(t testing.TB, r Recipe, set map[string]string) string {
	t.Helper()
	r, err := r.With(set)
	if err != nil {
		t.Fatal(err)
	}
	return PlanLayer(r, time.Unix(1754697600, 0)).String()
}

// The recipes of testdata/layer have all that a layer can have; one extends the other.
func TestPlanOfALayer(t *testing.T) {
	r, err := OpenCookbook("testdata/layer").Read("shop")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plan-layer.txt", layerPlan(t, r, map[string]string{"port": "it's 8080"}))
	for _, c := range []struct {
		set  map[string]string
		want string
	}{
		{nil, "variable port has no value: --set port=VALUE"},
		{map[string]string{"port": "1", "prot": "2", "color": "x\ny"}, `it has no variable "prot", only color, package, port`},
		{map[string]string{"port": "1", "package": "a b"}, `packages: invalid name "a b"`},
		{map[string]string{"port": "1", "color": "x\ny"}, "the value of variable color is more than one line"},
	} {
		if _, err := r.With(c.set); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.set, err, c.want)
		}
	}
}

func TestLayersThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"itself", "from: bad\n", "layer over itself"},
		{"over each other", "from: other\n", "bad, other, bad"},
		{"a release", "from: debian-13\nrelease: '12'\nsuite: x\n", "line 2: release: a recipe with \"from\" has that of its template; line 3: suite: "},
		{"a package less", "from: debian-13\npackages: [-nano]\n", "-nano: a layer cannot remove"},
	} {
		book := Cookbook{t.TempDir()}
		writeRecipe(t, book, "bad", c.text)
		writeRecipe(t, book, "other", "extends: more\n")
		writeRecipe(t, book, "more", "from: bad\n")
		if _, err := book.Read("bad"); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// String returns j in a readable form.
func (j Job) String() string {
	var b strings.Builder
	for _, e := range j.Env {
		fmt.Fprintf(&b, "env %s\n", e)
	}
	fmt.Fprintf(&b, "-- run\n%s", j.Shell)
	var names []string
	for n := range j.Files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		text := j.Files[n]
		if n == "files.tar" {
			text = tarText(text)
		}
		fmt.Fprintf(&b, "-- file %s\n%s", n, text)
	}
	return b.String()
}

// tarText lists a tar archive with the contents of its files.
func tarText(archive string) string {
	var b strings.Builder
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if err != nil {
			return b.String()
		}
		text, _ := io.ReadAll(r)
		fmt.Fprintf(&b, "%c %04o %d:%d %d %s %q %s\n", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.Unix(), h.Name, text, h.Linkname)
	}
}

func writeRecipe(t testing.TB, c Cookbook, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name+".yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBadRecipesAreSaidInOneLine(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"no YAML", "packages: [a\n  b: {", "line"},
		{"a list", "- a\n- b\n", "cannot unmarshal"},
		{"an unknown key", "extends: debian-12\npackges: [a]\n", "packges"},
		{"a wrong type", "extends: debian-12\npackages: {a: b}\n", "line 2"},
		{"two documents", "extends: debian-12\n---\nextends: debian-13\n", "more than one"},
		{"extends nothing", "extends: nothing-like-that\n", `"nothing-like-that"`},
		{"extends a path", "extends: ../../etc/passwd\n", "name"},
		{"extends itself", "extends: bad\n", "extends itself"},
		{"another distribution", "distribution: plan9\n", "plan9"},
		{"no suite", "distribution: debian\nrelease: '12'\n", "suite"},
		{"no date", "extends: debian-12\nreleased: soon\n", "released"},
		{"an option for a package", "extends: debian-12\npackages: ['--force']\n", "--force"},
		{"a package that is a command", "extends: debian-12\npackages: ['a; reboot']\n", "package"},
		{"a suite that is an option", "extends: debian-12\nsuite: --help\n", "suite"},
		{"an architecture", "extends: debian-12\narchitecture: z80\n", "z80"},
		{"an init", "extends: debian-12\ninit: bash\n", "bash"},
		{"clean out of /", "extends: debian-12\nclean: [../x]\n", "clean"},
		{"clean by dots", "extends: debian-12\nclean: [/a/../../x]\n", "clean"},
		{"clean a command", "extends: debian-12\nclean: ['/a; reboot']\n", "clean"},
		{"clean /tmp", "extends: debian-12\nclean: [/tmp/*]\n", "/tmp"},
		{"a variable", "extends: debian-12\nenvironment: {'A B': c}\n", "A B"},
		{"a repository without a key", "extends: debian-12\nrepositories: [{uri: 'https://example.org', suites: [x]}]\n", "key"},
		{"a repository that is none", "extends: debian-12\nrepositories: [{uri: '/x', suites: [x], key: y}]\n", "uri"},
		{"a billion laughs", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", "key \"a\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			book := Cookbook{t.TempDir()}
			writeRecipe(t, book, "bad", c.text)
			_, err := book.Read("bad")
			if !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "recipe bad") {
				t.Errorf("got kind %d: %v", fail.KindOf(err), err)
			}
			roottest.OneLine(t, err)
			all, lerr := List(book.dir)
			if i := slices.IndexFunc(all, func(r Info) bool { return r.Name == "bad" }); lerr != nil || i < 0 || all[i].Error == "" {
				t.Errorf("listed %+v (%v)", all, lerr)
			}
		})
	}
}

func TestTheHostsRecipesComeFirst(t *testing.T) {
	c := Cookbook{t.TempDir()}
	writeRecipe(t, c, "debian-12", "extends: debian\nrelease: '12'\nsuite: bookworm\nreleased: 2023-06-10\ninit: systemd\ndescription: ours\n")
	r, err := c.Read("debian-12-sysvinit")
	if err != nil || slices.Contains(r.Packages, "systemd-sysv") {
		t.Errorf("%+v %v", r.Packages, err)
	}
	all, err := List(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		if in.Name == "debian" {
			t.Error("an abstract recipe is listed")
		}
		if in.Name == "debian-12" && (in.Description != "ours" || in.From != filepath.Join(c.dir, "debian-12.yaml")) {
			t.Errorf("%+v", in)
		}
		if in.Name == "debian-13" && in.From != "croft" {
			t.Errorf("%+v", in)
		}
	}
	text, err := Text(c.dir, "debian-12")
	if err != nil || !strings.Contains(text, "ours") {
		t.Errorf("%q %v", text, err)
	}
	for _, name := range []string{"nothing-like-that", "../debian-12"} {
		if _, err := Text(c.dir, name); !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPackagesThatAVariantTakesAway(t *testing.T) {
	c := embeddedRecipes(t)
	for name, want := range map[string]struct{ with, without []string }{
		"debian-12":          {[]string{"systemd-sysv", "ifupdown"}, []string{"sysvinit-core"}},
		"debian-12-sysvinit": {[]string{"sysvinit-core", "sysv-rc", "ifupdown"}, []string{"systemd-sysv", "libpam-systemd"}},
		"debian-12-openrc":   {[]string{"sysvinit-core", "openrc"}, []string{"sysv-rc", "systemd-sysv"}},
	} {
		r, err := c.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range want.with {
			if !slices.Contains(r.Packages, p) {
				t.Errorf("%s lacks %s", name, p)
			}
		}
		for _, p := range want.without {
			if slices.Contains(r.Packages, p) {
				t.Errorf("%s has %s", name, p)
			}
		}
	}
}

// FuzzRecipe: any input gives a recipe or an error of one line, and a plan
// of a valid one quotes the values in it.
func FuzzRecipe(f *testing.F) {
	entries, err := embedded.ReadDir("recipes")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		b, err := embedded.ReadFile("recipes/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("extends: debian-12\npackages: [a, -b]\nclean: [/x/*]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := embeddedRecipes(t).complete(b, "fuzz", "fuzz.yaml", maxExtends)
		if err != nil {
			roottest.OneLine(t, err)
			return
		}
		if r.Abstract {
			return
		}
		if r.From != "" {
			if r, err = r.With(nil); err == nil {
				PlanLayer(r, time.Time{})
			}
			return
		}
		if _, err := Plan(r, mmdebstrap, ""); err != nil {
			t.Errorf("no plan for a recipe that was checked: %v", err)
		}
	})
}

// The embedded busybox is in the list of recipes.
func TestRecipesNameBusybox(t *testing.T) {
	all, err := List(t.TempDir())
	if err != nil || !slices.ContainsFunc(all, func(in Info) bool { return in.Name == busybox.Name }) {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := Text("", busybox.Name); !fail.Is(err, fail.NotFound) || fail.HintOf(err) != "croft template build busybox" {
		t.Errorf("its recipe: %v", err)
	}
}

func TestUnknownKeysAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"release: \"12\"\npakages: [nginx]\n":           `line 2: unknown key "pakages": abstract, `,
		"scripts:\n  post_install: x\n":                 `line 2: unknown key "post_install": post-install, pre-install`,
		"repositories:\n- uri: http://x/\n  suite: a\n": `unknown key "suite": components, key, suites, uri`,
		"users:\n- nmae: x\n":                           `unknown key "nmae": groups, home, name, shell, system, uid`,
		"files:\n- pth: x\n":                            `unknown key "pth": content, mode, owner, path, source`,
	} {
		_, found := parseRecipe([]byte(text))
		key, keys, _ := strings.Cut(want, ": ")
		if strings.HasPrefix(key, "line") {
			more, rest, _ := strings.Cut(keys, ": ")
			key, keys = key+": "+more, rest
		}
		if !strings.Contains(found.Error(), key) || !strings.HasPrefix(strings.Join(found.keys(), ", "), keys) {
			t.Errorf("%q: %v, %v", text, found, found.keys())
		}
	}
}

// All errors of a file are in one message, with their lines.
func TestAllErrorsAtOnce(t *testing.T) {
	c := Cookbook{t.TempDir()}
	text, err := os.ReadFile("testdata/wrong.yaml")
	roottest.Must(t, err)
	writeRecipe(t, c, "wrong", string(text))
	_, err = c.Read("wrong")
	if !fail.Is(err, fail.Usage) {
		t.Fatal(err)
	}
	roottest.OneLine(t, err)
	said := strings.ReplaceAll(err.Error(), c.dir, "DIR")
	golden(t, "wrong.txt", strings.ReplaceAll(said, "; ", ";\n")+"\nhint: "+fail.HintOf(err)+"\n")
}

func TestExpiredIndexes(t *testing.T) {
	no, yes := false, true
	parent := Recipe{Distribution: "debian", Suite: "sid", Released: "2023-06-10", CheckValidUntil: &no}
	for _, tool := range []string{mmdebstrap, debootstrap} {
		for child, want := range map[*bool]bool{nil: true, &yes: false, &no: true} {
			j, err := Plan(parent.extended(Recipe{CheckValidUntil: child}), tool, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(j.Shell, "Acquire::Check-Valid-Until"); got != want {
				t.Errorf("%s: %v", tool, got)
			}
		}
	}
}

// A name that contradicts the recipe is refused; any other is accepted.
func TestRecipeNames(t *testing.T) {
	c := Cookbook{t.TempDir()}
	for name, want := range map[string]string{
		"debian-13-web": "", "web": "", "my-debian-12-web": "",
		"debian-12-web": "debian-13-web, not debian-12-web", "debian-13": "debian-13-web, not debian-13",
	} {
		writeRecipe(t, c, name, "extends: debian-base\nvariant: web\n")
		writeRecipe(t, c, "debian-base", "abstract: true\nextends: debian\nrelease: '13'\nsuite: trixie\nreleased: 2025-08-09\ninit: systemd\n")
		_, err := c.Read(name)
		if want == "" && err != nil || want != "" && (!fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A package that the indexes do not have is an error of the recipe that names it.
func TestAbsentPackages(t *testing.T) {
	c := Cookbook{t.TempDir()}
	writeRecipe(t, c, "web", "extends: debian-13\nvariant: web\npackages:\n  - nginx=1.0\n  # more\n  - ngnix\n  - curl/forky\n  - sendmail\n")
	writeRecipe(t, c, "shop", "extends: web\npackages: [shop]\n")
	r, err := c.Read("shop")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.dir, "web.yaml")
	debian, err := Text(c.dir, "debian")
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(debian, "- less\n")
	less := strings.Count(before, "\n") + 1
	for said, want := range map[string]string{
		"E: Unable to locate package ngnix": "recipe web (" + file + `): line 6: package "ngnix" was not found`,
		"E: Unable to locate package ngnix\nE: Unable to locate package shop\nE: command failed: /bin/sh": "recipe web (" + file +
			`): line 6: package "ngnix" was not found, package "shop" was not found`,
		"E: Unable to locate package shop":                    "recipe shop (" + filepath.Join(c.dir, "shop.yaml") + `): line 2: package "shop" was not found`,
		"E: Version '1.0' for 'nginx' was not found":          "recipe web (" + file + `): line 4: that version of package "nginx" was not found`,
		"E: Release 'forky' for 'curl' was not found":         "recipe web (" + file + `): line 7: package "curl" was not found in that suite`,
		"E: Package 'sendmail' has no installation candidate": "recipe web (" + file + `): line 8: package "sendmail" has no version that can be installed`,
		"E: Unable to locate package less":                    fmt.Sprintf(`recipe debian (croft): line %d: package "less" was not found`, less),
		"E: Unable to locate package other":                   `recipe shop: package "other" was not found`,
	} {
		var absent MissingPackages
		for line := range strings.Lines(said + "\nE: mmdebstrap failed to run\n") {
			absent.Add(strings.TrimSpace(line))
		}
		err := r.Explain(absent)
		if !fail.Is(err, fail.Usage) || err.Error() != want {
			t.Errorf("%s:\n%v, not\n%s", said, err, want)
		}
		roottest.OneLine(t, err)
	}
	if err := r.Explain(fail.New(fail.Host, "mmdebstrap: Unable to fetch some archives")); !fail.Is(err, fail.Host) {
		t.Errorf("another failure: %v", err)
	}
}

// The script that checks packages fails only if apt cannot find one.
func TestCheckPackagesScript(t *testing.T) {
	for said, want := range map[string]int{
		"E: Unable to locate package a+b": 1, "E: Version '1' for 'x' was not found": 1, "E: Package 'x' has no installation candidate": 1,
		"E: Release 'y' for 'x' was not found": 1, "E: Unable to correct problems, you have held broken packages.": 0,
	} {
		dir := t.TempDir()
		apt := "#!/bin/sh\n[ \"$APT_CONFIG\" = /the/config ] || exit 9\n[ $1 = update ] && exit 0\necho \"" + said + "\" >&2\nexit 100\n"
		if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(apt), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-eu", "-c", checkPackagesScript([]string{"a+b", "x=1"}))
		cmd.Env = []string{"PATH=" + dir + ":" + buildPath, "MMDEBSTRAP_APT_CONFIG=/the/config"}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want || want == 1 && !strings.Contains(string(out), said) {
			t.Errorf("%s: exit %d, %s", said, got, out)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file name of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}
