package runtime

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/hostfacts"
	"croft/runtime/mounts"
)

// mountsOf returns all, which are mounts of v, with what the host has for them.
func (m *Manager) mountsOf(v vps.VPS, all []vps.Mount) []mounts.Mount {
	var memory int64
	if limit := hostfacts.EffectiveLimits(v.Limits, m.capacity()).Memory; limit > 0 {
		memory = limit
	}
	var found []mounts.Mount
	for _, mount := range all {
		f := mounts.Mount{Mount: mount, Path: mount.Source, Memory: memory}
		if mount.Kind == vps.MountVolume {
			f.Path = m.store.VolumeData(mount.Source)
		}
		found = append(found, f)
	}
	return found
}

// volumesOf returns the names of the volumes among all.
func volumesOf(all []vps.Mount) []string {
	var names []string
	for _, m := range all {
		if m.Kind == vps.MountVolume && !slices.Contains(names, m.Source) {
			names = append(names, m.Source)
		}
	}
	return names
}

// guest returns the VPS v, whose init is p, for mounts.
func (m *Manager) guest(v vps.VPS, p *inside.Process) mounts.Guest {
	return mounts.Guest{
		Name: v.Name, IDs: v.IDs, Process: p, Scratch: m.store.RunDir(v.Name),
		PIDs: func() ([]int, error) { return m.containers.Processes(string(v.Name)) },
	}
}

// checkSources returns an error if v could not have one of the mounts all now.
func (m *Manager) checkSources(v vps.VPS, all []vps.Mount) error {
	for _, mount := range all {
		if mount.Kind != vps.MountHost {
			continue
		}
		for _, own := range m.ownDirectories() {
			if mount.Source == own || strings.HasPrefix(mount.Source, own+"/") {
				return fail.New(fail.Usage, "cannot mount %s: %s belongs to croft; use a volume", mount.Source, own).WithHint("croft volume --help")
			}
		}
	}
	return m.mounts.Check(m.mountsOf(v, all), v.Privileged)
}

// ownDirectories are the directories of croft, also by their paths without links.
func (m *Manager) ownDirectories() []string {
	all := []string{m.store.Root, m.store.RunRoot}
	for _, dir := range all {
		if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
			all = append(all, real)
		}
	}
	return all
}

// checkNewMounts checks the sources of mounts that a change adds.
func (c *change) checkNewMounts() error {
	return c.checkSources(c.now.VPS, missing(c.now.Mounts, c.was.Mounts))
}

// checkMounts returns an error that names the first mount whose source v, which is
// about to start, cannot have.
func (m *Manager) checkMounts(v vps.VPS) error {
	for _, mount := range v.Mounts {
		if err := m.checkSources(v, []vps.Mount{mount}); err != nil {
			return fail.New(fail.KindOf(err), "its mount on %s: %w", mount.Target, err).
				WithHint("croft set %s --mount-del /%s", v.Name, strings.TrimPrefix(mount.Target, "/"))
		}
	}
	return nil
}

// mountAll mounts all that v has in it, while its init, p, waits.
func (m *Manager) mountAll(ctx context.Context, v vps.VPS, p *inside.Process) error {
	if len(v.Mounts) == 0 {
		return nil
	}
	return m.mounts.Ensure(ctx, m.guest(v, p), m.mountsOf(v, vps.PlanMounts(nil, v.Mounts).Ensure))
}

// applyMounts makes a running VPS have the mounts of to. A mount that is in use is
// not removed.
func (c *change) applyMounts(ctx context.Context, from, to side) error {
	p, err := c.init.Open()
	if err != nil {
		return err
	}
	defer p.Close()
	plan := vps.PlanMounts(from.Mounts, to.Mounts)
	g := c.guest(to.VPS, p)
	for _, m := range c.mountsOf(from.VPS, plan.Remove) {
		if err := c.mounts.Remove(ctx, g, m); err != nil {
			return err
		}
	}
	return c.mounts.Ensure(ctx, g, c.mountsOf(to.VPS, plan.Ensure))
}
