package foreign

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// dockerContainer is what docker inspect and podman inspect print about a container
// (Docker Engine API 1.24 to 1.51, Podman 3 to 5).
type dockerContainer struct {
	Name     string
	Platform string
	State    struct{ Running, Paused bool }
	Config   struct {
		Hostname, Domainname, User, WorkingDir, MacAddress string
		Env                                                []string
		Cmd                                                words
		Entrypoint                                         words
		Labels                                             map[string]string
		StopSignal                                         json.RawMessage
		StopTimeout                                        *int64
		Healthcheck                                        json.RawMessage
	}
	HostConfig struct {
		Memory, MemorySwap, MemoryReservation, NanoCpus int64
		CPUShares                                       int64 `json:"CpuShares"`
		CPUPeriod                                       int64 `json:"CpuPeriod"`
		CPUQuota                                        int64 `json:"CpuQuota"`
		CpusetCpus                                      string
		PidsLimit                                       *int64
		BlkioWeight                                     int64
		BlkioDeviceReadBps, BlkioDeviceWriteBps         []dockerRate
		BlkioDeviceReadIOps, BlkioDeviceWriteIOps       []dockerRate
		PortBindings                                    map[string][]struct{ HostIP, HostPort string }
		Tmpfs                                           map[string]string
		CapAdd, CapDrop                                 []string
		Privileged, ReadonlyRootfs, AutoRemove          bool
		Devices                                         []struct{ PathOnHost, PathInContainer, CgroupPermissions string }
		DNS                                             []string `json:"Dns"`
		DNSSearch                                       []string `json:"DnsSearch"`
		ExtraHosts                                      []string
		RestartPolicy                                   struct {
			Name              string
			MaximumRetryCount int
		}
		NetworkMode, PidMode, IpcMode string
		Sysctls                       map[string]string
	}
	Mounts          []dockerMount
	NetworkSettings struct {
		Networks map[string]struct {
			MacAddress string
			IPAMConfig *struct{ IPv4Address, IPv6Address string }
		}
	}
}

type dockerRate struct {
	Path string
	Rate int64
}

type dockerMount struct {
	Type, Name, Source, Destination string
	RW                              bool
}

// words are a list, or one text of Podman.
type words []string

// UnmarshalJSON reads either form.
func (w *words) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*w = strings.Fields(text)
		return nil
	}
	var all []string
	err := json.Unmarshal(b, &all)
	*w = all
	return err
}

// parseDocker reads the JSON of one container, alone or in a list.
func (s *System) parseDocker(text []byte) error {
	var all []dockerContainer
	if err := json.Unmarshal(text, &all); err != nil {
		all = make([]dockerContainer, 1)
		if err := json.Unmarshal(text, &all[0]); err != nil {
			return fail.New(fail.Usage, "it is not the output of docker inspect: %w", err)
		}
	}
	if len(all) != 1 || all[0].Config.Cmd == nil && all[0].Config.Entrypoint == nil && all[0].Config.Env == nil && all[0].Name == "" {
		return fail.New(fail.Usage, "it is not the output of docker inspect for one container")
	}
	c := &all[0]
	s.Name = strings.TrimPrefix(c.Name, "/")
	s.Running = c.State.Running && !c.State.Paused
	s.dockerConfig(c)
	s.dockerLimits(c)
	s.dockerAccess(c)
	s.dockerMounts(c)
	s.dockerNetworks(c)
	return nil
}

