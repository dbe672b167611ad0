package look

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/runtime/inits"
	"croft/runtime/paths"
)

// booted reports whether the running VPS's init has finished booting: it said
// so (sd_notify(3)), or, for those that never do, its scripts have ended and
// left their mark: OpenRC a softlevel, sysvinit a runlevel in utmp, runit its
// supervisor, an inittab of croft's /run/booted. An init that leaves no mark has
// booted when it has settled. An init that has booted is not asked again. One that does
// not answer before ctx is done has not booted.
func (l Looker) Booted(ctx context.Context, name string, run state.Run) bool {
	if paths.Exists(paths.Booted(l.Store, name)) {
		return true
	}
	if run.Init.PID == 0 {
		return false
	}
	kind := initkind.Of(proc.Executable(run.Init.PID))
	switch {
	case kind == initkind.Croft:
		return true
	case kind == initkind.Systemd && !run.Adopted:
		return false // the command itself reports that
	case l.seenBooted(name, run.Init):
		return true
	case ctx.Err() != nil:
		return false
	}
	up := l.isUp(ctx, name, run.Init, kind)
	if up {
		l.noteBooted(name, run.Init)
	}
	return up
}

// isUp finds out whether init, which says nothing by itself, has booted. It asks
// processes and looks at files inside, which can take a second.
func (l Looker) isUp(ctx context.Context, name string, init state.Process, kind initkind.Kind) bool {
	if kind == initkind.Systemd {
		return l.systemdHasBooted(ctx, name)
	}
	left, err := inside.Look(ctx, inside.Identity(init), func(root *inside.Root) (bool, error) { return inits.LeftBootMark(init.PID, root), nil })
	if err == nil && left {
		return inits.ScriptsEnded(init.PID)
	}
	return inits.HasSettled(init.PID)
}

// knownUp reports whether init was found to have booted. What is noted of an
// earlier init of the VPS does not count.
func (l Looker) seenBooted(name string, init state.Process) bool {
	text, err := os.ReadFile(paths.SeenBooted(l.Store, name))
	return err == nil && string(text) == bootedNote(init)
}

// noteUp notes that init has booted. Without the note it is found out again, so
// a failure does not matter.
func (l Looker) noteBooted(name string, init state.Process) {
	if !l.ReadOnly {
		_ = os.WriteFile(paths.SeenBooted(l.Store, name), []byte(bootedNote(init)), 0o600)
	}
}

func bootedNote(init state.Process) string { return fmt.Sprintf("%d %d\n", init.PID, init.StartTime) }

// systemdIsUp asks a systemd whether it has booted.
func (l Looker) systemdHasBooted(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	state, _ := l.Output(ctx, name, "systemctl", "is-system-running") // degraded is not status 0
	state = strings.TrimSpace(state)
	return state == "running" || state == "degraded"
}
