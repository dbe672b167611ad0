package vps

import (
	"strings"
	"testing"

	"croft/internal/fail"
)

func someFirewall() Firewall {
	return Firewall{Input: PolicyDrop, Rules: []FirewallRule{
		{Chain: ChainInput, Action: ActionDeny, From: "10.90.0.3", Protocol: "tcp", Ports: []string{"22"}},
		{Chain: ChainInput, Action: ActionAllow, Protocol: "tcp", Ports: []string{"22", "80", "8000-8100"}},
		{Chain: ChainInput, Action: ActionAllow, Ports: []string{"53"}},
		{Chain: ChainInput, Action: ActionAllow, Protocol: "icmp"},
		{Chain: ChainInput, Action: ActionAllow, From: "fd00:1:2::/64", States: []string{"established", "new"}},
		{Chain: ChainOutput, Action: ActionReject, To: "192.0.2.1/24", Protocol: "udp", Ports: []string{"1000-2000"}},
	}}
}

func someRouting() Routing {
	return Routing{
		Routes: []Route{
			{Destination: "0.0.0.0/0", MTU: 1400},
			{Destination: "192.0.2.0/24", Via: "10.90.0.1", Src: "10.90.0.2", MTU: 1300, AdvMSS: 1200, Table: 100, Metric: 5},
			{Destination: "2001:db8::/32", MTU: 1280},
			{Destination: "198.51.100.0/24", Dev: "eth0"},
		},
		Rules: []RouteRule{{From: "10.90.0.2", Table: 100, Priority: 1000}, {To: "2001:db8:1::/48", Table: 101}},
	}
}

func somePorts() []Publication {
	return []Publication{
		{Protocol: "tcp", Ports: "8080", To: "80"},
		{Protocol: "udp", Host: "192.0.2.1", Ports: "5353", To: "53"},
		{Protocol: "tcp", Host: "::", Ports: "8000-8010", To: "8000-8010"},
		{Protocol: "tcp", Host: "2001:db8::1", Ports: "9000-9010", To: "90-100"},
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "2222", To: "22"},
	}
}

