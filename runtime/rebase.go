package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/events"
	"croft/runtime/rebase"
	"croft/template"
	"croft/template/rootfs"
	"croft/template/rootfs/tree"
)

// RebaseOptions are the options of Rebase.
type RebaseOptions struct {
	Template string        // "": the newest image that has the name of the VPS's template
	DryRun   bool          // only say what would be
	Force    bool          // although the VPS has installed packages itself
	NoTrial  bool          // do not start the VPS to see whether it boots
	Timeout  time.Duration // of the trial; 0 is DefaultBootTimeout
}

// A RebasePlan says what Rebase does, or would do.
type RebasePlan struct {
	Name vps.Name `json:"name"`
	rebase.Plan
}

// Rebase gives the stopped VPS name the layers of another template below its own files.
// No-op if it has that template. It is fail.State for a VPS that runs, has plain storage or
// a checkpoint, or has installed packages itself, see o.Force.
//
// Then the VPS is started and has to boot, unless o.NoTrial is set, and is stopped again. If
// it does not boot, or ctx ends, it gets back what it had, its own files too. So the
// VPS is as before after an error. If this process is killed during the trial, there is the
// snapshot of rebase.SnapshotName.
func (m *Manager) Rebase(ctx context.Context, name vps.Name, o RebaseOptions) (RebasePlan, error) {
	image, err := m.newestImage(ctx, name, o.Template)
	if err != nil {
		return RebasePlan{}, err
	}
	plan, err := m.planRebase(ctx, name, image)
	if err != nil || plan.Same() || o.DryRun {
		return plan, err
	}
	if len(plan.Packages) > 0 && !o.Force {
		return plan, fail.New(fail.State, "%s has installed, updated or removed packages itself (%s); its package database would not match the new template",
			name, some(plan.Packages)).WithHint("croft help rebase")
	}
	snapshot := rebase.SnapshotName(time.Now())
	if _, err := m.CreateSnapshot(ctx, name, SnapshotOptions{Name: snapshot, Description: "before croft rebase"}); err != nil {
		return plan, err
	}
	whole := context.WithoutCancel(ctx)
	err = m.exchange(ctx, name, image)
	if err == nil && !o.NoTrial {
		err = m.tryBoot(ctx, name, o.Timeout)
	}
	if err != nil {
		if e := m.RestoreSnapshot(whole, name, snapshot); e != nil {
			return plan, fmt.Errorf("%w; and it has not got back what it had, which is in the snapshot %s: %w", err, snapshot, e)
		}
		err = fmt.Errorf("%w; it has its former template again", err)
	}
	if e := m.DeleteSnapshot(whole, name, snapshot); e != nil {
		m.warn(fmt.Sprintf("%s: the snapshot %s is not deleted: %v", name, snapshot, e))
	}
	return plan, err
}

// newestImage returns the image ref, or with "" the newest one that has the name of the
// template of the VPS.
func (m *Manager) newestImage(ctx context.Context, name vps.Name, ref string) (template.Image, error) {
	v, err := m.store.Get(name)
	if err != nil {
		return template.Image{}, err
	}
	if ref == "" {
		ref, _, _ = strings.Cut(v.Template.Name, "@")
	}
	image, err := m.templates.Ensure(ctx, ref)
	image.Name = templateName(ref, image)
	return image, err
}

// templateName returns the name of the template of a VPS whose user has named the image by ref: ref
// itself, or for a file the template that was imported from it.
func templateName(ref string, image template.Image) string {
	if file, _ := template.RefersToFile(ref); file {
		return image.Name
	}
	return ref
}

