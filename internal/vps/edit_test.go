package vps

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
)

func edited(t *testing.T, v VPS, edits ...Edit) VPS {
	t.Helper()
	now, err := Edited(v, edits...)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// plugged is someVPS with its addresses and networks filled in.
func plugged() VPS {
	v := someVPS()
	v.Interfaces[0].Addresses = []netip.Addr{netip.MustParseAddr("10.90.0.2")}
	v.Interfaces[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.90.0.0/16")}
	v.Interfaces[0].Tracked = true
	v.Interfaces[1].Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	return v
}

func num[T any](n T) *T { return &n }

// Each edit, with the settings that it leaves, and its words.
func TestEdits(t *testing.T) {
	rule := FirewallRule{Chain: ChainInput, Action: ActionAllow, Ports: []string{"7"}}
	addr := netip.MustParseAddr
	for _, c := range []struct {
		edit Edit
		text string
		part Part
		get  func(VPS) any
		want any
	}{
		{AddRules{Rules: []FirewallRule{rule}}, "add rules allow 7", PartFirewall, func(v VPS) any { return v.Firewall.Rules[6] }, rule},
		{AddRules{Rules: []FirewallRule{rule}, At: 2}, "add rules at 2 allow 7", PartFirewall, func(v VPS) any { return v.Firewall.Rules[1] }, rule},
		{RemoveRules{[]FirewallChoice{{Number: 1}, {Number: 2}}}, "remove rules 1, 2", PartFirewall, func(v VPS) any { return len(v.Firewall.Rules) }, 4},
		{SetPolicy{ChainInput, PolicyAccept}, "policy input accept", PartFirewall, func(v VPS) any { return v.Firewall.Input }, ""},
		{SetPolicy{ChainForward, PolicyDrop}, "policy forward drop", PartFirewall, func(v VPS) any { return v.Firewall.Forward }, "drop"},
		{FlushFirewall{}, "flush firewall", PartFirewall, func(v VPS) any { return v.Firewall }, Firewall{}},
		{AddRoute{Route{Destination: "10.0.0.0/8"}}, "add route 10.0.0.0/8", PartRouting, func(v VPS) any { return len(v.Routing.Routes) }, 5},
		{AddRoute{someRouting().Routes[1]}, "add route " + someRouting().Routes[1].String(), PartRouting, func(v VPS) any { return len(v.Routing.Routes) }, 4},
		{AddRouteRule{someRouting().Rules[0]}, "add rule from 10.90.0.2 table 100 priority 1000", PartRouting, func(v VPS) any { return len(v.Routing.Rules) }, 2},
		{AddRouteRule{RouteRule{From: "10.0.0.1", Table: 7}}, "add rule from 10.0.0.1 table 7", PartRouting, func(v VPS) any { return len(v.Routing.Rules) }, 3},
		{RemoveRoutes{[]RouteChoice{{Number: 5}}}, "remove routes 5", PartRouting, func(v VPS) any { return v.Routing.Rules[0].Table }, 101},
		{FlushRoutes{}, "flush routes", PartRouting, func(v VPS) any { return v.Routing }, Routing{}},
		{Publish{[]Publication{{Protocol: "tcp", Ports: "1", To: "1"}, somePorts()[0]}}, "publish 1:1, 8080:80", PartPublished, func(v VPS) any { return len(v.Published) }, 6},
		{Unpublish{[]PublicationChoice{{Number: 8080}}}, "unpublish 8080", PartPublished, func(v VPS) any { return v.Published[0] }, somePorts()[1]},
		{UnpublishAll{}, "unpublish all", PartPublished, func(v VPS) any { return len(v.Published) }, 0},
		{SetRate{In: num(uint64(9000))}, "rate in=9000", PartRates, func(v VPS) any { return v.Interfaces[1].Rate }, Rate{In: 9000}},
		{SetRate{Interface: "eth0", Out: num(uint64(0))}, "rate eth0 out=0", PartRates, func(v VPS) any { return v.Interfaces[0].Rate }, Rate{In: LeastRate}},
		{AddAddress{Address: addr("2001:db8::7")}, "add address 2001:db8::7", PartAddresses, func(v VPS) any { return v.Interfaces[1].Addresses }, []netip.Addr{addr("2001:db8::7")}},
		{AddAddress{Address: addr("::ffff:10.90.0.2")}, "add address ::ffff:10.90.0.2", PartAddresses, func(v VPS) any { return len(v.Interfaces[0].Addresses) }, 1},
		{AddAddress{Address: addr("198.51.100.1")}, "add address 198.51.100.1", PartAddresses, func(v VPS) any { return len(v.Interfaces[0].Addresses) }, 2},
		{RemoveAddress{Address: addr("10.90.0.2")}, "remove address 10.90.0.2", PartAddresses, func(v VPS) any { return len(v.Interfaces[0].Addresses) }, 0},
		{AddAddress{"eth1", addr("192.0.2.7")}, "add address eth1:192.0.2.7", PartAddresses, func(v VPS) any { return v.Interfaces[1].Addresses }, []netip.Addr{addr("192.0.2.7")}},
		{AddAddress{"eth0", addr("192.0.2.7")}, "add address eth0:192.0.2.7", PartAddresses, func(v VPS) any { return len(v.Interfaces[0].Addresses) }, 2},
		{RemoveAddress{"eth0", addr("10.90.0.2")}, "remove address eth0:10.90.0.2", PartAddresses, func(v VPS) any { return len(v.Interfaces[0].Addresses) }, 0},
		{SetConnections{100}, "connections 100", PartConnections, func(v VPS) any { return []int64{v.Interfaces[0].Connections, v.Interfaces[1].Connections} }, []int64{100, 0}},
		{LimitMemory.Set(1 << 30), "memory 1073741824", PartLimits, func(v VPS) any { return v.Limits.Memory }, int64(1 << 30)},
		{LimitSwap.Set(-1), "swap -1", PartLimits, func(v VPS) any { return v.Limits.Swap }, int64(-1)},
		{LimitCPUs.Set(1500), "cpus 1500/1000", PartLimits, func(v VPS) any { return v.Limits.MilliCPUs }, int64(1500)},
		{LimitPIDs.Set(77), "pids 77", PartLimits, func(v VPS) any { return v.Limits.PIDs }, int64(77)},
		{LimitMemoryLow.Set(64 << 20), "memory-low 67108864", PartLimits, func(v VPS) any { return v.Limits.MemoryLow }, int64(64 << 20)},
		{LimitCPUWeight.Set(500), "cpu-weight 500", PartLimits, func(v VPS) any { return v.Limits.CPUWeight }, int64(500)},
		{SetCPUSet{"any:2"}, "cpuset any:2", PartLimits, func(v VPS) any { return v.Limits.CPUSet }, "any:2"},
		{SetCPUSet{"0-1,3"}, "cpuset 0-1,3", PartLimits, func(v VPS) any { return v.Limits.CPUSet }, "0-1,3"},
		{LimitIOWeight.Set(9000), "io-weight 9000", PartLimits, func(v VPS) any { return v.Limits.IOWeight }, int64(9000)},
		{SetIO{false, []IOLimit{{Bytes: 1 << 20}}}, "io-read 1048576", PartLimits, func(v VPS) any { return v.Limits.IORead }, []IOLimit{{Bytes: 1 << 20}}},
		{SetIO{true, []IOLimit{{"/dev/sda", 70000, 100}, {"", 0, 10}}}, "io-write /dev/sda:70000, /dev/sda:100iops, 10iops", PartLimits, func(v VPS) any { return len(v.Limits.IOWrite) }, 2},
		{SetIO{false, nil}, "io-read unlimited", PartLimits, func(v VPS) any { return len(v.Limits.IORead) }, 0},
		{SetLabel{"tier", "web"}, "label tier=web", "", func(v VPS) any { return v.Labels["tier"] }, "web"},
		{RemoveLabel{"none"}, "remove label none", "", func(v VPS) any { return v.Labels }, someVPS().Labels},
		{SetHostname{"db.example"}, "hostname db.example", "", func(v VPS) any { return v.Hostname }, "db.example"},
		{SetHostname{}, "hostname ", "", func(v VPS) any { return v.Hostname }, "web"},
		{SetEnv{"NEW=1"}, "env NEW=1", "", func(v VPS) any { return slices.Contains(v.Env, "NEW=1") }, true},
		{RemoveEnv{"NONE"}, "remove env NONE", "", func(v VPS) any { return v.Env }, someVPS().Env},
		{SetSysctl{"net.ipv4.tcp_keepalive_time", "7"}, "sysctl net.ipv4.tcp_keepalive_time=7", "", func(v VPS) any { return v.Sysctls["net.ipv4.tcp_keepalive_time"] }, "7"},
		{RemoveSysctl{"none"}, "remove sysctl none", "", func(v VPS) any { return v.Sysctls }, someVPS().Sysctls},
		{Allow{AllowVsock}, "allow vsock", "", func(v VPS) any { return slices.Contains(v.Allow, AllowVsock) }, true},
		{Disallow{AllowVsock}, "disallow vsock", "", func(v VPS) any { return slices.Contains(v.Allow, AllowVsock) }, false},
		{SetIDSize{2 * IDUnit}, "id size 131072", "", func(v VPS) any { return v.IDs.Size }, uint32(2 * IDUnit)},
		{SetPrivileged{}, "privileged false", "", func(v VPS) any { return v.Privileged }, false},
		{AddInterface{Network: "lan", MAC: "02:00:00:00:00:07"}, "add network lan:mac=02:00:00:00:00:07", PartInterfaces, func(v VPS) any { return v.Interfaces[2] }, Interface{Name: "eth2", Network: "lan", MAC: "02:00:00:00:00:07"}},
		{RemoveInterface{"dmz"}, "remove network dmz", PartInterfaces, func(v VPS) any { return len(v.Interfaces) }, 1},
		{RemoveInterface{"eth0"}, "remove network eth0", PartInterfaces, func(v VPS) any { return v.Interfaces[0].Network }, "dmz"},
		{SetServers{[]string{"192.0.2.1"}}, "dns 192.0.2.1", PartGuestFiles, func(v VPS) any { return v.DNS.Servers }, []string{"192.0.2.1"}},
		{SetSearch{[]string{"example.org"}}, "search example.org", PartGuestFiles, func(v VPS) any { return v.DNS.Search }, []string{"example.org"}},
		{SetOnBoot{OnBootLast}, "onboot last", "", func(v VPS) any { return v.OnBoot }, OnBootLast},
		{SetBootOrder{7}, "boot order 7", "", func(v VPS) any { return v.BootOrder }, 7},
		{SetStopTimeout{time.Millisecond}, "stop timeout 1ms", "", func(v VPS) any { return v.StopAfter }, 1},
		{SetProtected{true}, "protected true", "", func(v VPS) any { return v.Protected }, true},
		{SetRestart{Restart{RestartOnFailure, 3}}, "restart on-failure:3", "", func(v VPS) any { return v.Restart.Most }, 3},
		{SetProtected{false}, "protected false", "", func(v VPS) any { return v.Protected }, false},
		{Reapply{PartFirewall}, "apply firewall", PartFirewall, func(v VPS) any { return v.Firewall }, someFirewall()},
		{FinishRename{}, "finish rename", "", func(v VPS) any { return v.Hostname }, "web.example"},
	} {
		before := plugged()
		now, err := Edited(before, c.edit)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := c.get(now); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
		if c.edit.String() != c.text || c.edit.Part() != c.part {
			t.Errorf("%q is about %q, want %q about %q", c.edit, c.edit.Part(), c.text, c.part)
		}
		if !reflect.DeepEqual(before, plugged()) {
			t.Errorf("%s changed the VPS that it was given", c.text)
		}
	}
}

func TestEditsRefuse(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.77")
	alone := VPS{Name: "web", Hostname: "web"}
	for _, c := range []struct {
		v    VPS
		edit Edit
		kind fail.Kind
		text string
	}{
		{plugged(), AddRules{At: 8}, fail.NotFound, "no rule 8: the last is 6"},
		{alone, AddRules{At: 2}, fail.NotFound, "no rule 2: there is none"},
		{alone, AddRules{Rules: []FirewallRule{{}}}, fail.Usage, "firewall rule 1"},
		{alone, RemoveRules{[]FirewallChoice{{Number: 1}}}, fail.NotFound, "no rule 1"},
		{alone, SetPolicy{"INPUT", "drop"}, fail.Usage, `unknown chain "INPUT"`},
		{alone, SetPolicy{"input", "reject"}, fail.Usage, `unknown policy "reject"`},
		{plugged(), AddRoute{Route{Destination: "0.0.0.0/0", MTU: 1300}}, fail.Usage, "there is one"},
		{alone, RemoveRoutes{[]RouteChoice{{Number: 1}}}, fail.NotFound, "no route 1"},
		{plugged(), Publish{[]Publication{{Protocol: "tcp", Ports: "8080", To: "81"}}}, fail.Taken, "web has published 8080:80"},
		{alone, Unpublish{[]PublicationChoice{{Number: 1}}}, fail.NotFound, "no published port 1"},
		{alone, SetRate{In: num(uint64(9000))}, fail.State, "web has no network"},
		{plugged(), SetRate{Interface: "eth7"}, fail.NotFound, "no interface eth7"},
		{plugged(), SetRate{In: num(uint64(1))}, fail.Usage, "bits per second"},
		{alone, AddAddress{Address: addr}, fail.State, "web has no network"},
		{alone, RemoveAddress{Address: addr}, fail.State, "web has no network"},
		{plugged(), RemoveAddress{Address: addr}, fail.NotFound, "web has no address 192.0.2.77"},
		{plugged(), SetIDSize{}, fail.Usage, "multiple of 65536"},
		{plugged(), SetIDSize{1000}, fail.Usage, "multiple of 65536"},
		{VPS{Name: "web", Privileged: true}, SetIDSize{IDUnit}, fail.Usage, "no ids of its own"},
		{VPS{Name: "web", Privileged: true}, SetPrivileged{}, fail.State, "cannot become unprivileged"},
		{plugged(), SetPrivileged{true}, fail.State, "cannot become privileged"},
		{plugged(), AddInterface{Network: "dmz"}, fail.Usage, "has network dmz already, with its interface eth1"},
		{plugged(), AddInterface{Network: "lan", Name: "eth1"}, fail.Usage, "given twice"},
		{plugged(), AddInterface{Network: "lan", MAC: "01:00:00:00:00:07"}, fail.Usage, "MAC"},
		{plugged(), RemoveInterface{"lan"}, fail.NotFound, "no network lan"},
		{plugged(), AddAddress{"eth7", addr}, fail.NotFound, "no interface eth7"},
		{plugged(), RemoveAddress{"eth7", addr}, fail.NotFound, "no interface eth7"},
		{plugged(), RemoveAddress{"eth1", netip.MustParseAddr("10.90.0.2")}, fail.NotFound, "eth1 of web has no address 10.90.0.2"},
		{alone, SetConnections{100}, fail.State, "no interface whose connections"},
		{alone, SetConnections{1}, fail.Usage, "connections: 1"},
		{alone, LimitMemory.Set(1 << 20), fail.Usage, "too small for an init"},
		{alone, LimitCPUs.Set(1), fail.Usage, "0.01 is the least"},
		{alone, SetHostname{"-"}, fail.Usage, "invalid host name"},
		{alone, SetEnv{"1=2"}, fail.Usage, "1=2"},
		{alone, SetSysctl{"kernel.panic", "1"}, fail.Usage, "kernel.panic"},
		{alone, Allow{"all"}, fail.Usage, "allow"},
		{alone, SetServers{[]string{"127.0.0.53"}}, fail.Usage, "the VPS itself"},
		{alone, SetSearch{[]string{"-"}}, fail.Usage, "invalid domain"},
		{alone, SetOnBoot{"maybe"}, fail.Usage, "onboot"},
		{alone, SetBootOrder{-1}, fail.Usage, "boot order"},
		{alone, SetStopTimeout{-1}, fail.Usage, "stop timeout"},
		{VPS{Name: "web", Hostname: "web", Ephemeral: true}, SetProtected{true}, fail.Usage, "run --rm"},
	} {
		if _, err := Edited(c.v, c.edit); !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.edit, err)
		}
	}
}

