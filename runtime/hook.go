package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/hooks"
)

// How long a hook may run: one that a command waits for, and one that a monitor runs. A
// command that ends a VPS does not wait long for its monitor.
const (
	hookLimit        = 10 * time.Minute
	monitorHookLimit = time.Minute
)

// HookDir is the directory of hooks in the directory of the configuration.
const HookDir = "hooks.d"

// runHooks runs the hooks of a point for v. A hook that fails is fail.Hook, and its
// output is a warning for each line.
func (m *Manager) runHooks(ctx context.Context, at hooks.Point, v vps.VPS, env ...string) error {
	limit := hookLimit
	if m.hookLimit != 0 {
		limit = m.hookLimit
	}
	output, err := m.hooks.Run(ctx, hooks.Call{
		Point: at, Name: v.Name, Limit: limit,
		Env: append([]string{
			"CROFT_HOOK=" + string(at), "CROFT_NAME=" + string(v.Name), "CROFT_UUID=" + v.UUID,
			"CROFT_ROOT=" + m.store.Root, "CROFT_RUN_DIR=" + m.store.RunRoot, "CROFT_CONFIG_DIR=" + m.config,
		}, env...),
		Stdin: func() []byte { return m.description(ctx, v) },
	})
	for line := range strings.Lines(output) {
		m.warn(fmt.Sprintf("%s: %s: %s", v.Name, at, strings.TrimRight(line, "\r\n")))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// afterwards is runHooks for what has happened already: an error is a warning.
func (m *Manager) afterwards(ctx context.Context, at hooks.Point, v vps.VPS, env ...string) {
	if err := m.runHooks(context.WithoutCancel(ctx), at, v, env...); err != nil {
		m.warn(fmt.Sprintf("%s: %v", v.Name, err))
	}
}

// description is v as croft inspect prints it. If that cannot be found out it has only the
// name and the UUID.
func (m *Manager) description(ctx context.Context, v vps.VPS) []byte {
	info, err := m.looker().Inspect(context.WithoutCancel(ctx), v.Name)
	if err != nil {
		info = Info{Name: v.Name, UUID: v.UUID}
	}
	text, err := json.Marshal(info)
	if err != nil {
		return []byte("{}")
	}
	return append(text, '\n')
}

// afterStop runs the hooks of a VPS that has ended.
func (m *Manager) afterStop(ctx context.Context, v vps.VPS) {
	end := &state.End{}
	if run, err := m.store.Run(v.Name); err == nil && run.End != nil {
		end = run.End
	}
	m.afterwards(ctx, hooks.PostStop, v, "CROFT_REASON="+end.Reason, "CROFT_STATUS="+strconv.Itoa(end.Status), "CROFT_DETAIL="+end.Detail)
}

// hooksApart starts a process that runs the hooks of a VPS that this monitor has started
// again: the monitor itself becomes the holder, which reaps that process.
func (mon *monitor) hooksApart(v vps.VPS) error {
	all, err := mon.hooks.Find(v.Name)
	if err != nil || len(all) == 0 {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args = mon.arguments(monitorHooks)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startClean(cmd); err != nil {
		return fmt.Errorf("run hooks: %w", err)
	}
	return nil
}
