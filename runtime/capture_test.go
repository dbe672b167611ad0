package runtime

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
)

// A monitor takes no lock when it starts a VPS again. If it does so while the files of
// the VPS are copied, they are copied again, and the VPS stands still then.
func TestAStartDuringTheLastPass(t *testing.T) {
	for _, c := range []struct {
		name   string
		starts int // in so many passes
		want   fail.Kind
	}{{"once", 1, 0}, {"always", 100, fail.Busy}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			f := newFaulty(t, memoryDir(t))
			defer f.end()
			for _, do := range []func(*faulty) error{createWeb, startWeb, writeFile} {
				if err := do(f); err != nil {
					t.Fatal(err)
				}
			}
			put := func(change func(*state.Run)) {
				t.Helper()
				run, err := f.m.store.Run("web")
				if err != nil {
					t.Fatal(err)
				}
				change(&run)
				if err := f.m.store.PutRun("web", run); err != nil {
					t.Fatal(err)
				}
			}
			alive, err := f.m.store.Run("web")
			if err != nil {
				t.Fatal(err)
			}
			put(func(run *state.Run) { run.State, run.Init = state.Ended, state.Process{} })
			passes, froze := 0, 0
			f.w.before = func(_ int, what string) {
				switch {
				case what == "copy the last files":
					if passes++; passes <= c.starts {
						put(func(run *state.Run) { run.State, run.Init, run.Boot = state.Running, alive.Init, run.Boot+1 })
					}
				case what == "freeze":
					froze++
				}
			}
			_, err = f.m.CreateSnapshot(ctx, "web", SnapshotOptions{Name: "one"})
			f.w.before = nil
			if fail.KindOf(err) != c.want && (err != nil || c.want != 0) {
				t.Fatalf("it says %v", err)
			}
			if c.want == 0 && (passes != 2 || froze != 1) {
				t.Errorf("%d passes, and it was frozen %d times", passes, froze)
			}
		})
	}
}
