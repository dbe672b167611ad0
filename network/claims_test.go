package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
	"croft/internal/vps"
)

// byOwner prints claims so that they can be compared whatever their order.
func byOwner(table Table) string {
	var lines []string
	for _, c := range table.Claims {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %v %d", c.Owner, c.Interface, c.MAC, c.HostLink, c.Addresses, c.Connections))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%q", lines)
}

// steps are changes of a table, each of another kind.
func steps(t testing.TB) []func(*Table) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	claim := func(owner string) func(*Table) {
		return func(table *Table) {
			_, err := table.Claim(vps.Name(owner), "eth0", nil, nil)
			must(err)
		}
	}
	return []func(*Table){
		claim("web"), claim("db"), claim("mail"),
		func(table *Table) { must(table.Add("web", "eth0", addrs("10.90.7.7", "fd00:1:2::7"), nil)) },
		func(table *Table) { table.Release("db") },
		func(table *Table) { must(table.SetConnections("web", "eth0", vps.UnlimitedConnections)) },
		func(table *Table) { table.Rename("web", "www") },
		func(table *Table) { must(table.Drop("www", "eth0", addrs("10.90.7.7"))) },
		func(table *Table) { table.Release("mail"); table.Release("www") },
		claim("web"),
	}
}

// Each change of a table is one group of lines, and what is read afterwards is
// the table. A journal that ends within a group says what it said before it.
func TestChangesAreAppended(t *testing.T) {
	f := written(t, fixed(), Files{})
	says := []string{byOwner(decoded(t, f))} // after each change
	ends := []int{len(f.Claims)}
	for i, step := range steps(t) {
		table := decoded(t, f)
		step(&table)
		c, err := table.Changes()
		if err != nil || c.Settings != nil || c.Claims != nil || bytes.Count(c.Append, []byte(lineEnd)) != 1 {
			t.Fatalf("change %d: %+v, %v", i, c, err)
		}
		f = written(t, table, f)
		if diff := cmp.Diff(byOwner(table), byOwner(decoded(t, f))); diff != "" {
			t.Fatalf("change %d: %s", i, diff)
		}
		says, ends = append(says, byOwner(table)), append(ends, len(f.Claims))
	}
	for cut := ends[0]; cut <= len(f.Claims); cut++ {
		last := 0
		for last+1 < len(ends) && ends[last+1] <= cut {
			last++
		}
		table, err := Decode(Files{f.Settings, f.Claims[:cut]})
		if err != nil || byOwner(table) != says[last] {
			t.Fatalf("cut at %d: %v, %v", cut, err, table.Claims)
		}
		// The rest of a group is not left between groups.
		if _, err := table.Claim("next", "eth0", nil, nil); err != nil {
			t.Fatal(err)
		}
		c, err := table.Changes()
		if err != nil || (c.Claims != nil) != (ends[last] != cut) {
			t.Fatalf("cut at %d: %q, %v", cut, c.Claims, err)
		}
	}
	table := decoded(t, f)
	if c, err := table.Changes(); err != nil || c.Settings != nil || c.Claims != nil || c.Append != nil {
		t.Errorf("nothing has changed, and %+v is written, %v", c, err)
	}
}

// A journal with a changed byte is refused. In its last group, or where it looks
// like the beginning of one, it may be what a power cut left; then that group is
// not there, and no claim is another one.
func TestDamagedClaims(t *testing.T) {
	table := fixed()
	mustClaim(t, &table, "web")
	f := written(t, table, Files{})
	table = decoded(t, f)
	mustClaim(t, &table, "db")
	f = written(t, table, f)
	whole, before := byOwner(table), byOwner(Table{Claims: table.Claims[:1]})
	last := bytes.Index(f.Claims, []byte("claim db"))
	for i := range f.Claims {
		bad := Files{f.Settings, slices.Clone(f.Claims)}
		bad.Claims[i] ^= 1
		got, err := Decode(bad)
		switch {
		case fail.Is(err, fail.State):
		case err != nil, i < last, byOwner(got) != before:
			t.Errorf("byte %d: %v, %s and not %s", i, err, byOwner(got), whole)
		}
	}
	for what, claims := range map[string][]byte{"missing": nil, "empty": {}, "cut short in the first group": f.Claims[:20]} {
		if _, err := Decode(Files{f.Settings, claims}); !fail.Is(err, fail.State) {
			t.Errorf("claims that are %s: %v", what, err)
		}
	}
}

