package vps

import (
	"strings"
	"testing"

	"croft/internal/fail"
)

// someVPS is valid, with a value in every setting that Check looks at.
func someVPS() VPS {
	return VPS{
		Name: "web", Hostname: "web.example", Interfaces: []Interface{{Name: "eth0", Network: "default", Rate: Rate{In: LeastRate}}, {Name: "eth1", Network: "dmz"}},
		Limits: Limits{Memory: MinMemory, Swap: -1, MilliCPUs: MinMilliCPUs, PIDs: -1}, DNS: DNS{Servers: []string{"192.0.2.1"}, Search: []string{"example."}},
		Firewall: someFirewall(), Routing: someRouting(), Published: somePorts(), Sysctls: map[string]string{"net.core.somaxconn": "1"},
		Allow: []string{AllowVsock}, Env: []string{"A=b"}, OnBoot: OnBootNo, BootOrder: 1, StopAfter: 60, Labels: map[string]string{"a": "b"},
	}
}

func TestCheck(t *testing.T) {
	if err := someVPS().Check(); err != nil {
		t.Error(err)
	}
	for what, c := range map[string]struct {
		change func(*VPS)
		text   string
	}{
		"name":             {func(v *VPS) { v.Name = "Web" }, "invalid name"},
		"hostname":         {func(v *VPS) { v.Hostname = "a b" }, "invalid host name"},
		"interface":        {func(v *VPS) { v.Interfaces[0].Name = "a/b" }, "invalid interface"},
		"interface twice":  {func(v *VPS) { v.Interfaces[1].Name = "eth0" }, "given twice"},
		"network":          {func(v *VPS) { v.Interfaces[1].Network = "A" }, "invalid name"},
		"network twice":    {func(v *VPS) { v.Interfaces[1].Network = "default" }, "given twice"},
		"rate":             {func(v *VPS) { v.Interfaces[1].Rate.Out = 1 }, "bits per second"},
		"memory":           {func(v *VPS) { v.Limits.Memory = MinMemory - 1 }, "too small"},
		"swap":             {func(v *VPS) { v.Limits.Memory = -1 }, "together with memory"},
		"cpus":             {func(v *VPS) { v.Limits.MilliCPUs = 9 }, "cpus"},
		"pids":             {func(v *VPS) { v.Limits.PIDs = -2 }, "processes"},
		"resolver":         {func(v *VPS) { v.DNS.Servers = []string{"::1"} }, "itself"},
		"search":           {func(v *VPS) { v.DNS.Search = []string{".."} }, "invalid domain"},
		"firewall":         {func(v *VPS) { v.Firewall.Rules[0].Action = "x" }, "firewall rule 1"},
		"route":            {func(v *VPS) { v.Routing.Routes[0].MTU = 1 }, "mtu"},
		"published":        {func(v *VPS) { v.Published[0].To = "0" }, "publish"},
		"sysctl":           {func(v *VPS) { v.Sysctls["kernel.hostname"] = "x" }, "kernel.hostname"},
		"allow":            {func(v *VPS) { v.Allow = []string{"all"} }, "allow"},
		"cap-add":          {func(v *VPS) { v.CapAdd = []string{"CAP_SYS_TIME"} }, "unknown capability"},
		"cap-drop":         {func(v *VPS) { v.CapDrop = []string{"net_raw"} }, "unknown capability"},
		"both":             {func(v *VPS) { v.CapAdd, v.CapDrop = []string{"SYS_TIME", "BPF"}, []string{"BPF"} }, "BPF is both"},
		"all and no":       {func(v *VPS) { v.CapAdd, v.CapDrop = []string{"ALL"}, []string{"ALL"} }, "ALL is both"},
		"over the host":    {func(v *VPS) { v.Privileged, v.CapAdd = true, []string{"ALL"} }, "over the host"},
		"env":              {func(v *VPS) { v.Env = []string{"A"} }, "invalid variable"},
		"label":            {func(v *VPS) { v.Labels["a b"] = "" }, "invalid label"},
		"onboot":           {func(v *VPS) { v.OnBoot = "maybe" }, "onboot"},
		"boot order":       {func(v *VPS) { v.BootOrder = -1 }, "boot order"},
		"stop timeout":     {func(v *VPS) { v.StopAfter = -1 }, "stop timeout"},
		"restart":          {func(v *VPS) { v.Restart.When = "maybe" }, "none of no, on-failure"},
		"restart and --rm": {func(v *VPS) { v.Restart.When, v.Ephemeral = RestartAlways, true }, "restart policy"},
		"protected":        {func(v *VPS) { v.Protected, v.Ephemeral = true, true }, "cannot be protected"},
	} {
		v := someVPS()
		c.change(&v)
		if err := v.Check(); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	v := someVPS()
	v.Published = append(v.Published, Publication{Protocol: "tcp", Ports: "8000-9000", To: "8000-9000"})
	if err := v.Check(); !fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), "web has published 8080:80") {
		t.Errorf("two entries for one port: %v", err)
	}
}