func (s *System) dockerConfig(c *dockerContainer) {
	in := c.Config
	name := in.Hostname
	if in.Domainname != "" && !strings.Contains(name, ".") {
		name += "." + in.Domainname
	}
	if len(name) != 12 || strings.Trim(name, "0123456789abcdef") != "" { // not the id of the container
		s.hostname("Hostname", name)
	}
	s.Program = Program{Entrypoint: in.Entrypoint, Command: in.Cmd, User: in.User, Dir: in.WorkingDir, StopSignal: signal(in.StopSignal)}
	for _, text := range in.Env {
		if vps.CheckEnv(text) != nil {
			name, _, _ := strings.Cut(text, "=")
			s.left("Env", name, "croft cannot have a variable of that name")
			continue
		}
		s.Program.Env = append(s.Program.Env, text)
	}
	for _, key := range slices.Sorted(maps.Keys(in.Labels)) {
		s.take("label "+key, in.Labels[key], vps.SetLabel{Key: key, Value: in.Labels[key]})
	}
	if in.StopTimeout != nil && *in.StopTimeout > 0 && *in.StopTimeout < 1<<30 {
		s.take("StopTimeout", fmt.Sprint(*in.StopTimeout), vps.SetStopTimeout{Timeout: time.Duration(*in.StopTimeout) * time.Second})
	}
	if len(in.Healthcheck) > 2 && string(in.Healthcheck) != "null" {
		s.left("Healthcheck", "", missing)
	}
	switch p := c.HostConfig.RestartPolicy; p.Name {
	case "", "no":
	case "on-failure":
		s.take("RestartPolicy", p.Name, vps.SetRestart{Restart: vps.Restart{When: vps.RestartOnFailure, Most: p.MaximumRetryCount}})
	case "always", "unless-stopped":
		s.take("RestartPolicy", p.Name, vps.SetRestart{Restart: vps.Restart{When: vps.RestartAlways}})
	default:
		s.left("RestartPolicy", p.Name, unread)
	}
	if c.HostConfig.AutoRemove || c.HostConfig.ReadonlyRootfs {
		s.left("AutoRemove, ReadonlyRootfs", "true", "the files of a VPS can be written, and stay")
	}
}

// signal reads the name of a signal, or its number in Podman.
func signal(b json.RawMessage) string {
	var name string
	if json.Unmarshal(b, &name) == nil {
		return name
	}
	var n int
	if json.Unmarshal(b, &n) == nil && n > 0 {
		return fmt.Sprint(n)
	}
	return ""
}

func (s *System) dockerLimits(c *dockerContainer) {
	h := c.HostConfig
	limit := func(key string, n int64, set func(*vps.Limits, int64)) {
		if n > 0 {
			s.limit(key, fmt.Sprint(n), n, true, set)
		}
	}
	limit("Memory", h.Memory, setMemory)
	limit("MemoryReservation", h.MemoryReservation, setLow)
	if h.Memory > 0 && h.MemorySwap >= h.Memory {
		s.limit("MemorySwap", fmt.Sprint(h.MemorySwap), orNoSwap(h.MemorySwap-h.Memory), true, setSwap)
	}
	limit("NanoCpus", h.NanoCpus/1e6, setCPUs)
	if h.NanoCpus == 0 && h.CPUQuota > 0 {
		period := h.CPUPeriod
		if period <= 0 {
			period = 100000
		}
		limit("CpuQuota", int64(float64(h.CPUQuota)/float64(period)*1000), setCPUs)
	}
	if h.CPUShares > 0 {
		limit("CpuShares", weight(min(h.CPUShares, 1<<30), 1024), setWeight)
	}
	if h.CpusetCpus != "" {
		s.take("CpusetCpus", h.CpusetCpus, setting(func(v *vps.VPS) { v.Limits.CPUSet = h.CpusetCpus }))
	}
	if h.PidsLimit != nil {
		limit("PidsLimit", *h.PidsLimit, setPIDs)
	}
	if h.BlkioWeight > 0 {
		limit("BlkioWeight", weight(min(h.BlkioWeight, 1<<30), 500), setIO)
	}
	io := func(key string, all []dockerRate, read, operations bool) {
		for _, r := range all {
			l := vps.IOLimit{Device: r.Path, Bytes: r.Rate}
			if operations {
				l = vps.IOLimit{Device: r.Path, Operations: r.Rate}
			}
			s.limit(key, r.Path, 0, true, func(to *vps.Limits, _ int64) {
				if read {
					to.IORead = vps.WithIO(to.IORead, l)
				} else {
					to.IOWrite = vps.WithIO(to.IOWrite, l)
				}
			})
		}
	}
	io("BlkioDeviceReadBps", h.BlkioDeviceReadBps, true, false)
	io("BlkioDeviceWriteBps", h.BlkioDeviceWriteBps, false, false)
	io("BlkioDeviceReadIOps", h.BlkioDeviceReadIOps, true, true)
	io("BlkioDeviceWriteIOps", h.BlkioDeviceWriteIOps, false, true)
}