// planRebase compares the files of the VPS name, its template and the image.
func (m *Manager) planRebase(ctx context.Context, name vps.Name, image template.Image) (RebasePlan, error) {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return RebasePlan{}, err
	}
	defer l.Unlock()
	life, err := m.rebasable(l, v)
	if err != nil {
		return RebasePlan{}, err
	}
	defer state.ReleaseLife(life)
	all, below, err := m.stackOf(v, "")
	if err != nil {
		return RebasePlan{}, err
	}
	other, err := m.rootfs(withTemplate(v, image))
	if err != nil {
		return RebasePlan{}, err
	}
	own, err := m.pathsIn(ctx, below, all)
	if err != nil {
		return RebasePlan{}, err
	}
	changed, err := m.pathsIn(ctx, below, other.Below())
	if err != nil {
		return RebasePlan{}, err
	}
	plan := RebasePlan{Name: name, Plan: rebase.Of(own, changed)}
	plan.From, plan.To = v.Template.Digest, image.Digest
	return plan, nil
}

// rebasable returns the life lock of v, or fail.State if its template cannot be exchanged.
func (m *Manager) rebasable(l *state.Locked, v vps.VPS) (*os.File, error) {
	if v.Storage == vps.StoragePlain {
		return nil, fail.New(fail.State, "%s has plain storage: its files are a copy of its template, and there are no layers to exchange", v.Name).
			WithHint("croft help convert")
	}
	return m.exchangeable(l, v, "get another template")
}

// exchangeable returns the life lock of v, or fail.State if its files are in use. what is
// what the VPS can not do then.
func (m *Manager) exchangeable(l *state.Locked, v vps.VPS, what string) (*os.File, error) {
	if _, saved, err := m.store.Checkpoint(v.Name); err != nil {
		return nil, err
	} else if saved {
		return nil, fail.New(fail.State, "%s has a checkpoint, whose processes use the files of its template", v.Name).WithHint("croft start %s --cold", v.Name)
	}
	life, err := l.Life()
	if fail.Is(err, fail.State) {
		return nil, fail.New(fail.State, "%s is running, and only a stopped VPS can %s", v.Name, what).WithHint("croft list %s", v.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := m.notMounted(v.Name); err != nil {
		state.ReleaseLife(life)
		return nil, err
	}
	return life, nil
}

// pathsIn returns the paths in which two stacks differ.
func (m *Manager) pathsIn(ctx context.Context, old, new []rootfs.Frozen) (all []string, err error) {
	err = m.rootfses.Diff(ctx, m.store.RootfsDir(), old, new, func(c tree.Change) error {
		all = append(all, c.Path)
		return nil
	})
	return all, err
}

// withTemplate returns v with another template.
func withTemplate(v vps.VPS, image template.Image) vps.VPS {
	v = v.Clone()
	v.Template = vps.Template{Name: image.Name, Digest: image.Digest, Layers: image.Layers}
	return v
}

// exchange gives the VPS name the template image.
func (m *Manager) exchange(ctx context.Context, name vps.Name, image template.Image) error {
	l, v, err := m.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	life, err := m.rebasable(l, v)
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	now := withTemplate(v, image)
	root, err := m.rootfs(now)
	if err != nil {
		return err
	}
	if n := len(root.Frozen) + len(root.Layers); n >= rootfs.MaxLayers {
		return fail.New(fail.State, "%s would have %d layers, and overlay allows %d", name, n, rootfs.MaxLayers).WithHint("croft snapshot list %s", name)
	}
	if err := l.Put(now); err != nil {
		return err
	}
	if err := m.templates.Confirm(ctx, image); err != nil { // from now on it is kept for this VPS
		return errors.Join(err, l.Put(v))
	}
	m.event(v, events.Rebased, eventTemplate, image.Name+"@"+image.Digest)
	return nil
}

// tryBoot starts a VPS, waits until it has booted, and stops it. It is stopped after an error,
// too.
func (m *Manager) tryBoot(ctx context.Context, name vps.Name, timeout time.Duration) error {
	err := m.Start(ctx, name, StartOptions{Wait: WaitBooted, Timeout: timeout})
	if e := m.Stop(context.WithoutCancel(ctx), name, StopOptions{Fast: err != nil}); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("it does not boot with the new template: %w", err)
	}
	return nil
}

// some returns the first of many paths for a message.
func some(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return fmt.Sprintf("%s and %d more files", all[0], len(all)-1)
}
