package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/container"
)

// Kill sends a signal to name's init; SIGKILL ends the whole VPS, and Kill
// returns when it has ended. One that does not run is fail.State.
func (m *Manager) Kill(ctx context.Context, name string, sig syscall.Signal) error {
	l, _, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if held, err := m.store.LifeHeld(name); err != nil || !held {
		if err == nil {
			err = fail.New(fail.State, "%s is not running", name)
		}
		return err
	}
	if sig != syscall.SIGKILL {
		return m.containers.Signal(name, sig)
	}
	if err := m.store.UnmarkRunning(name); err != nil {
		return err
	}
	if err := requestStop(m.store, name); err != nil {
		return err
	}
	life, err := m.killLocked(ctx, l)
	if err != nil {
		return err
	}
	return life.Close()
}

// Pause stops every process of name where it is. A paused one is success.
func (m *Manager) Pause(ctx context.Context, name string) error {
	return m.freeze(ctx, name, m.containers.Freeze)
}

// Resume lets a paused VPS go on. One that is not paused is success.
func (m *Manager) Resume(ctx context.Context, name string) error {
	return m.freeze(ctx, name, m.containers.Thaw)
}

func (m *Manager) freeze(ctx context.Context, name string, how func(string) error) error {
	l, _, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	run, err := m.store.Run(name)
	if err != nil {
		return err
	}
	if run.State != state.Running || !alive(run.Init) {
		return m.notRunning(name)
	}
	if err := how(name); err != nil {
		if errors.Is(err, container.ErrAbsent) {
			return m.notRunning(name)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Destroy removes name and everything it has. It may be run again after any
// failure, and goes on from there. A running one is fail.State, unless
// o.Force has it killed.
func (m *Manager) Destroy(ctx context.Context, name string, o DestroyOptions) error {
	l, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err := m.readable(l, o.Force)
	if fail.Is(err, fail.NotFound) && o.IfExists {
		return nil
	}
	if err == nil {
		v, err = m.finishRename(ctx, l, v)
	}
	if err != nil {
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		if !o.Force {
			return fail.New(fail.State, "%s is running, and a running VPS is destroyed only with --force", name).WithHint("croft list %s", name)
		}
		if err := requestStop(m.store, name); err != nil {
			return err
		}
		life, err = m.killLocked(ctx, l)
	}
	if err != nil {
		return err
	}
	defer life.Close()
	return m.destroyLocked(context.WithoutCancel(ctx), l, v, o.Force)
}

// readable reads what a VPS should be. With force a file that cannot be read
// is no reason to keep the VPS: then only its name is known.
func (m *Manager) readable(l *state.Locked, force bool) (state.VPS, error) {
	v, err := l.VPS()
	if err == nil || fail.Is(err, fail.NotFound) || !force {
		return v, err
	}
	m.warn(err.Error())
	return m.byNameAlone(l.Name())
}

// byNameAlone finds out from the networks' tables which interfaces a VPS has
// whose own file cannot be read.
func (m *Manager) byNameAlone(name string) (state.VPS, error) {
	v := state.VPS{Name: name}
	for network, t := range m.tables() {
		for _, c := range t.Of(name) {
			v.Interfaces = append(v.Interfaces, state.Interface{Name: c.Interface, Network: network})
		}
	}
	return v, nil
}

// destroyLocked removes a VPS that does not run. Its files go last: as long as
// they are there, there is something to finish.
func (m *Manager) destroyLocked(ctx context.Context, l *state.Locked, v state.VPS, force bool) error {
	if run, err := m.store.Run(v.Name); err == nil && alive(run.Init) && run.State == state.Running && !force {
		return fail.New(fail.State, "%s is running without its monitor, and a running VPS is destroyed only with --force", v.Name).WithHint("croft list %s", v.Name)
	}
	if err := m.rootfses.Release(m.mountpoint(v.Name)); err != nil {
		return err
	}
	if err := m.sweep(ctx, v); err != nil {
		return err
	}
	if err := m.releaseAddresses(ctx, v); err != nil {
		return err
	}
	m.tellNames(ctx, networksOf(v))
	if err := m.store.RemoveRun(v.Name); err != nil {
		return err
	}
	if err := l.Trash(); err != nil {
		return err
	}
	return m.emptyTrash(ctx)
}

// emptyTrash deletes what destroyed VPSs have left, as long as that is quick;
// the rest is deleted by a process of its own, and by later commands if that
// one is killed.
func (m *Manager) emptyTrash(ctx context.Context) error {
	const quick = 500 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	err := m.store.EmptyTrash(bounded)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"croft", EmptyTrashCommand, m.store.Root, m.store.RunRoot}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("delete in the background: %w", err)
	}
	return cmd.Process.Release()
}

// EmptyTrashCommand is the word that makes croft delete what destroyed VPSs
// have left. It is for croft itself.
const EmptyTrashCommand = "empty-trash"

// EmptyTrash is what main calls for "croft empty-trash ROOT RUN".
func EmptyTrash(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "croft: empty-trash is for croft itself")
		return int(fail.Usage)
	}
	store, err := state.Open(args[0], args[1])
	if err == nil {
		err = store.EmptyTrash(context.Background())
	}
	if err != nil {
		return int(fail.KindOf(err))
	}
	return 0
}
