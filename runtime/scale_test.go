package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// crowd creates n VPSs v0, v1 and so on. Their files are corrupt, so a command that reads
// one of them fails.
func crowd(t *testing.T, m *Manager, n int) {
	t.Helper()
	ctx := context.Background()
	if _, err := m.Create(ctx, "v0", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	claims, err := os.ReadFile(m.store.ClaimsFile(DefaultNetwork))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(claims), "\n")
	first := netip.MustParseAddr(strings.Split(strings.Split(line, "addresses=")[1], ",")[0])
	ids := "croft ids 1\n"
	table := ""
	for i, a := 0, first; i < n; i, a = i+1, a.Next() {
		for b := a.As4(); i > 0 && (b[3] == 0 || b[3] == 255); b = a.As4() {
			a = a.Next()
		}
		name := fmt.Sprint("v", i)
		if i > 0 {
			if err := os.Mkdir(m.store.VPSDir(vps.Name(name)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(m.store.VPSFile(vps.Name(name)), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(m.store.VPSDir(vps.Name(name)))
		if err != nil {
			t.Fatal(err)
		}
		ids += fmt.Sprintf("%s %d %d %d\n", name, inode(info), 1<<20+i*DefaultIDs, DefaultIDs)
		table += fmt.Sprintf("claim %s eth0 mac=c2:01:02:03:%02x:%02x link=cr-%d addresses=%s\n", name, i/256, i%256, i, a)
	}
	for path, text := range map[string]string{
		m.store.ClaimsFile(DefaultNetwork): table + "end " + crc(table) + "\n",
		filepath.Join(m.store.Root, "ids"): ids + "sum " + crc(ids) + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// io is how much and how often this process has read and written (proc(5)).
func processIO(t *testing.T) (read, written, calls int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err) // the kernel does not count
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\nsyscr: %d", &read, &written, &calls); err != nil {
		t.Fatal(err)
	}
	return read, written, calls
}

// With 5,000 VPSs a create, a change, a rename and a destroy read and write as many files
// as with one VPS. Of the files about all VPSs, the table and the index of ids, only the
// index is written as a whole.
func TestCommandsReadNoOtherVPS(t *testing.T) {
	ctx := context.Background()
	const n = 5000
	type cost struct{ read, written, calls int }
	costs := map[int]map[string]cost{}
	commands := []struct {
		name string
		do   func(*Manager) error
	}{
		{"create", func(m *Manager) error { _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); return err }},
		{"inspect", func(m *Manager) error { _, err := m.Inspect(ctx, "web"); return err }},
		{"set", func(m *Manager) error { return m.Change(ctx, "web", vps.SetBootOrder{Order: 7}) }},
		{"rename", func(m *Manager) error { return m.Rename(ctx, "web", "www") }},
		{"destroy", func(m *Manager) error { return m.Destroy(ctx, "www", DestroyOptions{}) }},
	}
	const slack = 8 << 10 // what the test itself may write meanwhile
	all := 0              // bytes of the table and the index
	for _, others := range []int{1, n} {
		m, _ := newFake(t, t.TempDir())
		crowd(t, m, others)
		costs[others] = map[string]cost{}
		before, err := os.Stat(m.store.ClaimsFile(DefaultNetwork))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands {
			read, written, calls := processIO(t)
			if err := c.do(m); err != nil {
				t.Fatalf("%s with %d others: %v", c.name, others, err)
			}
			r, w, k := processIO(t)
			costs[others][c.name] = cost{r - read, w - written, k - calls}
		}
		table, err := os.Stat(m.store.ClaimsFile(DefaultNetwork))
		if err != nil {
			t.Fatal(err)
		}
		ids, err := os.Stat(filepath.Join(m.store.Root, "ids"))
		if err != nil {
			t.Fatal(err)
		}
		all = int(table.Size() + ids.Size())
		if !os.SameFile(before, table) || table.Size()-before.Size() > 1000 {
			t.Errorf("with %d others the claims were written anew, or grew from %d to %d", others, before.Size(), table.Size())
		}
	}
	for _, c := range commands {
		few, many := costs[1][c.name], costs[n][c.name]
		t.Logf("%s: %+v, with %d others %+v", c.name, few, n, many)
		// A large file takes more than one read, and create and rename read the table
		// more than once.
		if many.calls > few.calls+20 || many.read > few.read+5*all || c.name != "create" && many.written > few.written+slack || many.written > few.written+all {
			t.Errorf("%s: %+v, with %d others %+v", c.name, few, n, many)
		}
	}
}

// If 50 creates want one address at the same time, one gets it. Creates that want any
// address get one each.
func TestParallelCreatesHaveOneWinner(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	m.lockWait = time.Minute
	const n = 50
	create := func(name vps.Name, want ...vps.AddAddress) error {
		_, err := m.Create(ctx, name, CreateOptions{Template: "t", Addresses: want})
		return err
	}
	if err := create("first"); err != nil {
		t.Fatal(err)
	}
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	wanted := table.IPv4.Addr().Next().Next().Next().Next()
	errs := make(chan error, 2*n)
	for i := range n {
		go func() { errs <- create(vps.Name(fmt.Sprint("v", i)), vps.AddAddress{Address: wanted}) }()
		go func() { errs <- create(vps.Name(fmt.Sprint("any", i))) }()
	}
	won := 0
	for range 2 * n {
		switch err := <-errs; {
		case err == nil:
			won++
		case !fail.Is(err, fail.Taken):
			t.Error(err)
		}
	}
	if table, err = m.networkTables().Get(DefaultNetwork); err != nil {
		t.Fatal(err)
	}
	owners := map[string]int{}
	for _, c := range table.Claims {
		owners[string(c.Owner)]++
	}
	// An "any" may have got the wanted address first.
	if len(table.Claims) != won+1 || len(owners) != won+1 || won < n || won > n+1 {
		t.Errorf("%d succeeded, and %d have claims: %v", won, len(owners), owners)
	}
	if who, ok := table.Owner(wanted); !ok {
		t.Errorf("%s belongs to %q", wanted, who)
	}
}

// A table of a former version can be read, and the next claim writes it in this version.
// Files that a killed change wrote before the settings do not count.
func TestFormerTableIsUpgraded(t *testing.T) {
	ctx := context.Background()
	for _, killed := range []bool{false, true} {
		m, _ := newFake(t, t.TempDir())
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		was, err := m.Network(ctx, DefaultNetwork)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(m.store.NetworkFile(DefaultNetwork))
		if err != nil {
			t.Fatal(err)
		}
		settings := map[string]any{}
		if err := json.Unmarshal(data, &settings); err != nil {
			t.Fatal(err)
		}
		settings["schema"], settings["claims"] = 2, was.Claims
		old, err := json.Marshal(settings)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(m.store.NetworkFile(DefaultNetwork), old, 0o600)
		if killed {
			err = errors.Join(err, os.WriteFile(m.store.ClaimsFile(DefaultNetwork), []byte("claim ghost eth0\nend 00000000\n"), 0o600))
		} else {
			err = errors.Join(err, os.Remove(m.store.ClaimsFile(DefaultNetwork)))
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := m.Inspect(ctx, "web")
		if err != nil || len(info.Interfaces) != 1 || info.Interfaces[0].MAC != was.Claims[0].MAC {
			t.Errorf("read: %+v, %v", info.Interfaces, err)
		}
		if _, err := m.Create(ctx, "db", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		if data, err = os.ReadFile(m.store.NetworkFile(DefaultNetwork)); err != nil || strings.Contains(string(data), "claims") {
			t.Errorf("%s, %v", data, err)
		}
		for name, network := range map[string]string{"web": DefaultNetwork, "db": DefaultNetwork} {
			v := vps.VPS{Name: vps.Name(name), Interfaces: []vps.Interface{{Name: "eth0", Network: network}}}
			if plans, err := m.networkTables().Plans(v); err != nil || len(plans[0].Addresses) != 2 {
				t.Errorf("%s: %+v, %v", name, plans, err)
			}
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{}); err != nil {
			t.Fatal(err)
		}
		onlyOwner(t, m, "db")
	}
}

// Lost claims are an error. Otherwise croft would give addresses of VPSs to others.
func TestLostClaims(t *testing.T) {
	ctx := context.Background()
	for what, damage := range map[string]func(path string) error{
		"removed": os.Remove, "emptied": func(path string) error { return os.Truncate(path, 0) },
		"changed": func(path string) error { return os.WriteFile(path, []byte("claim web\nend 00000000\n"), 0o600) },
	} {
		m, _ := newFake(t, t.TempDir())
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		file := m.store.ClaimsFile(DefaultNetwork)
		if err := damage(file); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Create(ctx, "db", CreateOptions{Template: "t"}); !fail.Is(err, fail.State) {
			t.Errorf("%s: create: %v", what, err)
		}
		if all, err := m.Networks(ctx); err != nil || len(all) != 1 || all[0].Error == "" {
			t.Errorf("%s: %+v, %v", what, all, err)
		}
		if err := m.RemoveNetwork(ctx, DefaultNetwork, true); err != nil {
			t.Errorf("%s: remove: %v", what, err)
		}
		if paths.Exists(file) || paths.Exists(m.store.NetworkFile(DefaultNetwork)) || paths.Exists(file+".broken") != (what != "removed") {
			t.Errorf("%s: what is left is not what should be", what)
		}
		if err := m.Start(ctx, "web", StartOptions{}); err != nil {
			t.Errorf("%s: start: %v", what, err)
		}
	}
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func crc(text string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) }