// dockerAccess reads capabilities, devices and kernel settings. A VPS has more
// capabilities than a container of Docker by default.
func (s *System) dockerAccess(c *dockerContainer) {
	h := c.HostConfig
	for _, name := range h.CapAdd {
		if known, err := vps.ParseCapability(name); err != nil || slices.Contains([]string{"SYS_TIME", "SYS_RAWIO", "SYS_MODULE", vps.AllCapabilities}, known) {
			s.left("CapAdd", name, "it is power over the host; --cap-add gives it")
		}
	}
	for _, name := range h.CapDrop {
		s.capability("CapDrop", name, false)
	}
	if h.Privileged {
		s.left("Privileged", "true", "the VPS is not privileged; --privileged gives root inside the power of root of the host")
	}
	for _, d := range h.Devices {
		dev := vps.Device{Source: d.PathOnHost}
		if d.PathInContainer != d.PathOnHost {
			dev.Path = d.PathInContainer
		}
		if d.CgroupPermissions != "rwm" {
			dev.Access = d.CgroupPermissions
		}
		s.device("Devices", d.PathOnHost, dev)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Sysctls)) {
		s.sysctl("Sysctls "+name, name, h.Sysctls[name])
	}
	s.servers("Dns", h.DNS)
	s.search("DnsSearch", h.DNSSearch)
	for _, host := range h.ExtraHosts {
		s.left("ExtraHosts", host, "write it into /etc/hosts of the VPS")
	}
	for _, mode := range []string{h.PidMode, h.IpcMode} {
		if mode == "host" || strings.HasPrefix(mode, "container:") {
			s.left("PidMode, IpcMode", mode, "every VPS has its own")
		}
	}
}

func (s *System) dockerMounts(c *dockerContainer) {
	for _, m := range c.Mounts {
		about := m.Name + " " + m.Source + " " + m.Destination
		switch m.Type {
		case "bind":
			s.mount("Mounts", about, vps.Mount{Source: m.Source, Target: m.Destination, ReadOnly: !m.RW})
		case "tmpfs":
			if _, twice := c.HostConfig.Tmpfs[m.Destination]; !twice {
				s.mount("Mounts", about, vps.Mount{Kind: vps.MountTmpfs, Target: m.Destination})
			}
		case "volume":
			s.left("Mounts", about, "docker export does not have the files of a volume: copy them into a volume of croft (croft help volume create) and add it with --mount")
		default:
			s.left("Mounts", about, missing)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(c.HostConfig.Tmpfs)) {
		o := options(c.HostConfig.Tmpfs[target])
		m := vps.Mount{Kind: vps.MountTmpfs, Target: target, Mode: o["mode"]}
		m.Size, _ = size(o["size"], 1024)
		s.mount("Tmpfs", target, m)
	}
}

func (s *System) dockerNetworks(c *dockerContainer) {
	mode := c.HostConfig.NetworkMode
	switch {
	case mode == "none":
		return
	case mode == "host":
		s.HostNetwork = true
	}
	ports := c.HostConfig.PortBindings
	for _, inside := range slices.Sorted(maps.Keys(ports)) {
		to, protocol, _ := strings.Cut(inside, "/")
		for _, b := range ports[inside] {
			if b.HostPort == "" || b.HostPort == "0" {
				s.left("PortBindings", inside, "it has no port of the host; --publish names one")
				continue
			}
			p := vps.Publication{Protocol: protocol, Host: b.HostIP, Ports: b.HostPort, To: to}
			if p.Host == "0.0.0.0" || p.Host == "::" {
				p.Host = ""
			}
			if p.Protocol == "" {
				p.Protocol = "tcp"
			}
			if !slices.Contains(s.VPS.Published, p) {
				s.publish("PortBindings", b.HostPort+":"+inside, p)
			}
		}
	}
	if s.HostNetwork {
		return
	}
	networks := c.NetworkSettings.Networks
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := NIC{Key: "network " + name, Bridge: name}
		if ipam := networks[name].IPAMConfig; ipam != nil {
			s.addAddress(&n, n.Key, ipam.IPv4Address)
			s.addAddress(&n, n.Key, ipam.IPv6Address)
		}
		s.NICs = append(s.NICs, n)
	}
	if len(networks) == 0 {
		s.NICs = append(s.NICs, NIC{Key: "network"})
	}
	if c.Config.MacAddress != "" && len(s.NICs) > 0 {
		s.setMAC(&s.NICs[0], "MacAddress", c.Config.MacAddress)
	}
}
