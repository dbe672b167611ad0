package network

import (
	"slices"
	"testing"

	"croft/internal/fail"
)

func TestAddAndDrop(t *testing.T) {
	table := fixed()
	mustClaim(t, &table, "a")
	mustClaim(t, &table, "b")
	host := addrs("10.90.7.7")
	if err := table.Add("a", "eth0", addrs("fd00:1:2::9", "10.90.0.9", "10.90.0.9"), host); err != nil {
		t.Fatal(err)
	}
	want := addrs("10.90.0.2", "10.90.0.9", "fd00:1:2::2", "fd00:1:2::9")
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if err := table.Add("a", "eth0", addrs("10.90.0.9"), host); err != nil {
		t.Errorf("again: %v", err)
	}
	for address, kind := range map[string]fail.Kind{
		"10.90.0.3": fail.Taken, "10.90.7.7": fail.Taken, "10.90.0.1": fail.Usage, "192.0.2.1": fail.Usage,
	} {
		if err := table.Add("a", "eth0", addrs("10.90.0.50", address), host); !fail.Is(err, kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := table.Add("c", "eth0", addrs("10.90.0.9"), nil); !fail.Is(err, fail.State) {
		t.Errorf("no such claim: %v", err)
	}
	for _, absent := range []string{"10.90.0.3", "10.90.0.50"} {
		if err := table.Drop("a", "eth0", addrs("10.90.0.9", absent)); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", absent, err)
		}
	}
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, want) {
		t.Errorf("what failed changed it: %v", got)
	}
	if err := table.Drop("a", "eth0", addrs("10.90.0.2", "fd00:1:2::9")); err != nil {
		t.Fatal(err)
	}
	if got := table.Of("a")[0].Addresses; !slices.Equal(got, addrs("10.90.0.9", "fd00:1:2::2")) {
		t.Errorf("%v", got)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}