// An edit that cannot be applied makes all of them fail.
func TestEditedIsAllOrNothing(t *testing.T) {
	now, err := Edited(plugged(), SetBootOrder{7}, FlushRoutes{}, RemoveRules{[]FirewallChoice{{Number: 99}}})
	if err == nil || !reflect.DeepEqual(now, VPS{}) {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestFinishRename(t *testing.T) {
	v := edited(t, VPS{Name: "db", Hostname: "web", RenamedFrom: "web"}, FinishRename{})
	if v.Hostname != "db" || v.RenamedFrom != "" {
		t.Errorf("%+v", v)
	}
}

// Addresses, which the tables of the networks own, are not in vps.json.
func TestTablesAreNotInTheFile(t *testing.T) {
	filled, err1 := json.Marshal(plugged())
	plain, err2 := json.Marshal(someVPS())
	if err1 != nil || err2 != nil || string(filled) != string(plain) {
		t.Errorf("%s\n%s", filled, plain)
	}
}

// Settings that changed since the start of a VPS are pending, and others are not.
func TestPending(t *testing.T) {
	v := plugged()
	started := v.StartSettings()
	if got := v.StartSettings().Pending(started); len(got) != 0 {
		t.Errorf("pending without a change: %v", got)
	}
	now := edited(t, v, SetHostname{"other"}, SetEnv{"NEW=1"}, SetSysctl{"net.ipv4.tcp_keepalive_time", "7"}, Allow{AllowIOURing},
		AddCapability{"SYS_TIME"}, DropCapability{"NET_RAW"}, LimitMemory.Set(1<<30), SetDmesg{false}, SetSeccomp{SeccompOff})
	if got := strings.Join(now.StartSettings().Pending(started), " "); got != "hostname env sysctl allow cap-add cap-drop dmesg seccomp" {
		t.Errorf("pending: %s", got)
	}
	back := edited(t, now, SetHostname{v.Hostname}, RemoveEnv{"NEW"}, RemoveSysctl{"net.ipv4.tcp_keepalive_time"}, Disallow{AllowIOURing},
		ForgetAddedCapability{"SYS_TIME"}, ForgetDroppedCapability{"NET_RAW"}, SetDmesg{true}, SetSeccomp{})
	if got := back.StartSettings().Pending(started); len(got) != 0 {
		t.Errorf("pending after it was taken back: %v", got)
	}
}
