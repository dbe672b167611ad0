package runtime

import (
	"context"

	"croft/internal/fail"
	"croft/runtime/console"
)

// Console joins the caller's terminal to the console of the running VPS name,
// until they type the way out or the VPS ends.
func (m *Manager) Console(ctx context.Context, name string, io Stdio) error {
	if _, err := m.running(ctx, name); err != nil && !fail.Is(err, fail.State) {
		return err
	}
	held, err := m.store.LifeHeld(name)
	if err != nil {
		return err
	}
	if !held {
		return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
	}
	return console.Attach(ctx, consoleSocket(m.store, name), io.In, io.Out)
}
