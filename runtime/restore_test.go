package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// keeper makes web, with some settings and a file of its own, and destroys it.
func keeper(t *testing.T) (f *faulty, was Info) {
	t.Helper()
	f = newFaulty(t, memoryDir(t))
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	a, err := anotherAddress(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := changeWeb(vps.AddAddress{Address: a}, vps.SetConnections{Limit: 900}, vps.SetLabel{Key: "tier", Value: "web"})(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.m.store.FSDir("web"), "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if was, err = f.m.Inspect(background, "web"); err != nil {
		t.Fatal(err)
	}
	if err := keepWeb(f); err != nil {
		t.Fatal(err)
	}
	return f, was
}

func restored(t *testing.T, f *faulty, name vps.Name, o RestoreOptions) Info {
	t.Helper()
	info, err := f.m.Restore(background, TrashChoice{Name: "web"}, name, o)
	if err != nil {
		t.Fatal(err)
	}
	if !paths.Exists(filepath.Join(f.m.store.FSDir(name), "mine")) {
		t.Error("its files are not there")
	}
	return info
}

func inTrash(t *testing.T, f *faulty) []TrashInfo {
	t.Helper()
	all, err := f.m.Trash(background)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRestoreGivesEverythingBack(t *testing.T) {
	f, was := keeper(t)
	defer f.end()
	all := inTrash(t, f)
	if len(all) != 1 || all[0].Name != "web" || all[0].IDs != was.IDs || len(all[0].Addresses) != 3 || all[0].Error != "" {
		t.Fatalf("the trash has %+v", all)
	}
	// Nothing of it is given away, but its name and its addresses.
	other, err := f.m.Create(background, "db", CreateOptions{Template: "t"})
	if err != nil || other.IDs.Overlaps(was.IDs) {
		t.Fatalf("%v, %v", other.IDs, err)
	}
	if err := f.m.Destroy(background, "db", DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	used, err := f.m.usedTemplates()
	if err != nil || !slices.Equal(used[was.Digest], []string{"web in the trash"}) {
		t.Errorf("used templates: %v, %v", used, err)
	}
	now := restored(t, f, "web", RestoreOptions{})
	if fmt.Sprintf("%+v", now) != fmt.Sprintf("%+v", was) {
		t.Errorf("it was\n%+v\nand is\n%+v", was, now)
	}
	if left := inTrash(t, f); len(left) > 0 {
		t.Errorf("the trash has %+v", left)
	}
	f.whole(t, "restored")
}

// Under another name it is the same VPS. Its name was its host name.
func TestRestoreToAnotherName(t *testing.T) {
	f, was := keeper(t)
	defer f.end()
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	if _, err := f.m.Restore(background, TrashChoice{Name: "web"}, "web", RestoreOptions{Replace: true}); !fail.Is(err, fail.Taken) {
		t.Errorf("restore over web: %v", err)
	}
	// The new web has the address and the port.
	_, err := f.m.Restore(background, TrashChoice{Name: "web"}, "db", RestoreOptions{})
	if !fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), "belongs to web") || !strings.Contains(err.Error(), "--replace-taken") {
		t.Errorf("restore of taken addresses: %v", err)
	}
	if _, err := f.m.Inspect(background, "db"); !fail.Is(err, fail.NotFound) {
		t.Errorf("there is a db: %v", err)
	}
	var warnings []string
	f.m.warn = func(s string) { warnings = append(warnings, s) }
	now := restored(t, f, "db", RestoreOptions{Replace: true})
	if now.UUID != was.UUID || now.IDs != was.IDs || now.Hostname != "db" || len(now.Published) > 0 || len(now.Interfaces[0].Addresses) != 2 {
		t.Errorf("it was\n%+v\nand is\n%+v", was, now)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "addresses") || !strings.Contains(warnings[1], "8080") {
		t.Errorf("%q", warnings)
	}
	f.whole(t, "restored to another name")
}

// The newest of a name is restored, and an older one by its id.
func TestRestoreOfSeveral(t *testing.T) {
	f, was := keeper(t)
	defer f.end()
	older := inTrash(t, f)[0]
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	if err := keepWeb(f); err != nil {
		t.Fatal(err)
	}
	if all := inTrash(t, f); len(all) != 2 || all[1].ID != older.ID {
		t.Fatalf("%+v", all)
	}
	var warnings []string
	f.m.warn = func(s string) { warnings = append(warnings, s) }
	newest, err := f.m.Restore(background, TrashChoice{Name: "web"}, "web", RestoreOptions{})
	if err != nil || newest.UUID == was.UUID || len(warnings) != 1 || !strings.Contains(warnings[0], "newest of 2") {
		t.Errorf("%v, %v, %q", newest.UUID, err, warnings)
	}
	if info, err := f.m.Restore(background, TrashChoice{Name: "web", ID: older.ID[:6]}, "db", RestoreOptions{Replace: true}); err != nil || info.UUID != was.UUID {
		t.Errorf("%v, %v", info.UUID, err)
	}
}

// A destroy that keeps, and a restore, that are killed between two steps leave a VPS
// or one in the trash.
func TestKilledRestore(t *testing.T) {
	f, was := keeper(t)
	defer f.end()
	killed := func(do func(l *state.Locked)) {
		t.Helper()
		l, err := f.m.lock(background, "web")
		if err != nil {
			t.Fatal(err)
		}
		do(l)
		l.Unlock()
	}
	killed(func(*state.Locked) { // with its addresses, and not with its directory
		kept, err := f.m.store.Kept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.m.networkTables().Reclaim(background, kept[0].VPS, kept[0].Remains.Interfaces, false); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := f.m.Create(background, "db", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	onlyOwner(t, f.m, "db") // it is not a VPS, so it has no address
	if err := f.m.Destroy(background, "db", DestroyOptions{}); err != nil {
		t.Fatal(err)
	}
	restored(t, f, "web", RestoreOptions{})
	killed(func(l *state.Locked) { // moved, and not released
		if err := l.Keep(time.Now().Add(time.Hour), state.Remains{Destroyed: time.Now(), Interfaces: f.m.networkTables().Held(vps.VPS{Name: "web", Interfaces: []vps.Interface{{Name: "eth0", Network: DefaultNetwork}}})}); err != nil {
			t.Fatal(err)
		}
	})
	now := restored(t, f, "web", RestoreOptions{})
	if fmt.Sprintf("%+v", now) != fmt.Sprintf("%+v", was) {
		t.Errorf("it was\n%+v\nand is\n%+v", was, now)
	}
	f.whole(t, "restored twice")
}

// What is kept is not deleted with other rubbish. What is expired, or given up, is.
func TestTrashExpires(t *testing.T) {
	f, _ := keeper(t)
	defer f.end()
	if err := f.m.PruneTemplates(background); err != nil {
		t.Fatal(err)
	}
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	if all := inTrash(t, f); len(all) != 1 {
		t.Fatalf("the trash has %+v", all)
	}
	old := filepath.Join(f.m.store.TrashDir(), "db.until-1000.0123456789ab")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if all := inTrash(t, f); len(all) != 1 {
		t.Errorf("an expired VPS is listed: %+v", all)
	}
	if _, err := f.m.Restore(background, TrashChoice{Name: "db"}, "db", RestoreOptions{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("an expired VPS is restored: %v", err)
	}
	if err := f.m.DeleteTrash(background, TrashChoice{Name: "mail"}); !fail.Is(err, fail.NotFound) {
		t.Errorf("%v", err)
	}
	if err := f.m.DeleteTrash(background, TrashChoice{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(f.m.store.TrashDir()); err != nil || len(left) > 0 {
		t.Errorf("the trash has %v, %v", left, err)
	}
}

// A VPS of run --rm is never kept. One with damaged settings cannot be, and is left.
func TestWhatIsNotKept(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	for _, name := range []vps.Name{"one", "two"} {
		if _, err := m.Create(ctx, name, CreateOptions{Template: "t", Ephemeral: name == "one"}); err != nil {
			t.Fatal(err)
		}
	}
	o := DestroyOptions{Force: true, Keep: time.Hour}
	if err := m.Destroy(ctx, "one", o); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(m.store.TrashDir()); err != nil || len(left) > 0 {
		t.Errorf("the trash has %v, %v", left, err)
	}
	if err := os.WriteFile(m.store.VPSFile("two"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Destroy(ctx, "two", o); !fail.Is(err, fail.State) || !paths.Exists(m.store.VPSDir("two")) {
		t.Errorf("%v", err)
	}
	o.Keep = 0
	if err := m.Destroy(ctx, "two", o); err != nil {
		t.Error(err)
	}
}
