package network

import (
	"testing"

	"croft/internal/fail"
)

func TestSetMAC(t *testing.T) {
	table := fixed()
	a, b := mustClaim(t, &table, "a"), mustClaim(t, &table, "b")
	for mac, kind := range map[string]fail.Kind{
		b.MAC: fail.Taken, table.MAC: fail.Taken, "x": fail.Usage, "01:00:00:00:00:01": fail.Usage,
	} {
		if err := table.SetMAC("a", "eth0", mac); !fail.Is(err, kind) || table.Of("a")[0].MAC != a.MAC {
			t.Errorf("%s: %v", mac, err)
		}
	}
	for range 2 {
		if err := table.SetMAC("a", "eth0", "02:00:00:00:00:07"); err != nil || table.Of("a")[0].MAC != "02:00:00:00:00:07" {
			t.Errorf("%v, %+v", err, table.Of("a"))
		}
	}
	decoded(t, written(t, table, Files{}))
	given := Table{Schema: 1, Name: "nic", Mode: ModePhysical, Parent: "eth9"}
	mustClaim(t, &given, "a")
	if err := given.SetMAC("a", "eth0", "02:00:00:00:00:07"); !fail.Is(err, fail.Usage) {
		t.Errorf("a link of the host: %v", err)
	}
}
