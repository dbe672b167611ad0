package runtime

import (
	"context"
	"maps"
	"net/netip"
	goruntime "runtime"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/foreign"
	"croft/runtime/trash"
)

// architecture returns Go's name of an architecture that another tool names; "" is one that
// croft does not know.
func architecture(name string) string {
	switch name {
	case "amd64", "x86_64", "linux64":
		return "amd64"
	case "i386", "i686", "x86", "linux32":
		return "386"
	case "arm64", "aarch64":
		return "arm64"
	case "armhf", "armv7l", "armv7", "armel":
		return "arm"
	case "riscv64", "ppc64le", "s390x":
		return name
	}
	return ""
}

// runsHere reports whether this host runs programs for arch.
func runsHere(arch string) bool {
	return arch == goruntime.GOARCH || arch == "386" && goruntime.GOARCH == "amd64" || arch == "arm" && goruntime.GOARCH == "arm64"
}

// foreignHost is what this host has for the interfaces of a container.
func (m *Manager) foreignHost(chosen []vps.AddInterface) (foreign.Host, error) {
	h := foreign.Host{Default: DefaultNetwork, None: NoNetwork, Chosen: chosen}
	own, err := m.networks.Addresses()
	if err != nil {
		return h, err
	}
	tables := m.networkTables().All()
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		h.Networks = append(h.Networks, foreignNetwork(tables[name], own))
	}
	if _, exists := tables[DefaultNetwork]; !exists { // the first VPS on it creates it
		h.Networks = append(h.Networks, foreign.Network{Name: DefaultNetwork})
	}
	return h, nil
}

func foreignNetwork(t network.Table, host []netip.Addr) foreign.Network {
	bridge := t.Bridge
	if bridge == "" {
		bridge = t.Parent
	}
	return foreign.Network{
		Name: t.Name, Bridge: bridge, Prefixes: t.Prefixes(),
		Taken: func(a netip.Addr) error {
			try := t
			try.Claims = slices.Clone(t.Claims)
			_, err := try.Claim("another", "eth0", []netip.Addr{a}, host)
			return err
		},
		HasMAC: func(mac string) bool {
			return slices.ContainsFunc(t.Claims, func(c network.Claim) bool { return c.MAC == mac })
		},
	}
}

// A hostFit takes from the settings of a VPS what this host cannot give it.
type hostFit struct {
	*Manager
	vps  *vps.VPS
	left []NotTaken
}

func (h *hostFit) lose(key, value string, err error) {
	h.left = append(h.left, NotTaken{Key: key, Value: value, Reason: err.Error()})
}

func (h *hostFit) fit(ctx context.Context) error {
	v := h.vps
	h.limits()
	v.Mounts = slices.DeleteFunc(v.Mounts, func(m vps.Mount) bool {
		err := h.checkSources(vps.VPS{Name: v.Name}, []vps.Mount{m})
		if err != nil {
			h.lose("mount", m.String(), err)
		}
		return err != nil
	})
	v.Devices = slices.DeleteFunc(v.Devices, func(d vps.Device) bool {
		_, err := h.findDevice(vps.VPS{Name: v.Name}, d)
		if err != nil {
			h.lose("device", d.String(), err)
		}
		return err != nil
	})
	for _, key := range slices.Sorted(maps.Keys(v.Sysctls)) {
		if err := h.trySysctls(ctx, map[string]string{key: v.Sysctls[key]}, false); err != nil {
			h.lose("sysctl", key+"="+v.Sysctls[key], err)
			delete(v.Sysctls, key)
		}
	}
	return h.ports()
}

// limits takes away the limits that this host does not have.
func (h *hostFit) limits() {
	l := &h.vps.Limits
	lose := func(key string, only vps.Limits, reset func()) {
		if err := h.checkLimits(vps.Limits{}, only); err != nil {
			h.lose(key, "", err)
			reset()
		}
	}
	lose("memory and swap", vps.Limits{Memory: l.Memory, Swap: l.Swap}, func() { l.Memory, l.Swap = 0, 0 })
	lose("cpus", vps.Limits{MilliCPUs: l.MilliCPUs}, func() { l.MilliCPUs = 0 })
	lose("pids", vps.Limits{PIDs: l.PIDs}, func() { l.PIDs = 0 })
	lose("memory-low", vps.Limits{MemoryLow: l.MemoryLow}, func() { l.MemoryLow = 0 })
	lose("cpu-weight", vps.Limits{CPUWeight: l.CPUWeight}, func() { l.CPUWeight = 0 })
	lose("cpuset", vps.Limits{CPUSet: l.CPUSet}, func() { l.CPUSet = "" })
	lose("io-weight", vps.Limits{IOWeight: l.IOWeight}, func() { l.IOWeight = 0 })
	lose("io-read", vps.Limits{IORead: l.IORead}, func() { l.IORead = nil })
	lose("io-write", vps.Limits{IOWrite: l.IOWrite}, func() { l.IOWrite = nil })
}

// ports takes away published ports that this host does not have, or that others use.
func (h *hostFit) ports() error {
	if len(h.vps.Published) == 0 {
		return nil
	}
	has, err := h.hostHas()
	if err != nil {
		return err
	}
	others, err := h.store.Publishers()
	if err != nil {
		return err
	}
	h.vps.Published = slices.DeleteFunc(h.vps.Published, func(p vps.Publication) bool {
		_, _, err := trash.Ports([]vps.Publication{p}, others)
		switch {
		case err != nil:
		case !has(p):
			err = fail.New(fail.Host, "this host does not have the address %s", p.Host)
		default:
			err = h.networks.CheckPorts([]vps.Publication{p})
		}
		if err != nil {
			h.lose("published port", p.String(), err)
		}
		return err != nil
	})
	return nil
}
