package host

import (
	"errors"
	"testing"

	"croft/internal/inside"
	"croft/internal/vps"
)

// A process that has the number of a VPS's init, and is another one, is never
// entered.
func TestNumberOfAnotherProcess(t *testing.T) {
	h := newHost(t)
	pid := newVPS(t)
	init := initOf(pid)
	for what, other := range map[string]inside.Identity{
		"older": {PID: pid, StartTime: init.StartTime - 1},
		"later": {PID: pid, StartTime: init.StartTime + 1},
		"none":  {},
	} {
		entered := false
		if err := within(other, func() error { entered = true; return nil }); !errors.Is(err, inside.ErrGone) || entered {
			t.Errorf("%s: entered %v, %v", what, entered, err)
		}
		if err := h.SetRouting(vps.Routing{}, nil, other); !errors.Is(err, inside.ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := within(init, func() error { return nil }); err != nil {
		t.Error(err)
	}
}
