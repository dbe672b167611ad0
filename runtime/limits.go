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
	disks, _ := c.disksOf(to.Limits) // warnUnmet names the others
	err := c.containers.SetLimits(string(to.Name), bundles.Resources(to.Limits, c.capacity(), disks))
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

// warnLimits warns of limits of the VPS name that are higher than what this host has,
// and of those of warnUnmet.
func (m *Manager) warnLimits(name vps.Name, l vps.Limits) {
	m.warnAll(name, hostfacts.Exceeding(l, m.capacity()))
	m.warnUnmet(name, l)
}

// warnUnmet warns of limits of the VPS name that have no effect on this host.
func (m *Manager) warnUnmet(name vps.Name, l vps.Limits) {
	disks, _ := m.disksOf(l)
	m.warnAll(name, hostfacts.Unmet(l, m.capacity(), disks))
}