func TestFirewallCheck(t *testing.T) {
	for name, r := range map[string]FirewallRule{
		"chain":            {Chain: "INPUT", Action: ActionAllow},
		"action":           {Chain: ChainInput},
		"protocol":         {Chain: ChainInput, Action: ActionAllow, Protocol: "sctp"},
		"icmp port":        {Chain: ChainInput, Action: ActionAllow, Protocol: "icmp", Ports: []string{"1"}},
		"port 0":           {Chain: ChainInput, Action: ActionAllow, Ports: []string{"0"}},
		"port too high":    {Chain: ChainInput, Action: ActionAllow, Ports: []string{"65536"}},
		"port backwards":   {Chain: ChainInput, Action: ActionAllow, Ports: []string{"9-8"}},
		"an option":        {Chain: ChainInput, Action: ActionAllow, Ports: []string{"80 -j ACCEPT"}},
		"too many ports":   {Chain: ChainInput, Action: ActionAllow, Ports: strings.Split("1-2,3-4,5-6,7-8,9-10,11-12,13-14,15-16", ",")},
		"state":            {Chain: ChainInput, Action: ActionAllow, States: []string{"NEW"}},
		"from":             {Chain: ChainInput, Action: ActionAllow, From: "host"},
		"zone":             {Chain: ChainInput, Action: ActionAllow, From: "fe80::1%eth0"},
		"mapped":           {Chain: ChainInput, Action: ActionAllow, To: "::ffff:1.2.3.4"},
		"of two families":  {Chain: ChainInput, Action: ActionAllow, From: "10.0.0.1", To: "fd00::1"},
		"newline in chain": {Chain: "input\nCOMMIT", Action: ActionAllow},
	} {
		if err := (Firewall{Rules: []FirewallRule{r}}).Check(); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "rule 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Firewall{Forward: "reject"}).Check(); !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
	if err := someFirewall().Check(); err != nil {
		t.Error(err)
	}
}

func TestRoutingCheck(t *testing.T) {
	if err := someRouting().Check(); err != nil {
		t.Error(err)
	}
	for name, r := range map[string]Routing{
		"no destination":    {Routes: []Route{{Via: "10.0.0.1"}}},
		"a name":            {Routes: []Route{{Destination: "default"}}},
		"multicast":         {Routes: []Route{{Destination: "224.0.0.0/4"}}},
		"two families":      {Routes: []Route{{Destination: "10.0.0.0/8", Via: "fd00::1"}}},
		"source of another": {Routes: []Route{{Destination: "fd00::/8", Src: "10.0.0.1"}}},
		"zone":              {Routes: []Route{{Destination: "fd00::/8", Via: "fe80::1%eth0"}}},
		"small MTU":         {Routes: []Route{{Destination: "fd00::/8", MTU: 1279}}},
		"large MTU":         {Routes: []Route{{Destination: "10.0.0.0/8", MTU: 65536}}},
		"local table":       {Routes: []Route{{Destination: "10.0.0.0/8", Table: 255}}},
		"interface":         {Routes: []Route{{Destination: "10.0.0.0/8", Dev: "a/b"}}},
		"twice":             {Routes: []Route{{Destination: "10.0.0.0/8"}, {Destination: "10.1.0.0/8", Table: 254}}},
		"rule of nothing":   {Rules: []RouteRule{{Table: 100}}},
		"rule to no table":  {Rules: []RouteRule{{From: "10.0.0.1"}}},
		"rule of both":      {Rules: []RouteRule{{From: "10.0.0.1", To: "fd00::1", Table: 100}}},
		"rule too late":     {Rules: []RouteRule{{From: "10.0.0.1", Table: 100, Priority: 32768}}},
	} {
		if err := r.Check(); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublicationCheck(t *testing.T) {
	for what, p := range map[string]Publication{
		"protocol":     {Protocol: "sctp", Ports: "1", To: "1"},
		"port 0":       {Protocol: "tcp", Ports: "0", To: "1"},
		"no ports":     {Protocol: "tcp", To: "1"},
		"more than to": {Protocol: "tcp", Ports: "1-2", To: "1"},
		"less than to": {Protocol: "tcp", Ports: "1", To: "1-2"},
		"backwards":    {Protocol: "tcp", Ports: "2-1", To: "2-1"},
		"a name":       {Protocol: "tcp", Host: "localhost", Ports: "1", To: "1"},
		"multicast":    {Protocol: "tcp", Host: "224.0.0.1", Ports: "1", To: "1"},
		"a zone":       {Protocol: "tcp", Host: "fe80::1%eth0", Ports: "1", To: "1"},
		"an option":    {Protocol: "tcp", Ports: "1 -j ACCEPT", To: "1"},
	} {
		if err := p.Check(); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), p.String()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, p := range somePorts() {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestPublicationOverlaps(t *testing.T) {
	port := func(host, ports string) Publication {
		return Publication{Protocol: "tcp", Host: host, Ports: ports, To: ports}
	}
	udp := port("", "80")
	udp.Protocol = "udp"
	for _, c := range []struct {
		a, b Publication
		want bool
	}{
		{port("", "80"), port("", "80"), true},
		{port("", "80"), udp, false},
		{port("", "80-90"), port("", "90-99"), true},
		{port("", "80-89"), port("", "90-99"), false},
		{port("192.0.2.1", "80"), port("", "80"), true},
		{port("192.0.2.1", "80"), port("192.0.2.2", "80"), false},
		{port("192.0.2.1", "80"), port("0.0.0.0", "80"), true},
		{port("192.0.2.1", "80"), port("::", "80"), false},
		{port("::1", "80"), port("::", "80"), true},
	} {
		if c.a.Overlaps(c.b) != c.want || c.b.Overlaps(c.a) != c.want {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.want)
		}
	}
}

func TestCheckSysctl(t *testing.T) {
	for key, own := range map[string]bool{
		"net.ipv4.ip_forward": true, "kernel.shmmax": true, "fs.mqueue.msg_max": true,
		"kernel.core_pattern": false, "vm.swappiness": false, "net.": false, "net..x": false, "": false,
		"kernel.hostname": false, "fs.file-max": false, "user.max_net_namespaces": true, "user.": false,
	} {
		err := CheckSysctl(key, false)
		if (err == nil) != own {
			t.Errorf("CheckSysctl(%q) = %v", key, err)
		}
		if err != nil && fail.KindOf(err) != fail.Usage {
			t.Errorf("CheckSysctl(%q): kind %d", key, fail.KindOf(err))
		}
	}
}
