package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/term"

	"croft/internal/fail"
	"croft/runtime/console"
	"croft/runtime/observe"
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
		if !held && !observe.Alive(was.Init) {
			return observe.NotRunning(name, StatusStopped)
		}
		// Its monitor was killed, and it has no new one yet.
		err = fail.New(fail.State, "attach to the console: %w", console.ErrNotServed)
		if held {
			err = console.Attach(ctx, paths.ConsoleSocket(m.store, name), io.In, io.Out)
		}
		if errors.Is(err, console.ErrNotServed) && observe.Alive(was.Init) {
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
		now, err := m.observe(name)
		switch {
		case err != nil || !now.Alive || now.Run.Init != was.Init:
			return nil // it has ended
		case now.Run.Monitor == was.Monitor && observe.Alive(now.Run.Monitor):
			return fail.New(fail.Busy, "the monitor of %s has closed the console: too many are attached", name)
		}
		m.warn(fmt.Sprintf("%s: its monitor was killed; the console goes on with a new one", name))
	}
}
