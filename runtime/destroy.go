package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// Destroy removes name and everything it has. A running one is fail.State,
// unless o.Force has it killed. A VPS whose files cannot be moved away is
// left as it is, running or not. Once its directory is gone so is the VPS: what
// else it has left is released then, or by the next command that uses its name,
// its addresses or its ids.
func (m *Manager) Destroy(ctx context.Context, name string, o DestroyOptions) error {
	l, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return m.destroyHeld(ctx, l, o)
}

// destroyHeld is Destroy for a VPS whose lock is held.
func (m *Manager) destroyHeld(ctx context.Context, l *state.Locked, o DestroyOptions) error {
	name := l.Name()
	v, err := m.loadToDestroy(l, o.Force)
	if fail.Is(err, fail.NotFound) {
		if e := m.clearRemains(context.WithoutCancel(ctx), l, o.Force); e != nil {
			return e
		}
		m.emptyTrash(context.WithoutCancel(ctx))
		if o.IfExists {
			return nil
		}
	}
	if err != nil {
		return err
	}
	if err := m.store.CheckTrash(name); err != nil { // before anything is killed
		return err
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		if !o.Force {
			return fail.New(fail.State, "%s is running, and a running VPS is destroyed only with --force", name).WithHint("croft list %s", name)
		}
		if err := requestStop(m.store, name); err != nil {
			m.warn(err.Error()) // a VPS that is killed does not reboot
		}
		life, err = m.killLocked(ctx, l, v)
	}
	if err != nil {
		return err
	}
	defer life.Close()
	return m.destroyLocked(context.WithoutCancel(ctx), l, v, o.Force)
}

// readable reads what a VPS should be. With force a file that cannot be read
// is no reason to keep the VPS: then only its name is known.
func (m *Manager) loadToDestroy(l *state.Locked, force bool) (vps.VPS, error) {
	v, err := l.VPS()
	if err == nil || fail.Is(err, fail.NotFound) || !force {
		return v, err
	}
	m.warn(err.Error())
	return m.byNameAlone(l.Name())
}

// byNameAlone finds out from the networks' tables which interfaces a VPS has
// whose own file cannot be read.
func (m *Manager) byNameAlone(name string) (vps.VPS, error) {
	v := vps.VPS{Name: name}
	for network, t := range m.networkTables().Mentioning(name) {
		for _, c := range t.Of(name) {
			v.Interfaces = append(v.Interfaces, vps.Interface{Name: c.Interface, Network: network})
		}
	}
	return v, nil
}

// destroyLocked removes a VPS that has no monitor. Its directory is moved
// before its addresses are released: a VPS that exists has its addresses, and
// claims without a VPS are swept anyway. So destroy writes nothing before the
// move, and a full disk does not stop it.
func (m *Manager) destroyLocked(ctx context.Context, l *state.Locked, v vps.VPS, force bool) error {
	if err := m.killStrays(v, force); err != nil {
		return err
	}
	if err := m.rootfses.Release(m.mountpoint(v.Name)); err != nil {
		return err
	}
	if err := m.sweepUnlessNew(ctx, v); err != nil {
		return err
	}
	if err := m.trash(ctx, l); err != nil {
		return err
	}
	if err := l.UnlistEphemeral(); err != nil {
		m.warn(err.Error())
	}
	err := errors.Join(m.networkTables().Release(ctx, v), m.releaseFormer(ctx, v), m.store.ForgetRename(v.Name))
	m.names().Update(ctx, tables.NetworksOf(v))
	if err := errors.Join(err, m.store.RemoveRun(v.Name)); err != nil {
		m.warn(fmt.Sprintf("%s is removed, but not everything that it had; the next commands release the rest: %v", v.Name, err))
	}
	m.emptyTrash(ctx)
	return nil
}

// releaseFormer releases what v, which is in the trash, owned by the name that
// it had before a rename that was cut short. Who holds that name's lock
// releases it as well.
func (m *Manager) releaseFormer(ctx context.Context, v vps.VPS) error {
	if v.RenamedFrom == "" || v.RenamedFrom == v.Name || paths.Exists(m.store.VPSDir(v.RenamedFrom)) {
		return nil
	}
	l, err := m.store.Lock(ctx, v.RenamedFrom, m.command, 0)
	if fail.Is(err, fail.Busy) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Unlock()
	if paths.Exists(m.store.VPSDir(v.RenamedFrom)) {
		return nil
	}
	return m.clearRemains(ctx, l, false)
}

// sweepUnlessNew sweeps what v has on the host. One that has never run in this
// boot of the host has nothing there, so that it can be destroyed without the
// right to change the host's network.
func (m *Manager) sweepUnlessNew(ctx context.Context, v vps.VPS) error {
	err := m.sweep(ctx, v)
	if fail.Is(err, fail.Permission) && !paths.Exists(m.store.RunDir(v.Name)) {
		m.warn(err.Error())
		return nil
	}
	return err
}

// trash moves the locked VPS into the trash. Where even that needs room which
// the disk does not have, it empties the trash first.
func (m *Manager) trash(ctx context.Context, l *state.Locked) error {
	err := l.Trash()
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	if e := m.store.EmptyTrash(ctx); e != nil {
		m.warn(e.Error())
	}
	return l.Trash()
}

// clearRemains releases what a VPS that does not exist has left under the
// locked name: a destroy or a create that was killed leaves addresses, a VPS
// whose files were removed by hand leaves processes too. With force these are
// killed; else they are fail.State.
func (m *Manager) clearRemains(ctx context.Context, l *state.Locked, force bool) error {
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		if !force {
			return strays(l.Name(), "its monitor runs")
		}
		life, err = m.killLocked(ctx, l, vps.VPS{Name: l.Name()})
	}
	if err != nil {
		return err
	}
	defer life.Close()
	pids, err := m.containers.Remains(l.Name())
	if err == nil && len(pids) > 0 {
		if !force {
			return strays(l.Name(), fmt.Sprintf("pid %d is in its cgroup", pids[0]))
		}
		m.killHolder(pids)
		err = m.containers.EndRemains(l.Name())
	}
	if err != nil {
		return err
	}
	if other, err := m.store.Renamed(l.Name()); err != nil || other != "" {
		return err // what carries the name is that VPS's
	}
	if err := m.store.ForgetRename(l.Name()); err != nil {
		return err
	}
	v, err := m.byNameAlone(l.Name())
	if err != nil || len(v.Interfaces) == 0 && !paths.Exists(m.store.RunDir(v.Name)) {
		return err
	}
	if err := m.sweepUnlessNew(ctx, v); err != nil {
		return err
	}
	return errors.Join(m.networkTables().Release(ctx, v), m.store.RemoveRun(v.Name))
}

// strays is fail.State for a name whose VPS is gone while its processes run.
func strays(name, why string) error {
	return fail.New(fail.State, "the files of %s are gone and it still runs: %s", name, why)
}

// emptyTrash deletes what destroyed VPSs have left, as long as that is quick;
// the rest is deleted by a process of its own, and by later commands if that
// one is killed. A failure is a warning: what is in the trash is no one's VPS.
func (m *Manager) emptyTrash(ctx context.Context) {
	const quick = 500 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	err := m.store.EmptyTrash(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = m.emptyTrashBehind()
	}
	if err != nil {
		m.warn(err.Error())
	}
}

// emptyTrashBehind starts a process that empties the trash and outlives this
// one. It inherits no descriptor: a lock that the caller's shell holds would
// be held until the last file is deleted.
func (m *Manager) emptyTrashBehind() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("keep descriptors from being inherited: %w", err)
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
