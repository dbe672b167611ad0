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
	"croft/internal/trace"
	"croft/runtime/diskuse"
	"croft/runtime/trash"
)

// Trash returns the destroyed VPSs that can be restored, by name, the newest of a name
// first; only those that choices mean, if there are any. It measures their files, and
// returns the error of ctx if that takes too long.
func (m *Manager) Trash(ctx context.Context, choices ...TrashChoice) ([]TrashInfo, error) {
	kept, err := m.chosenTrash(choices)
	if err != nil {
		return nil, err
	}
	all := make([]TrashInfo, len(kept))
	for i, t := range kept {
		disk, err := diskuse.Of(ctx, m.store.OwnDirs(t.VPS, t.FSDir())...)
		if err != nil {
			return nil, fail.New(fail.Host, "measure the files of %s in the trash: %w", t.Name, err)
		}
		all[i] = trash.InfoOf(t, disk)
	}
	return all, nil
}

// TrashNames returns what Trash lists, without measuring it.
func (m *Manager) TrashNames() ([]TrashChoice, error) {
	kept, err := m.store.Kept()
	var all []TrashChoice
	for _, t := range kept {
		all = append(all, TrashChoice{Name: t.Name, ID: t.ID})
	}
	return all, err
}

// chosenTrash returns what is in the trash, or with choices what they mean. A choice
// that means nothing is fail.NotFound.
func (m *Manager) chosenTrash(choices []TrashChoice) ([]state.Trashed, error) {
	kept, err := m.store.Kept()
	if err != nil || len(choices) == 0 {
		return kept, err
	}
	var all []state.Trashed
	for _, c := range choices {
		some := c.Matching(kept)
		if len(some) == 0 {
			_, _, err := c.Find(kept)
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// DeleteTrash deletes what is in the trash, in the background if it takes long; only
// the VPSs that choices mean, if there are any: all that had a name, or one of them. It
// cannot be restored any more when DeleteTrash returns. A VPS that another command
// restores or deletes meanwhile is left to that.
func (m *Manager) DeleteTrash(ctx context.Context, choices ...TrashChoice) error {
	kept, err := m.chosenTrash(choices)
	if err != nil {
		return err
	}
	for _, t := range kept {
		held, err := m.store.HoldTrashed(t)
		if fail.Is(err, fail.NotFound) || fail.Is(err, fail.Busy) {
			continue
		}
		if err != nil {
			return err
		}
		err = held.GiveUp()
		held.Close()
		if err != nil {
			return err
		}
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	return nil
}

// emptyTrash deletes the files of destroyed VPSs that are not kept, or not any more. If that takes longer than half a
// second a process in the background continues. If that is killed, later commands do
// it. An error is a warning.
func (m *Manager) emptyTrash(ctx context.Context) {
	defer trace.Span("delete the trash")()
	const quick = 500 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if err := m.templates.RemoveAbandoned(bounded, m.usedTemplates); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		m.warn(err.Error())
	}
	err := m.store.EmptyTrash(bounded)
	if errors.Is(err, context.DeadlineExceeded) {
		err = m.emptyTrashBehind()
	}
	if err != nil {
		m.warn(err.Error())
	}
}

// emptyTrashBehind starts a process that empties the trash and outlives this one. It
// inherits no descriptors, or it would keep a lock of the caller's shell until the
// last file is deleted.
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

// EmptyTrashCommand is the hidden command that deletes the files of destroyed VPSs.
const EmptyTrashCommand = "empty-trash"

// EmptyTrash is the command "croft empty-trash ROOT RUN".
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
