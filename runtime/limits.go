package runtime

import (
	"context"
	"errors"

	"croft/bundles"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/hostfacts"
)

// applyLimits gives the cgroup of a running VPS the limits of to. What the host cannot
// limit is left out, as at a start.
func (c *change) applyLimits(_ context.Context, _, to side) error {
	disks, _ := c.disksOf(to.Limits) // unmet names the others
	limits := to.Limits
	limits.CPUSet = to.cpus
	if err := c.store.PutCPUs(to.Name, to.cpus); err != nil { // a VPS that rebooted meanwhile has others
		return err
	}
	err := c.containers.SetLimits(string(to.Name), bundles.Resources(limits, c.capacity(), disks))
	if errors.Is(err, container.ErrAbsent) {
		return inside.ErrGone
	}
	return err
}

// disksOf returns the disks that l is about. The error says why some are missing.
func (m *Manager) disksOf(l vps.Limits) (bundles.Disks, error) {
	return hostfacts.FindDisks(l, m.disk)
}

// checkLimits is fail.Usage if now, which replaces was, has a CPU or a disk that the
// host does not have, and fail.Host if the host's kernel does not have one of the
// limits. Limits that stay are not checked: the host may have changed.
func (m *Manager) checkLimits(was, now vps.Limits) error {
	if err := hostfacts.CheckSupported(was, now, m.capacity()); err != nil {
		return err
	}
	if now.CPUSet != was.CPUSet {
		if err := hostfacts.CheckCPUs(now.CPUSet, m.capacity()); err != nil {
			return err
		}
	}
	for _, device := range missing(hostfacts.IODevices(now), hostfacts.IODevices(was)) {
		if _, err := m.disk(device); err != nil {
			return err
		}
	}
	return nil
}

// limitWarnings returns warnings of limits of now that was does not have and that are
// higher than what this host has, or have no effect on it.
func (m *Manager) limitWarnings(was, now vps.Limits) []string {
	return append(hostfacts.Exceeding(was, now, m.capacity()), m.unmet(was, now)...)
}

// unmet returns warnings of limits of now that was does not have and that have no effect
// on this host.
func (m *Manager) unmet(was, now vps.Limits) []string {
	disks, _ := m.disksOf(now)
	return hostfacts.Unmet(was, now, m.capacity(), disks)
}

// boundBuild gives the build of a template the limits that a VPS has by default.
func boundBuild(e container.Engine) func(ctx context.Context, pid int) (remove func(), err error) {
	return func(ctx context.Context, pid int) (remove func(), err error) {
		c := hostfacts.Capacity()
		return e.BoundBuild(ctx, pid, c.DefaultMemory(), c.DefaultPIDs())
	}
}
