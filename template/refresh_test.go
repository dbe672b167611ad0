package template

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/recipe"
	"croft/template/roottest"
)

// checks compares what Check says of a template, in words.
func checks(t *testing.T, s *Store, name string, want Freshness, reason string) {
	t.Helper()
	c, err := s.Check(context.Background(), name, RefreshOptions{Insecure: true})
	if err != nil || c.Freshness != want || !strings.Contains(c.Reason, reason) {
		t.Errorf("%s: %+v, %v, and not %s with %q", name, c, err, want, reason)
	}
}

func TestRefreshFromImageServer(t *testing.T) {
	ctx := context.Background()
	s := newStore(t, Options{})
	server := imageServer(t, s, anImage(t, "20260110_0524", "old"))
	old, err := pullLab(t, s, "test/7", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checks(t, s, old.Name, Current, "")
	server.Serve(anImage(t, "20260210_0524", "new"))
	checks(t, s, old.Name, Outdated, "there is sha256:")
	im, err := s.Refresh(ctx, old.Name, RefreshOptions{Insecure: true})
	if err != nil || im.Name != old.Name || im.Digest == old.Digest {
		t.Fatalf("%+v, %v", im, err)
	}
	checks(t, s, old.Name, Current, "")
	if all, err := s.Superseded(); err != nil || all[old.Digest] != old.Name {
		t.Errorf("superseded: %v, %v", all, err)
	}
	if _, err := s.Refresh(ctx, old.Name+"@"+old.Digest, RefreshOptions{}); !fail.Is(err, fail.Usage) {
		t.Errorf("a digest: %v", err)
	}
}

func TestRefreshFromRegistry(t *testing.T) {
	ctx := context.Background()
	h, s := newHub(t), newStore(t, Options{})
	h.publish(t, "web:1", published{layers: twoLayers(t)[:1], kind: oci.MediaTypeImageLayer})
	o := PullOptions{Name: "web", Insecure: true}
	old, err := s.Pull(ctx, h.host+"/web:1", o)
	if err != nil {
		t.Fatal(err)
	}
	checks(t, s, "web", Current, "")
	h.publish(t, "web:1", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayer})
	checks(t, s, "web", Outdated, "there is sha256:")
	if _, err := s.Refresh(ctx, "web", RefreshOptions{BuildSettings: with("a", "b").BuildSettings}); !fail.Is(err, fail.Usage) {
		t.Errorf("a value for an image that was pulled: %v", err)
	}
	im, err := s.Refresh(ctx, "web", RefreshOptions{Insecure: true})
	if err != nil || im.Digest == old.Digest {
		t.Errorf("%+v, %v", im, err)
	}
	checks(t, s, "web", Current, "")
}

