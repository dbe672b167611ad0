package network

import (
	"fmt"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// What an interface owned it gets back, but not a family that it did not have.
func TestReclaim(t *testing.T) {
	table := fixed()
	mustClaim(t, &table, "web", "10.90.0.7")
	if err := table.Add("web", "eth0", addrs("10.90.0.9"), nil); err != nil {
		t.Fatal(err)
	}
	if err := table.Drop("web", "eth0", addrs("fd00:1:2::2")); err != nil {
		t.Fatal(err)
	}
	if err := table.SetConnections("web", "eth0", 900); err != nil {
		t.Fatal(err)
	}
	former := table.Of("web")[0]
	table.Release("web")
	former.Owner = "www"
	for range 2 { // the second time it has a claim already
		lost, err := table.Reclaim(former, nil, false)
		if err != nil || len(lost) > 0 {
			t.Fatalf("%v, %v", lost, err)
		}
	}
	got := table.Of("www")[0]
	if fmt.Sprint(got.Addresses) != "[10.90.0.7 10.90.0.9]" || got.MAC != former.MAC || got.Connections != 900 || got.HostLink == "" {
		t.Errorf("%+v", got)
	}
}

// What another has meanwhile is refused, or replaced if that is asked for.
func TestReclaimOfTaken(t *testing.T) {
	table := fixed()
	former := mustClaim(t, &table, "web", "10.90.0.7")
	table.Release("web")
	table.Claims = append(table.Claims, Claim{Owner: "db", Interface: "eth0", MAC: former.MAC, HostLink: "cr-db", Addresses: addrs("10.90.0.7")})
	before := byOwner(table)
	if _, err := table.Reclaim(former, nil, false); !fail.Is(err, fail.Taken) || byOwner(table) != before {
		t.Errorf("%v, %s", err, byOwner(table))
	}
	if _, err := table.Reclaim(former, addrs("fd00:1:2::2"), false); !fail.Is(err, fail.Taken) || byOwner(table) != before {
		t.Errorf("the host's: %v, %s", err, byOwner(table))
	}
	lost, err := table.Reclaim(former, nil, true)
	if err != nil || fmt.Sprint(lost) != "[10.90.0.7]" {
		t.Fatalf("%v, %v", lost, err)
	}
	got := table.Of("web")[0]
	if fmt.Sprint(got.Addresses) != "[10.90.0.2 fd00:1:2::2]" || got.MAC == former.MAC || got.MAC == "" {
		t.Errorf("%+v", got)
	}
}

// The prefixes of a network can have changed.
func TestReclaimInAnotherPrefix(t *testing.T) {
	table := fixed()
	former := Claim{Owner: "web", Interface: "eth0", Addresses: addrs("192.0.2.7")}
	if _, err := table.Reclaim(former, nil, false); !fail.Is(err, fail.Usage) || len(table.Of(vps.Name("web"))) > 0 {
		t.Errorf("%v, %+v", err, table.Claims)
	}
	if lost, err := table.Reclaim(former, nil, true); err != nil || len(lost) != 1 || fmt.Sprint(table.Of("web")[0].Addresses) != "[10.90.0.2]" {
		t.Errorf("%v, %v, %+v", lost, err, table.Claims)
	}
}
