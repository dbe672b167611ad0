package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/term"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/console"
	"croft/runtime/paths"
)

// consolePatience is how long a console waits for the VPS's new monitor.
const consolePatience = 10 * time.Second

// Console joins the caller's terminal to the console of the running VPS name,
// until they type the way out or the VPS ends. If only its monitor ends, the
// VPS gets a new one, and the console goes on there. It is fail.Busy if as many
// consoles are attached as can be.
func (m *Manager) Console(ctx context.Context, name string, io Stdio) error {
	if io.Err != nil && term.IsTerminal(int(io.In.Fd())) {
		fmt.Fprintf(io.Err, "croft: attached to %s; %s detaches\n", name, console.DetachKeys)
	}
	var limit time.Time
	for {
		was, err := m.running(ctx, name)
		if err != nil && !fail.Is(err, fail.State) {
			return err
		}
		held, err := m.store.LifeHeld(name)
		if err != nil {
			return err
		}
		if !held && !alive(was.Init) {
			return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
		}
		// Its monitor was killed, and it has no new one yet.
		err = fail.New(fail.State, "attach to the console: %w", console.ErrNotServed)
		if held {
			err = console.Attach(ctx, paths.ConsoleSocket(m.store, name), io.In, io.Out)
		}
		if errors.Is(err, console.ErrNotServed) && alive(was.Init) {
			// Another command may be giving the VPS its new monitor.
			if limit.IsZero() {
				limit = time.Now().Add(consolePatience)
			}
			if time.Now().Before(limit) {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(50 * time.Millisecond):
					continue
				}
			}
		}
		if !errors.Is(err, console.ErrClosed) {
			return err
		}
		limit = time.Time{}
		now, err := m.store.Run(name)
		switch {
		case err != nil || now.State != state.Running || !alive(now.Init) || now.Init != was.Init:
			return nil // it has ended
		case now.Monitor == was.Monitor && alive(now.Monitor):
			return fail.New(fail.Busy, "the monitor of %s has closed the console: too many are attached", name)
		}
		m.warn(fmt.Sprintf("%s: its monitor was killed; the console goes on with a new one", name))
	}
}
