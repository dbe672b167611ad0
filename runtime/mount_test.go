package runtime

import (
	"context"
	"os"
	"strings"
	"testing"

	"croft/bundles"
	"croft/internal/fail"
	"croft/runtime/paths"
)

func TestMount(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	var at string
	for range 2 { // the second one is a no-op
		var err error
		if at, err = m.Mount(ctx, "web"); err != nil || at != m.store.BundleDir("web")+"/rootfs" {
			t.Fatal(at, err)
		}
	}
	if err := m.Start(ctx, "web", StartOptions{}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("start of a mounted one: %v", err)
	}
	if err := w.put("user of mount", "web", ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Umount(ctx, "web"); !fail.Is(err, fail.Busy) {
		t.Errorf("umount of one in use: %v", err)
	}
	if err := m.Destroy(ctx, "web", DestroyOptions{Force: true}); !fail.Is(err, fail.Busy) {
		t.Errorf("destroy of one in use: %v", err)
	}
	if err := w.drop("user of mount", "web"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Umount(ctx, "web"); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mount(ctx, "web"); !fail.Is(err, fail.State) {
		t.Errorf("mount of a running one: %v", err)
	}
	if err := m.Umount(ctx, "web"); !fail.Is(err, fail.State) {
		t.Errorf("umount of a running one: %v", err)
	}
	if err := m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mount(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if err := m.Destroy(ctx, "web", DestroyOptions{}); err != nil {
		t.Errorf("destroy of a mounted one: %v", err)
	}
	if w.String() != "" {
		t.Errorf("the world has\n%s", w)
	}
}

// If the bundle cannot be written the root filesystem does not stay mounted.
func TestMountWithoutInit(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	// A file where its bundle should be.
	if err := os.WriteFile(m.store.BundleDir("web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Mount(ctx, "web"); err == nil {
		t.Error("mounted without a bundle")
	}
	if w.has("mount", "web") {
		t.Error("it is mounted")
	}
}

// The bundle of a running VPS is the one it runs with. The bundle of a stopped VPS is
// for other runtimes, whether it is mounted or not.
func TestBundle(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	bundle := func() string {
		t.Helper()
		text, err := m.Bundle(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundles.Parse(text); err != nil {
			t.Error(err)
		}
		return string(text)
	}
	stopped := bundle()
	if _, err := m.Mount(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if got := bundle(); got != stopped {
		t.Errorf("mounted:\n%s\nand not:\n%s", got, stopped)
	}
	if err := m.Umount(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	running := bundle()
	for _, only := range []string{paths.NotifySocket(m.store, "web"), bundles.ShadowProc} {
		if !strings.Contains(running, only) || strings.Contains(stopped, only) {
			t.Errorf("%s: running:\n%s\nstopped:\n%s", only, running, stopped)
		}
	}
	if _, err := m.Bundle(ctx, "nix"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}
