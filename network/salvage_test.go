package network

import (
	"bytes"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Whatever byte of a journal is damaged, all claims but those of the groups that
// it is in are salvaged, and the table can be written and read again.
func TestSalvage(t *testing.T) {
	f := written(t, fixed(), Files{})
	for _, owner := range []string{"web", "db", "mail"} {
		table := decoded(t, f)
		if _, err := table.Claim(vps.Name(owner), "eth0", nil, nil); err != nil {
			t.Fatal(err)
		}
		f = written(t, table, f)
	}
	before := decoded(t, f)
	for i := range f.Claims {
		bad := Files{Settings: f.Settings, Claims: bytes.Clone(f.Claims)}
		bad.Claims[i] ^= 1
		table, err := Salvage(bad)
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		lost := 0
		for _, c := range before.Claims {
			if len(table.Of(c.Owner)) == 0 {
				lost++
			}
		}
		if lost > 2 { // the end of a group that is lost is that of the next one
			t.Errorf("byte %d: %d of %d owners are lost", i, lost, len(before.Claims))
		}
		if got := decoded(t, written(t, table, Files{})); byOwner(got) != byOwner(table) {
			t.Errorf("byte %d: written as %s, read as %s", i, byOwner(table), byOwner(got))
		}
	}
	if table, err := Salvage(Files{Settings: f.Settings}); err != nil || len(table.Claims) > 0 {
		t.Errorf("without claims: %+v, %v", table.Claims, err)
	}
	if _, err := Salvage(Files{Settings: []byte("{"), Claims: f.Claims}); !fail.Is(err, fail.State) {
		t.Errorf("without settings: %v", err)
	}
}

// Of two claims of one address the newer one is salvaged: the release before it
// is what was damaged.
func TestSalvageLostRelease(t *testing.T) {
	f := written(t, fixed(), Files{})
	change := func(do func(*Table)) {
		table := decoded(t, f)
		do(&table)
		f = written(t, table, f)
	}
	claim := func(owner string) func(*Table) {
		return func(table *Table) {
			if _, err := table.Claim(vps.Name(owner), "eth0", addrs("10.90.7.7"), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	change(claim("web"))
	change(func(table *Table) { table.Release("web") })
	change(claim("db"))
	f.Claims = bytes.Replace(f.Claims, []byte("release web"), []byte("release wex"), 1)
	table, err := Salvage(f)
	if err != nil || len(table.Of("web")) > 0 || len(table.Of("db")) != 1 {
		t.Errorf("%s, %v", byOwner(table), err)
	}
}
