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
	"croft/internal/vps"
	"croft/runtime/inits"
	"croft/runtime/paths"
)

// Booted reports whether the init of a running VPS has finished booting. systemd
// tells its monitor (sd_notify(3)). Other inits leave a boot mark and end their
// boot scripts, or they settle: see package inits. The result is noted, so an init
// that has booted is not asked again. An init that does not answer before ctx is
// done has not booted.
func (l Looker) Booted(ctx context.Context, name vps.Name, run state.Run) bool {
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
		return false // it will tell its monitor
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

// isUp finds out whether an init that does not tell its monitor has booted. That
// can take a second.
func (l Looker) isUp(ctx context.Context, name vps.Name, init state.Process, kind initkind.Kind) bool {
	if kind == initkind.Systemd {
		return l.systemdHasBooted(ctx, name)
	}
	left, err := inside.Look(ctx, inside.Identity(init), func(root *inside.Root) (bool, error) { return inits.LeftBootMark(init.PID, root), nil })
	if err == nil && left {
		return inits.ScriptsEnded(init.PID)
	}
	return inits.HasSettled(init.PID)
}

// seenBooted reports whether a note says that init has booted. A note about an
// earlier init of the VPS does not count.
func (l Looker) seenBooted(name vps.Name, init state.Process) bool {
	text, err := os.ReadFile(paths.SeenBooted(l.Store, name))
	return err == nil && string(text) == bootedNote(init)
}

// noteBooted notes that init has booted. A failure does not matter: without the
// note the next command asks again.
func (l Looker) noteBooted(name vps.Name, init state.Process) {
	if !l.ReadOnly {
		if l.Told != nil {
			l.Told(name)
		}
		_ = os.WriteFile(paths.SeenBooted(l.Store, name), []byte(bootedNote(init)), 0o600)
	}
}

func bootedNote(init state.Process) string { return fmt.Sprintf("%d %d\n", init.PID, init.StartTime) }

// systemdHasBooted asks systemd inside whether it has booted.
func (l Looker) systemdHasBooted(ctx context.Context, name vps.Name) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	state, _ := l.Output(ctx, name, "systemctl", "is-system-running") // its status is not 0 for degraded
	state = strings.TrimSpace(state)
	return state == "running" || state == "degraded"
}
