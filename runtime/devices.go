package runtime

import (
	"context"
	"errors"
	"slices"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/hostdevices"
)

// startDevices is devicesOf with warnings of devices that the host uses itself.
func (m *Manager) startDevices(v vps.VPS) ([]bundles.Device, error) {
	all, err := m.devicesOf(v)
	m.warnAll(v.Name, m.devices.Uses(all))
	return distinct(all), err
}

// devicesOf returns the nodes that v gets at a start, beside those that every
// VPS has. A device that the host does not have is fail.Host, unless it is
// optional.
func (m *Manager) devicesOf(v vps.VPS) ([]bundles.Device, error) {
	var all []bundles.Device
	for _, d := range v.Devices {
		found, err := m.findDevice(v, d)
		if fail.Is(err, fail.NotFound) {
			return nil, fail.New(fail.Host, "%s cannot have its device %s: %w", v.Name, d, err).
				WithHint("croft set %s --device-del %s", v.Name, d.Name())
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// findDevice returns the nodes of d, which v has. One that is optional may have
// none. It is fail.NotFound if the host does not have the device.
func (m *Manager) findDevice(v vps.VPS, d vps.Device) ([]bundles.Device, error) {
	found, err := m.devices.Find(d)
	if fail.Is(err, fail.NotFound) && d.Optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, node := range found {
		if err := hostdevices.Check(node, v.Privileged); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// distinct returns all without those whose path an earlier one has.
func distinct(all []bundles.Device) []bundles.Device {
	var kept []bundles.Device
	for _, d := range all {
		if !slices.ContainsFunc(kept, func(o bundles.Device) bool { return o.Path == d.Path }) {
			kept = append(kept, d)
		}
	}
	return kept
}

// checkDevices rejects added devices with which v could not start, and warns of
// those that the host uses itself.
func (m *Manager) checkDevices(v vps.VPS, added []vps.Device) error {
	for _, d := range added {
		found, err := m.findDevice(v, d)
		if fail.Is(err, fail.NotFound) {
			return fail.New(fail.NotFound, "device %s: %w; with the option \"optional\" a VPS starts without it", d, err)
		}
		if err != nil {
			return err
		}
		m.warnAll(v.Name, m.devices.Uses(found))
	}
	return nil
}

// applyDevices gives a running VPS the devices of to: the rules of its cgroup, and
// the nodes. A device that it has had and that the host does not have any more
// stays as it is until the next start.
func (c *change) applyDevices(ctx context.Context, from, to side) error {
	host, err := c.host()
	if err != nil {
		return err
	}
	var found []bundles.Device
	var kept []string
	for _, d := range to.Devices {
		nodes, err := c.findDevice(to.VPS, d)
		had := slices.Contains(from.Devices, d)
		if err != nil && !(had && fail.Is(err, fail.NotFound)) {
			return err
		}
		if len(nodes) == 0 && had {
			kept = append(kept, d.Name())
		}
		found = append(found, nodes...)
	}
	found = distinct(found)
	removed := slices.DeleteFunc(c.devicePaths(from.VPS), func(path string) bool {
		return slices.Contains(kept, path) || slices.ContainsFunc(found, func(d bundles.Device) bool { return d.Path == path })
	})
	err = c.containers.SetDevices(string(to.Name), bundles.DeviceRules(append(slices.Clone(host.Devices), found...)))
	if errors.Is(err, container.ErrAbsent) {
		return inside.ErrGone
	}
	if err != nil {
		return err
	}
	return c.guests.ChangeDevices(ctx, c.init, to.IDs.First, found, removed, c.store.RunDir(to.Name))
}

// devicePaths returns the paths inside of the devices of v. Those of a class are
// known only while the host has the device.
func (m *Manager) devicePaths(v vps.VPS) []string {
	var paths []string
	for _, d := range v.Devices {
		if !d.Class() || d.Path != "" {
			paths = append(paths, d.Name())
			continue
		}
		nodes, _ := m.devices.Find(d)
		for _, node := range nodes {
			paths = append(paths, node.Path)
		}
	}
	return paths
}