func TestRefreshWithoutOrigin(t *testing.T) {
	ctx := context.Background()
	recipes := t.TempDir()
	s := newStore(t, Options{Recipes: recipes})
	mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	checks(t, s, "web", Unknown, "imported from standard input")
	if _, err := s.Refresh(ctx, "web", RefreshOptions{}); !fail.Is(err, fail.State) {
		t.Errorf("it says %v", err)
	}
	if _, err := s.Refresh(ctx, "absent", RefreshOptions{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("a missing template: %v", err)
	}
	built := func(im Image) error { return s.buildable(im) }
	if err := built(Image{Name: "other", Recipe: "mine"}); !fail.Is(err, fail.State) {
		t.Errorf("another name: %v", err)
	}
	if err := built(Image{Name: "mine", Recipe: "mine"}); !fail.Is(err, fail.State) {
		t.Errorf("a recipe that is not there: %v", err)
	}
	text, err := recipe.Text("", "debian-13")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(recipes, "mine.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := built(Image{Name: "mine", Recipe: "mine"}); err != nil {
		t.Errorf("its recipe is there: %v", err)
	}
}

func TestRefreshBusybox(t *testing.T) {
	embeddedBusybox(t)
	s := newStore(t, Options{})
	im, err := s.Ensure(context.Background(), "busybox")
	if err != nil {
		t.Fatal(err)
	}
	checks(t, s, "busybox", Current, "")
	again, err := s.Refresh(context.Background(), "busybox", RefreshOptions{})
	if err != nil || again.Digest != im.Digest {
		t.Errorf("%+v, %v", again, err)
	}
}

// A layer whose recipe and base are the same is built again: there may be newer packages.
func TestRefreshOfALayer(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	recipes := t.TempDir()
	if err := os.WriteFile(filepath.Join(recipes, "app.yaml"), []byte("from: busybox\nfiles: [{path: /opt/word, content: x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var warned []string
	s := newStore(t, Options{Recipes: recipes, Warn: func(line string) { warned = append(warned, line) }})
	im, err := s.Build(t.Context(), "app", BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	warned = nil
	again, err := s.Refresh(t.Context(), "app", RefreshOptions{})
	if err != nil || len(warned) > 0 || again.Name != im.Name {
		t.Errorf("%+v, %v, %q", again, err, warned)
	}
}

// A refresh builds with the values of the build before, and with new ones that it is given.
// Another image over it does not inherit them.
func TestRefreshKeepsTheValuesOfABuild(t *testing.T) {
	roottest.NeedRoot(t)
	embeddedBusybox(t)
	recipes := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		roottest.Must(t, os.WriteFile(filepath.Join(recipes, name+".yaml"), []byte(text), 0o600))
	}
	write("app", "from: busybox\nvariables: {word: hello, other: x, unused: z}\nfiles: [{path: /opt/word, content: '{{word}} {{other}}'}]\n")
	write("over", "from: app\nfiles: [{path: /opt/over, content: y}]\n")
	s := newStore(t, Options{Recipes: recipes})
	has := func(im Image, err error, content string, set map[string]string) {
		t.Helper()
		roottest.Must(t, err)
		dirs, err := s.LayerDirs(im)
		roottest.Must(t, err)
		if got := roottest.List(t, dirs[0]); !strings.Contains(got, strconv.Quote(content)) || !maps.Equal(im.BuiltWith.Set, set) {
			t.Errorf("it was built with %v, and has\n%s", im.BuiltWith, got)
		}
	}
	built, err := s.Build(t.Context(), "app", with("word", "bye"))
	has(built, err, "bye x", map[string]string{"word": "bye"})
	again, err := s.Refresh(t.Context(), "app", RefreshOptions{})
	has(again, err, "bye x", map[string]string{"word": "bye"})
	if again.Digest != built.Digest {
		t.Errorf("%s, was %s", again.Digest, built.Digest)
	}
	im, err := s.Refresh(t.Context(), "app", RefreshOptions{BuildSettings: with("other", "y").BuildSettings})
	has(im, err, "bye y", map[string]string{"word": "bye", "other": "y"})
	im, err = s.Refresh(t.Context(), "app", RefreshOptions{BuildSettings: with("word", "hi").BuildSettings})
	has(im, err, "hi y", map[string]string{"word": "hi", "other": "y"})
	over, err := s.Build(t.Context(), "over", BuildOptions{})
	has(over, err, "y", nil)

	// A value that nothing uses is kept too, and the same values again are no build.
	unused := with("unused", "1")
	im, err = s.Build(t.Context(), "app", unused)
	has(im, err, "hello x", unused.Set)
	unused.Set["unused"] = "2"
	im, err = s.Build(t.Context(), "app", unused)
	has(im, err, "hello x", unused.Set)
	same, err := s.Build(t.Context(), "app", unused)
	has(same, err, "hello x", unused.Set)
	if same.Digest != im.Digest {
		t.Errorf("%s, was %s", same.Digest, im.Digest)
	}

	write("app", "from: busybox\n")
	if _, err := s.Refresh(t.Context(), "app", RefreshOptions{}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "variable unused") {
		t.Errorf("without the variable: %v", err)
	}
	checks(t, s, "app", Unknown, "variable unused")
	im, err = s.Build(t.Context(), "app", BuildOptions{})
	roottest.Must(t, err)
	if len(im.BuiltWith.Set) > 0 {
		t.Errorf("a build without values has %v", im.BuiltWith)
	}
}