// What is read of some owners alone is what they have. It can be released, and
// nothing else can be written.
func TestClaimsOfSome(t *testing.T) {
	f := written(t, crowded(50), Files{})
	table := decoded(t, f)
	table.Rename("v7", "v77")
	f = written(t, table, f)
	f.Claims = slices.Concat(f.Claims, []byte("claim v8 eth1 cut sho"))
	whole := decoded(t, f)
	for _, owners := range [][]vps.Name{{"v8"}, {"v77", "v7"}, {"absent"}, {"v", ""}} {
		some, err := DecodeOf(f, owners...)
		if err != nil {
			t.Fatal(err)
		}
		var want Table
		for _, o := range owners {
			want.Claims = append(want.Claims, whole.Of(vps.Name(o))...)
		}
		if byOwner(some) != byOwner(want) {
			t.Errorf("of %v: %s, not %s", owners, byOwner(some), byOwner(want))
		}
		mustClaim(t, &some, "new", "10.90.7.7")
		if _, err := some.Changes(); !fail.Is(err, fail.Internal) {
			t.Errorf("a claim in a part of the table is written: %v", err)
		}
	}
	old, err := os.ReadFile("testdata/table-schema2.json")
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]Files{"cut short": f, "whole": written(t, crowded(50), Files{}), "former": {Settings: old}} {
		table := decoded(t, f)
		owner := table.Claims[1].Owner
		some, err := DecodeOf(f, owner)
		if err != nil || some.Appendable() != (what == "whole") {
			t.Fatalf("%s: %v", what, err)
		}
		some.Release(owner)
		c, err := some.Changes()
		if (err == nil) != some.Appendable() {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			continue
		}
		table.Release(owner)
		after := Files{f.Settings, slices.Concat(f.Claims, c.Append)}
		if byOwner(decoded(t, after)) != byOwner(table) {
			t.Errorf("%s: after a release the table says %s", what, byOwner(decoded(t, after)))
		}
	}
}

// A journal does not grow for ever, and is not written anew for each change.
func TestJournalIsWrittenAnewSometimes(t *testing.T) {
	f := written(t, fixed(), Files{})
	anew, longest := 0, 0
	for i := range 3000 {
		table := decoded(t, f)
		if i%2 == 0 {
			mustClaim(t, &table, "web")
		} else {
			table.Release("web")
		}
		c, err := table.Changes()
		if err != nil {
			t.Fatal(err)
		}
		if c.Claims != nil {
			anew++
		}
		f = written(t, table, f)
		longest = max(longest, bytes.Count(f.Claims, []byte("\n")))
	}
	if anew == 0 || anew > 3000/100 || longest > 3*manyLines {
		t.Errorf("written anew %d times, %d lines", anew, longest)
	}
}

// crowded is a network with n claims. Claim would look at all others for each.
func crowded(n int) Table {
	table := fixed()
	four, six := table.IPv4.Addr(), table.IPv6.Addr()
	for i := range n {
		four, six = four.Next(), six.Next()
		for !table.givable(four) {
			four = four.Next()
		}
		for !table.givable(six) {
			six = six.Next()
		}
		c := Claim{Owner: vps.Name(fmt.Sprint("v", i)), Interface: "eth0", MAC: fmt.Sprintf("c2:01:02:03:%02x:%02x", i/256, i%256),
			HostLink: fmt.Sprint(LinkPrefix, i), Addresses: []netip.Addr{four, six}}
		table.Claims = append(table.Claims, c)
	}
	return table
}

// With 5,000 claims one more, and one less, are a few lines.
func TestOneOfManyClaims(t *testing.T) {
	f := written(t, crowded(5000), Files{})
	for what, step := range map[string]func(*Table){
		"claim":   func(table *Table) { mustClaim(t, table, "web") },
		"release": func(table *Table) { table.Release("v2500") },
		"rename":  func(table *Table) { table.Rename("v77", "www") },
	} {
		table := decoded(t, f)
		step(&table)
		c, err := table.Changes()
		if err != nil || c.Settings != nil || c.Claims != nil || len(c.Append) == 0 || len(c.Append) > 300 {
			t.Errorf("%s: %d bytes are appended, %d written anew, %v", what, len(c.Append), len(c.Claims), err)
		}
	}
}

// A table of a former version is read, and written as one of this version with
// the same claims by the first change, whatever that is.
func TestFormerTablesAreRead(t *testing.T) {
	paths, err := filepath.Glob("testdata/table-schema*.json")
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Claims beside it are from a change that was cut short: they do not count.
		f := Files{old, group([]byte("claim ghost eth0 mac=c2:00:00:00:00:99 link=cr-ghost addresses=10.90.0.99\n"))}
		was := decoded(t, f)
		if len(was.Claims) != 2 || was.Claims[0].Owner != "web" {
			t.Errorf("%s: %+v", path, was.Claims)
		}
		table := decoded(t, f)
		mustClaim(t, &table, "new")
		c, err := table.Changes()
		if err != nil || c.Settings == nil || c.Claims == nil {
			t.Fatalf("%s: %+v, %v", path, c, err)
		}
		if got := byOwner(decoded(t, Files{old, c.Claims})); got != byOwner(was) {
			t.Errorf("%s, cut short before the settings: %s", path, got)
		}
		now := decoded(t, Files{c.Settings, c.Claims})
		if byOwner(now) != byOwner(table) || bytes.Contains(c.Settings, []byte("claims")) {
			t.Errorf("%s: %s\n%s", path, byOwner(now), c.Settings)
		}
		now.Claims, was.Claims, now.kept, was.kept, was.Schema = nil, nil, nil, nil, Schema
		if diff := cmp.Diff(was, now, cmp.AllowUnexported(Table{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func BenchmarkDecode5000(b *testing.B) {
	f := written(b, crowded(5000), Files{})
	for b.Loop() {
		if _, err := Decode(f); err != nil {
			b.Fatal(err)
		}
	}
}
