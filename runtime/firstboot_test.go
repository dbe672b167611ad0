package runtime

import (
	"io"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/runtime/firstboot"
)

// A script that was taken is not taken again, and its failure is an error of the boot
// that it ran in, with the end of its output.
func TestFirstBootScript(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	for _, do := range []func(*faulty) error{createWeb, changeWeb(aScript), startWeb} {
		if err := do(f); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := f.m.store.TryFirstBoot("web")
	if err != nil {
		t.Fatal(err)
	}
	if held, err := f.m.store.FirstBootHeld("web"); err != nil || !held {
		t.Errorf("held: %v, %v", held, err)
	}
	lock.Close()
	dir := f.m.store.VPSDir("web")
	run, err := f.m.store.Run("web")
	if err != nil {
		t.Fatal(err)
	}
	if script, err := firstboot.Take(dir, run.Boot); err != nil || string(script) != "true\n" {
		t.Fatalf("%q, %v", script, err)
	}
	if err := f.m.awaitFirstBoot(background, "web"); !fail.Is(err, fail.FirstBoot) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("of a killed process: %v", err)
	}
	for status, state := range map[int]firstboot.State{0: firstboot.Done, 3: firstboot.Failed} {
		r := recordOf(run, status, nil, false, "no such luck")
		if r.State != state {
			t.Errorf("status %d: %+v", status, r)
		}
		if err := firstboot.Save(dir, r); err != nil {
			t.Fatal(err)
		}
		if err := f.m.awaitFirstBoot(background, "web"); fail.Is(err, fail.FirstBoot) != (status != 0) || err != nil && !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if r := recordOf(run, 137, nil, true, ""); r.State != firstboot.Interrupted {
		t.Errorf("killed with the VPS: %+v", r)
	}
	if f.m.ends("web", run) {
		t.Error("a VPS that runs ends")
	}
	if err := requestStop(f.m.store, "web"); err != nil || !f.m.ends("web", run) {
		t.Errorf("a VPS that was asked to stop does not end: %v", err)
	}
	r := recordOf(run, 3, nil, false, "")
	r.Boot--
	if err := firstboot.Save(dir, r); err != nil {
		t.Fatal(err)
	}
	if err := f.m.awaitFirstBoot(background, "web"); err != nil {
		t.Errorf("the failure of an earlier boot: %v", err)
	}
}

// What an interpreter reads from its standard input is nothing, and it can open that
// again to read the script.
func TestMemoryFile(t *testing.T) {
	file, err := memoryFile([]byte("echo a\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if rest, err := io.ReadAll(file); err != nil || len(rest) != 0 {
		t.Errorf("it reads %q, %v", rest, err)
	}
	if _, err := file.WriteAt([]byte("x"), 0); err == nil {
		t.Error("it can be changed")
	}
	if text, err := io.ReadAll(io.NewSectionReader(file, 0, 100)); err != nil || string(text) != "echo a\n" {
		t.Errorf("%q, %v", text, err)
	}
}
