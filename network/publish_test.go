package network

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/vps"
)

func somePorts() []vps.Publication {
	return []vps.Publication{
		{Protocol: "tcp", Ports: "8080", To: "80"},
		{Protocol: "udp", Host: "192.0.2.1", Ports: "5353", To: "53"},
		{Protocol: "tcp", Host: "::", Ports: "8000-8010", To: "8000-8010"},
		{Protocol: "tcp", Host: "2001:db8::1", Ports: "9000-9010", To: "90-100"},
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "2222", To: "22"},
	}
}

func somePublished(t *testing.T, ports []vps.Publication) Published {
	t.Helper()
	table := fixed()
	plan, err := NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	return Published{plan, ports}
}

func TestPublished(t *testing.T) {
	p := somePublished(t, somePorts())
	text := p.String()
	for _, six := range []bool{false, true} {
		text += fmt.Sprintf("# IPv6: %t, where nothing is\n%s", six, PublishChanges(six, SavedRules{}, []Published{p}).Text)
	}
	golden(t, "publish.golden", text)
}

// What is there says what is to be done about it.
func TestPublishChanges(t *testing.T) {
	p := somePublished(t, []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}})
	const text = `*nat
:PREROUTING ACCEPT [0:0]
:CROFT-PREROUTING - [0:0]
:CROFT-OUTPUT - [0:0]
:CROFT-POSTROUTING - [0:0]
-A PREROUTING -j CROFT-PREROUTING
-A PREROUTING -j DOCKER
-A PREROUTING -j CROFT-PREROUTING
-A OUTPUT -j CROFT-OUTPUT
-A POSTROUTING -j CROFT-POSTROUTING
-A CROFT-PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment --comment "croft0:web" -j DNAT --to-destination 10.90.0.2:80
-A CROFT-PREROUTING -p udp -m addrtype --dst-type LOCAL -m udp --dport 53:54 -m comment --comment "croft0:web" -j DNAT --to-destination 10.90.0.2
-A CROFT-PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 90 -m comment --comment "croft0:db" -j DNAT --to-destination 10.90.0.3:90
-A CROFT-OUTPUT -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment --comment "croft0:web" -j DNAT --to-destination 10.90.0.2:81
-A CROFT-POSTROUTING -s 10.90.0.0/16 ! -o croft0 -m comment --comment croft0 -j MASQUERADE
COMMIT
`
	now := ParseSavedRules(text)
	change := PublishChanges(false, now, []Published{p})
	want := `*nat
-D CROFT-PREROUTING -p udp -m addrtype --dst-type LOCAL -m udp --dport 53:54 -m comment --comment croft0:web -j DNAT --to-destination 10.90.0.2
-D PREROUTING -j CROFT-PREROUTING
-D CROFT-OUTPUT -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment --comment croft0:web -j DNAT --to-destination 10.90.0.2:81
-A CROFT-OUTPUT -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment --comment croft0:web -j DNAT --to-destination 10.90.0.2:80
-A CROFT-POSTROUTING -s 10.90.0.2/32 -d 10.90.0.2/32 -m comment --comment croft0:web -j MASQUERADE
-A CROFT-POSTROUTING -s 127.0.0.0/8 -d 10.90.0.2/32 -m comment --comment croft0:web -j MASQUERADE
COMMIT
`
	if diff := cmp.Diff(want, change.Text); diff != "" {
		t.Error(diff)
	}
	if first, last := PortsOf(change.UDP[0]); len(change.UDP) != 1 || first != 53 || last != 54 {
		t.Errorf("of UDP %v", change.UDP)
	}
	if !FromLoopback(change.After, "croft0") || FromLoopback(change.After, "croft1") {
		t.Errorf("the loopback address: %v", change.After)
	}
	// Without any, the chains that are empty then go; others' rules stay.
	p.Ports = nil
	change = PublishChanges(false, now, []Published{p})
	if strings.Contains(change.Text, "-X CROFT-P") || !strings.Contains(change.Text, "-X CROFT-OUTPUT\n") || FromLoopback(change.After, "croft0") {
		t.Errorf("%s", change.Text)
	}
	if text := PublishChanges(true, SavedRules{}, []Published{p}).Text; text != "" {
		t.Errorf("nothing to do, and it does %s", text)
	}
}
