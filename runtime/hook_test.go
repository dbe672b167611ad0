package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/runtime/hooks"
)

// hooked is a faulty with a hook that writes down the points. It fails at the one that
// refuse names.
func hooked(t *testing.T) (f *faulty, told func() string, refuse func(hooks.Point)) {
	t.Helper()
	f = newFaulty(t, memoryDir(t))
	f.m.config = t.TempDir()
	dir := filepath.Join(f.m.config, HookDir)
	log, refused := filepath.Join(f.m.config, "log"), filepath.Join(f.m.config, "refused")
	script := "#!/bin/sh\nread vps; case $vps in *'\"name\":\"web\"'*) ;; *) echo \"$vps\"; exit 9;; esac\n" +
		"echo $1 $2 $CROFT_REASON $CROFT_FROM >>" + log + "\nif [ \"$(cat " + refused + " 2>/dev/null)\" = $1 ]; then echo not now; exit 3; fi\n"
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "a"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	f.m.hooks = hooks.Dir{Path: dir}
	told = func() string {
		text, _ := os.ReadFile(log)
		_ = os.Remove(log)
		return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", ")
	}
	return f, told, func(at hooks.Point) {
		if err := os.WriteFile(refused, []byte(at), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Each step of the life of a VPS has its hooks.
func TestHooks(t *testing.T) {
	f, told, _ := hooked(t)
	step := func(want string, err error) {
		t.Helper()
		if err = timedOut(err); err != nil {
			t.Error(err)
		}
		if got := told(); got != want {
			t.Errorf("%q, and not %q", got, want)
		}
	}
	ends := func(status uint32) error { return (fakeMonitors{f.w, f.m}).ends(background, "web", status) }
	step("post-create web", createWeb(f))
	step("pre-start web, post-start web", startWeb(f))
	step("pre-stop web, post-stop web, pre-start web, post-start web",
		f.m.Restart(background, "web", StopOptions{Timeout: 1}, StartOptions{}))
	step("post-stop web halted", ends(poweroff))
	step("", f.m.Stop(background, "web", StopOptions{})) // it does not run
	step("pre-start web, post-start web", startWeb(f))
	step("post-stop web", f.m.Stop(background, "web", StopOptions{Fast: true}))
	step("pre-start web, post-start web", startWeb(f))
	step("pre-destroy web, post-stop web", f.m.Destroy(background, "web", DestroyOptions{Force: true}))
	step("", f.m.Destroy(background, "web", DestroyOptions{IfExists: true}))
	step("post-create web", createWeb(f))
	step("pre-destroy web", f.m.Destroy(background, "web", DestroyOptions{Keep: time.Hour}))
	_, err := f.m.Restore(background, TrashChoice{Name: "web"}, "web", RestoreOptions{})
	step("post-restore web web", err)
}

// A hook before something prevents it, and nothing has changed. Its output is a warning.
func TestHooksPrevent(t *testing.T) {
	f, told, refuse := hooked(t)
	var warned []string
	f.m.warn = func(w string) { warned = append(warned, w) }
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at hooks.Point
		do func() error
	}{
		{hooks.PreStart, func() error { return startWeb(f) }},
		{hooks.PreDestroy, func() error { return f.m.Destroy(background, "web", DestroyOptions{}) }},
	} {
		before, effects := f.snapshot(), f.w.effects
		refuse(c.at)
		warned = nil
		if err := c.do(); !fail.Is(err, fail.Hook) || !strings.Contains(err.Error(), string(c.at)+": hook ") {
			t.Errorf("%s: %v", c.at, err)
		}
		if strings.Join(warned, "|") != "web: "+string(c.at)+": not now" {
			t.Errorf("%s: warned %q", c.at, warned)
		}
		if f.snapshot() != before || f.w.effects != effects {
			t.Errorf("%s: it has effects", c.at)
		}
	}
	refuse("")
	if err := startWeb(f); err != nil {
		t.Fatal(err)
	}
	refuse(hooks.PreStop)
	before := f.snapshot()
	if err := f.m.Stop(background, "web", StopOptions{}); !fail.Is(err, fail.Hook) || f.snapshot() != before {
		t.Errorf("stop: %v", err)
	}
	if err := f.m.Restart(background, "web", StopOptions{}, StartOptions{}); !fail.Is(err, fail.Hook) || f.snapshot() != before {
		t.Errorf("restart: %v", err)
	}
	told()
	if err := f.m.Stop(background, "web", StopOptions{Fast: true}); err != nil {
		t.Errorf("stop --fast: %v", err)
	}
	if got := told(); got != "post-stop web" {
		t.Errorf("stop --fast: %q", got)
	}
}

// A hook after something only warns.
func TestHooksAfterwards(t *testing.T) {
	f, _, refuse := hooked(t)
	for _, c := range []struct {
		at hooks.Point
		do func() error
	}{
		{hooks.PostCreate, func() error { return createWeb(f) }},
		{hooks.PostRestore, func() error {
			if err := keepWeb(f); err != nil {
				return err
			}
			_, err := f.m.Restore(background, TrashChoice{Name: "web"}, "web", RestoreOptions{})
			return err
		}},
	} {
		refuse(c.at)
		var warned []string
		f.m.warn = func(w string) { warned = append(warned, w) }
		if err := c.do(); err != nil || len(warned) != 2 || !strings.HasPrefix(warned[1], "web: "+string(c.at)+": hook ") {
			t.Errorf("%s: %v, %q", c.at, err, warned)
		}
	}
	refuse(hooks.PostStart)
	if err := startWeb(f); err != nil {
		t.Error(err)
	}
}

// The arguments of a monitor of an older croft have no directory of the configuration.
func TestConfigOfMonitor(t *testing.T) {
	for text, want := range map[string]string{
		"web boot /r /run auto": "", "web boot /r /run auto /c": "/c",
		"web ended /r /run auto --life 3 --status 0": "", "web ended /r /run auto /c --life 3 --status 0": "/c",
	} {
		if got := configOf(strings.Fields(text)); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
