package runtime

import (
	"context"
	"errors"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/container"
)

// CreateTemplate makes the template name of what vps was made from and what it
// has changed since. A running one stands still meanwhile; whatever happens, it
// goes on afterwards unless it was paused before.
func (m *Manager) CreateTemplate(ctx context.Context, name, vps string, o TemplateCreate) (_ TemplateInfo, err error) {
	l, v, err := m.existingAsIs(ctx, vps)
	if err != nil {
		return TemplateInfo{}, err
	}
	defer l.Unlock()
	root, err := m.rootfs(v)
	if err != nil {
		return TemplateInfo{}, err
	}
	thaw, err := m.standStill(vps)
	if err != nil {
		return TemplateInfo{}, err
	}
	defer func() {
		if e := thaw(); err == nil {
			err = e
		} else if e != nil {
			m.warn(e.Error())
		}
	}()
	return m.templates.Derive(ctx, name, v.Template.Digest, root, o)
}

// standStill keeps a running VPS from doing anything until the function that
// it returns is called. One that does not run, or is paused, is left as it is.
// The caller has its lock.
func (m *Manager) standStill(name string) (func() error, error) {
	goOn := func() error { return nil }
	run, err := m.store.Run(name)
	if err != nil || run.State != state.Running || !alive(run.Init) {
		return goOn, err
	}
	frozen, err := m.containers.Frozen(name)
	if err != nil || frozen {
		return goOn, ended(name, err)
	}
	if err := m.containers.Freeze(name); err != nil {
		return goOn, ended(name, err)
	}
	return func() error { return ended(name, m.containers.Thaw(name)) }, nil
}

// ended forgives that a VPS has just ended of itself: it stands still.
func ended(name string, err error) error {
	if err == nil || errors.Is(err, container.ErrAbsent) {
		return nil
	}
	return fail.New(fail.Host, "%s: %w", name, fmt.Errorf("let it stand still: %w", err)).WithHint("croft resume %s", name)
}
