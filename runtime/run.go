package runtime

import (
	"context"
	"crypto/rand"
	"strings"

	"golang.org/x/term"

	"croft/internal/fail"
)

// Run is Create, Start and Exec, and with o.Remove Destroy, in one; it returns
// the command's exit status. Without a command a person gets a shell. Whatever
// happens once the VPS exists, with o.Remove nothing of it is left.
func (m *Manager) Run(ctx context.Context, o RunOptions) (status int, err error) {
	name := o.Name
	if name == "" {
		name = madeUpName()
	}
	shell := len(o.Exec.Args) == 0
	if shell && !term.IsTerminal(int(o.Exec.Stdio.In.Fd())) {
		return 0, fail.New(fail.Usage, "no command to run, and standard input is no terminal").
			WithHint("croft run --template %s -- COMMAND", o.Template)
	}
	o.CreateOptions.Ephemeral = o.Remove
	if _, err := m.Create(ctx, name, o.CreateOptions); err != nil {
		return 0, err
	}
	if o.Remove {
		defer func() {
			e := m.Destroy(context.WithoutCancel(ctx), name, DestroyOptions{Force: true, IfExists: true})
			if err == nil {
				err = e
			} else if e != nil {
				m.warn(e.Error())
			}
		}()
	}
	if err := m.Start(ctx, name, StartOptions{Wait: o.Wait}); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if shell {
		return m.Enter(ctx, name, o.Exec.Stdio)
	}
	return m.Exec(ctx, name, o.Exec)
}

// madeUpName is a name for a VPS that nobody named.
func madeUpName() string { return "run-" + strings.ToLower(rand.Text()[:8]) }
