package state

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// files is what is below vps/ and trash/, as text.
func files(t testing.TB, s *Store) string {
	t.Helper()
	var all []string
	for _, dir := range []string{"vps", "trash"} {
		names, err := readNames(filepath.Join(s.Root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all = append(all, dir+"/"+name)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestDraft(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(d.Dir); err != nil || fi.Mode().Perm() != private {
		t.Fatalf("draft: %v, %v", fi, err)
	}
	if err := d.Put(vps.VPS{Hostname: "h"}); err != nil {
		t.Fatal(err)
	}
	_, err = l.VPS()
	wantKind(t, err, fail.NotFound) // not before Commit
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(); err != nil {
		t.Fatal("EmptyTrash took a draft at work: ", err)
	}
	d.Abort() // after Commit: nothing
	if v, err := l.VPS(); err != nil || v.Hostname != "h" || v.Name != "web" {
		t.Errorf("got %+v, %v", v, err)
	}
	if err := d.Commit(); !fail.Is(err, fail.Internal) {
		t.Errorf("second Commit: %v", err)
	}
	_, err = l.Begin()
	wantKind(t, err, fail.Taken)
	if got := files(t, s); got != "vps/web" {
		t.Errorf("got %s", got)
	}
}

func TestCommitNeverReplaces(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.VPSDir("web"), 0o700); err != nil { // made by hand meanwhile, and empty
		t.Fatal(err)
	}
	wantKind(t, d.Commit(), fail.Taken)
	d.Abort()
	d.Abort()
	if got := files(t, s); got != "vps/web" {
		t.Errorf("got %s", got)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	s, _ := newStore(t)
	l := lock(t, s, "web")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(d.Dir+"/fs/upper/a", 0o700); err != nil {
		t.Fatal(err)
	}
	d.Abort()
	if got := files(t, s); got != "" {
		t.Errorf("left: %s", got)
	}
}

// A draft of a killed command is rubbish, and its ids are free once it is gone.
func TestDraftOfKilledProcess(t *testing.T) {
	s, dir := newStore(t)
	p := startSecond(t, "draft", dir)
	var path string
	var first uint32
	if _, err := fmt.Sscanf(p.lines[0], "draft %s %d", &path, &first); err != nil {
		t.Fatal(err)
	}
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("a draft at work was removed: ", err)
	}
	if v := makeVPS(t, s, "db"); v.IDs.First == first {
		t.Errorf("ids %d given twice", first)
	}
	p.kill()
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, s); got != "vps/db" {
		t.Errorf("got %s", got)
	}
	// Lower ones may be free by now: a process of this machine may have had them.
	if v := makeVPS(t, s, "web"); v.IDs.First > first {
		t.Errorf("ids %d, want those that are free again: %d", v.IDs.First, first)
	}
}

// Fifty at once, while others tidy up: each gets a VPS and ids of its own.
func TestCreatesAtOnce(t *testing.T) {
	s, dir := newStore(t)
	const n = 50
	var wg sync.WaitGroup
	tidy, stop := context.WithCancel(context.Background())
	tidied := make(chan struct{})
	go func() {
		defer close(tidied)
		for tidy.Err() == nil {
			if err := s.EmptyTrash(context.Background()); err != nil {
				t.Error(err)
			}
			if _, err := s.All(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range n {
		wg.Go(func() {
			mine, err := Open(filepath.Join(dir, "root"), filepath.Join(dir, "run"))
			if err != nil {
				t.Error(err)
				return
			}
			mine.subIDFiles = nil
			makeVPS(t, mine, fmt.Sprintf("vps-%d", i))
		})
	}
	wg.Wait()
	stop()
	<-tidied
	all, err := s.All()
	if err != nil || len(all) != n {
		t.Fatalf("%d VPSs, %v; want %d", len(all), err, n)
	}
	owner := map[uint32]string{}
	for _, e := range all {
		if e.Err != nil {
			t.Errorf("%s: %v", e.Name, e.Err)
			continue
		}
		if other := owner[e.VPS.IDs.First]; other != "" || e.VPS.IDs.Size != IDUnit {
			t.Errorf("ids %v of %s: also those of %q", e.VPS.IDs, e.Name, other)
		}
		owner[e.VPS.IDs.First] = string(e.Name)
	}
	if got := files(t, s); strings.Contains(got, "vps/.") || strings.Contains(got, "trash/") {
		t.Errorf("left: %s", got)
	}
}

func TestFreeIDs(t *testing.T) {
	const u = IDUnit
	for name, c := range map[string]struct {
		used []vps.IDRange
		size uint32
		want uint32 // 0: none
	}{
		"first":             {nil, u, firstIDs},
		"none used":         {[]vps.IDRange{{First: 0, Size: 0}}, u, firstIDs},
		"after":             {[]vps.IDRange{{First: firstIDs, Size: u}}, u, firstIDs + u},
		"gap":               {[]vps.IDRange{{First: firstIDs + u, Size: u}}, u, firstIDs},
		"gap too small":     {[]vps.IDRange{{First: firstIDs + u, Size: u}}, 2 * u, firstIDs + 2*u},
		"unsorted":          {[]vps.IDRange{{First: firstIDs + u, Size: u}, {First: firstIDs, Size: u}}, u, firstIDs + 2*u},
		"contained":         {[]vps.IDRange{{First: firstIDs, Size: 4 * u}, {First: firstIDs + u, Size: u}}, u, firstIDs + 4*u},
		"unaligned":         {[]vps.IDRange{{First: firstIDs + 5, Size: 7}}, u, firstIDs + u},
		"of subuid":         {[]vps.IDRange{{First: 1000000, Size: 1000000000}}, u, 1001062400},
		"below":             {[]vps.IDRange{{First: 100000, Size: 65536}}, u, firstIDs},
		"all":               {[]vps.IDRange{{First: 1000, Size: math.MaxUint32 - 1000}}, u, 0},
		"wraps":             {[]vps.IDRange{{First: math.MaxUint32, Size: math.MaxUint32}}, u, firstIDs},
		"the end":           {[]vps.IDRange{{First: firstIDs, Size: endIDs - firstIDs}}, u, 0},
		"the last":          {[]vps.IDRange{{First: firstIDs, Size: endIDs - firstIDs - u}}, u, endIDs - u},
		"larger than there": {nil, math.MaxUint32 / u * u, 0},
	} {
		got, ok := freeIDs(c.used, c.size)
		if got.First != c.want || ok != (c.want != 0) || ok && got.Size != c.size {
			t.Errorf("%s: got %v, %v; want %d", name, got, ok, c.want)
		}
	}
}

func TestAllocateIDs(t *testing.T) {
	s, dir := newStore(t)
	s.subIDFiles = []string{dir + "/subuid", dir + "/absent"}
	write(t, dir+"/subuid", "# none\nann:100000:65536\n\nben:1048576:65536\nx:-1:2\ny:1:2:3\ncarl:99999999999:1\n")
	l := lock(t, s, "web")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	ctx := context.Background()
	v := vps.VPS{Hostname: "h"}
	wantKind(t, d.AllocateIDs(ctx, &v, 1000), fail.Usage)
	if err := d.AllocateIDs(ctx, &v, 2*IDUnit); err != nil {
		t.Fatal(err)
	}
	if want := (vps.IDRange{First: 1048576 + 65536, Size: 2 * IDUnit}); v.IDs != want {
		t.Errorf("got %v, want %v", v.IDs, want)
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}

	// What is in the trash still has its ids.
	if err := l.Trash(); err != nil {
		t.Fatal(err)
	}
	if v2 := makeVPS(t, s, "db"); v2.IDs.First < v.IDs.First+v.IDs.Size {
		t.Errorf("got %v while the trash has %v", v2.IDs, v.IDs)
	}

	// A newer croft's VPS has ids that this one understands; one that cannot be
	// read could have any.
	forgetIndex(t, s)
	write(t, s.VPSFile("db"), `{"schema": 9, "ids": {"first": 1245184, "size": 65536}}`)
	if v := makeVPS(t, s, "new"); v.IDs.First != 1245184+65536 {
		t.Errorf("got %v beside 1245184+65536", v.IDs)
	}
	write(t, s.VPSFile("db"), `{"schema": 1, "ids"`)
	forgetIndex(t, s)
	l2 := lock(t, s, "next")
	d2, err := l2.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d2.Abort()
	err = d2.AllocateIDs(ctx, &v, 0)
	wantKind(t, err, fail.State)
	if !strings.Contains(err.Error(), s.VPSFile("db")) {
		t.Errorf("does not say which file: %v", err)
	}
}

// A range can be asked for, and is given if all of its ids are free.
func TestTakeIDs(t *testing.T) {
	s, dir := newStore(t)
	s.subIDFiles = []string{dir + "/subuid"}
	write(t, dir+"/subuid", "")
	has := makeVPS(t, s, "db")
	l := lock(t, s, "web")
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	ctx := context.Background()
	for _, taken := range []vps.IDRange{has.IDs, {First: has.IDs.First - has.IDs.First%IDUnit, Size: 4 * IDUnit}} {
		wantKind(t, s.IDsFree(ctx, taken), fail.Taken)
		wantKind(t, d.TakeIDs(ctx, &vps.VPS{Hostname: "h"}, taken), fail.Taken)
	}
	for _, bad := range []vps.IDRange{{}, {First: 0, Size: IDUnit}, {First: firstIDs + 1, Size: IDUnit}, {First: firstIDs, Size: 5}, {First: math.MaxUint32 - 1, Size: IDUnit}} {
		wantKind(t, d.TakeIDs(ctx, &vps.VPS{Hostname: "h"}, bad), fail.Usage)
	}
	v, want := vps.VPS{Hostname: "h"}, vps.IDRange{First: firstIDs + 64*IDUnit, Size: 2 * IDUnit}
	if err := s.IDsFree(ctx, want); err != nil {
		t.Error(err)
	}
	if err := d.TakeIDs(ctx, &v, want); err != nil || v.IDs != want {
		t.Errorf("%v, %v", v.IDs, err)
	}
	wantKind(t, s.IDsFree(ctx, want), fail.Taken)
}

func forgetIndex(t *testing.T, s *Store) {
	t.Helper()
	if err := os.Remove(s.idIndexFile()); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Whatever became of its vps.json, the ids of a VPS are given to no other one.
func TestIDsOfALostFile(t *testing.T) {
	for _, indexed := range []bool{true, false} {
		for what, spoil := range map[string]func(path string) error{
			"missing": os.Remove,
			"null":    func(path string) error { return os.WriteFile(path, []byte("null"), 0o600) },
			"{}":      func(path string) error { return os.WriteFile(path, []byte("{}"), 0o600) },
			"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		} {
			s, _ := newStore(t)
			old := makeVPS(t, s, "web")
			if err := spoil(s.VPSFile("web")); err != nil {
				t.Fatal(err)
			}
			if !indexed {
				forgetIndex(t, s)
			}
			d, err := lock(t, s, "db").Begin()
			if err != nil {
				t.Fatal(err)
			}
			var v vps.VPS
			err = d.AllocateIDs(context.Background(), &v, 0)
			switch {
			case indexed && err != nil:
				t.Errorf("%s: %v", what, err)
			case indexed && v.IDs.Overlaps(old.IDs):
				t.Errorf("%s: %v and %v", what, v.IDs, old.IDs)
			case !indexed && !fail.Is(err, fail.State):
				t.Errorf("%s, without the index: %v, %v", what, v.IDs, err)
			}
			d.Abort()
		}
	}
}

// Ids that a process of the host has are given to no VPS, though no file names
// them.
func TestIDsOfProcesses(t *testing.T) {
	s, _ := newStore(t)
	s.userRuns = func(uid uint32) bool { return uid == firstIDs+IDUnit }
	d, err := lock(t, s, "web").Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	var v vps.VPS
	if err := d.AllocateIDs(context.Background(), &v, 2*IDUnit); err != nil {
		t.Fatal(err)
	}
	if v.IDs.First != firstIDs+2*IDUnit {
		t.Errorf("got %v", v.IDs)
	}
	for status, want := range map[string]bool{
		"Name:\ta\nState:\tS (sleeping)\nUid:\t70\t0\t0\t0\n":    true,
		"Name:\tState:\nState:\tZ (zombie)\nUid:\t70\t0\t0\t0\n": false,
		"State:\tR (running)\nUid:\t7\t70\t70\t70\n":             false,
		"": false,
	} {
		if got := runsAs(status, 70); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
	if !userRuns(uint32(os.Getuid())) || userRuns(3_999_999_999) {
		t.Error("the kernel says otherwise")
	}
}

// reading is how often this process has read, and how many bytes (proc(5)).
func reading(t *testing.T) (calls, bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err) // the kernel does not count
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\nsyscr: %d", &bytes, new(int), &calls); err != nil {
		t.Fatal(err)
	}
	return calls, bytes
}

// With 5,000 VPSs AllocateIDs reads the index, and none of their files, which
// is why it does not notice here that they are corrupt.
func TestIDIndexSavesReading(t *testing.T) {
	s, _ := newStore(t)
	s.subIDFiles = nil
	const n = 5000
	var index []dirRange
	for i := range n {
		dir := s.VPSDir(vps.Name(fmt.Sprint("v", i)))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, vpsFileName), "{")
		key, err := keyOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		index = append(index, dirRange{key, vps.IDRange{First: firstIDs + uint32(i)*IDUnit, Size: IDUnit}})
	}
	s.writeIDIndex(index)
	allocate := func(name string) error {
		d, err := lock(t, s, name).Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Abort()
		var v vps.VPS
		err = d.AllocateIDs(context.Background(), &v, 0)
		if err == nil && v.IDs.First != firstIDs+n*IDUnit {
			t.Errorf("got %v", v.IDs)
		}
		return err
	}
	info, err := os.Stat(s.idIndexFile())
	if err != nil {
		t.Fatal(err)
	}
	calls, bytes := reading(t)
	if err := allocate("web"); err != nil {
		t.Fatal(err)
	}
	callsAfter, bytesAfter := reading(t)
	if c, b := callsAfter-calls, bytesAfter-bytes-int(info.Size()); c > 40 || b > 16<<10 {
		t.Errorf("it read %d times, and %d bytes more than the index has", c, b)
	}
	// Without the index they would be read.
	if err := os.Remove(s.idIndexFile()); err != nil {
		t.Fatal(err)
	}
	if err := allocate("db"); !fail.Is(err, fail.State) {
		t.Errorf("without the index: %v", err)
	}
}

// The index has every VPS that was created; one that was renamed or put there by
// hand is looked into.
func TestIDIndex(t *testing.T) {
	s, _ := newStore(t)
	for _, name := range []string{"a", "b", "c"} {
		makeVPS(t, s, name)
	}
	index := s.readIDIndex()
	if len(index) != 3 {
		t.Fatalf("the index is %v", index)
	}
	for _, name := range []string{"a", "b", "c"} {
		key, err := keyOf(s.VPSDir(vps.Name(name)))
		if _, ok := index[key]; err != nil || !ok {
			t.Errorf("%s is not in the index: %v", name, err)
		}
	}
	by := vps.IDRange{First: firstIDs + 10*IDUnit, Size: IDUnit}
	if err := os.Mkdir(s.VPSDir("d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, s.VPSFile("d"), `{"schema": 1, "ids": {"first": 1703936, "size": 65536}}`)
	used, _, err := s.usedIDs("")
	if err != nil || !slices.Contains(used, by) {
		t.Errorf("used are %v, %v", used, err)
	}
	write(t, s.idIndexFile(), "croft ids 1\na 1 1 1\nsum 0\n")
	if got := s.readIDIndex(); len(got) > 0 {
		t.Errorf("a corrupt index was believed: %v", got)
	}
}

// A command that is interrupted while it waits for the lock of ids ends.
func TestAllocateIDsCalledOff(t *testing.T) {
	s, _ := newStore(t)
	d, err := lock(t, s, "web").Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	ctx, cancel := context.WithCancel(context.Background())
	err = exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		cancel()
		done := make(chan error) // another goroutine holds the lock of this one
		go func() { done <- d.AllocateIDs(ctx, &vps.VPS{}, 0) }()
		return <-done
	})
	if err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func FuzzParseSubIDs(f *testing.F) {
	f.Add("ann:100000:65536\n")
	f.Add(":::\nx:4294967295:4294967295")
	f.Fuzz(func(t *testing.T, text string) {
		ranges, err := parseSubIDs(strings.NewReader(text))
		if err != nil {
			return
		}
		ids, ok := freeIDs(ranges, IDUnit)
		if !ok {
			return
		}
		for _, r := range ranges {
			if r.Size > 0 && uint64(ids.First) < uint64(r.First)+uint64(r.Size) && uint64(r.First) < uint64(ids.First)+IDUnit {
				t.Fatalf("%v overlaps %v", ids, r)
			}
		}
	})
}
