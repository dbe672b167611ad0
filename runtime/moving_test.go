package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/checkpoint"
	"croft/runtime/moves"
	"croft/runtime/paths"
	"croft/template/backups"
	"croft/template/rootfs"
)

// A fakeParcel has the settings of a VPS and its snapshots.
type fakeParcel struct {
	w      *world
	has    aBackup
	layers int
}

func (p *fakeParcel) Blobs() []backups.Blob { return []backups.Blob{{Digest: "sha256:01", Size: 1}} }

func (p *fakeParcel) Add(ctx context.Context, settings json.RawMessage, c backups.Changed, at string, old, now []rootfs.Frozen) error {
	p.has.Settings, p.layers = settings, p.layers+1
	return c.Changes(ctx, at, old, now, nil)
}

func (p *fakeParcel) Write(_ context.Context, w io.Writer, _ string, _ func(string) bool) error {
	return p.w.effect("send", func() error {
		text, err := json.Marshal(p.has)
		if err == nil {
			_, err = w.Write(append(text, strings.Repeat("\n", p.layers)...))
		}
		return err
	})
}

func (p *fakeParcel) SnapshotsSent() error { p.has.Snapshots = nil; return nil }

func (p *fakeParcel) Close() {}

// twoHosts are two pretend hosts. Effects fail on one of them.
type twoHosts struct {
	near, far *faulty
	down      bool // far cannot be reached
	live      bool // moves go with the processes
}

func newTwoHosts(t *testing.T, dir string) *twoHosts {
	t.Helper()
	sub := func(name string) string {
		d := filepath.Join(dir, name)
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		return d
	}
	return &twoHosts{near: newFaulty(t, sub("near")), far: newFaulty(t, sub("far"))}
}

// dial connects near to far.
func (h *twoHosts) dial(context.Context) (MoveLink, error) {
	if h.down {
		return nil, fail.New(fail.Host, "it is down")
	}
	in, toFar, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromFar, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.far.m.ReceiveMove(context.Background(), in, out)
		in.Close()
		out.Close()
	}()
	return pipeLink{fromFar, toFar, done}, nil
}

// A pipeLink is a connection to far.
type pipeLink struct {
	io.Reader
	io.WriteCloser
	done chan struct{}
}

func (p pipeLink) Close() error {
	err := p.WriteCloser.Close()
	<-p.done
	return err
}

func (h *twoHosts) dialNamed(ctx context.Context, _ string) (MoveLink, error) { return h.dial(ctx) }

func (h *twoHosts) options() MoveOptions {
	return MoveOptions{Host: "far", Live: h.live, Dial: h.dial, Tell: func(string) {}, StopTimeout: time.Millisecond}
}

func (h *twoHosts) move() error {
	_, err := h.near.m.Move(background, "web", h.options())
	return err
}

// runsOn returns on which hosts web runs.
func (h *twoHosts) runsOn(t *testing.T) string {
	t.Helper()
	var all []string
	for _, host := range []struct {
		name string
		f    *faulty
	}{{"near", h.near}, {"far", h.far}} {
		runs, err := host.f.m.runs("web")
		if err != nil {
			t.Fatal(err)
		}
		if runs {
			all = append(all, host.name)
		}
	}
	return strings.Join(all, " ")
}

// startableOn returns on which hosts web could be started.
func (h *twoHosts) startableOn() string {
	var all []string
	for name, f := range map[string]*faulty{"near": h.near, "far": h.far} {
		if _, err := f.m.store.Get("web"); err == nil && f.m.checkHere("web") == nil {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

func (h *twoHosts) end() { h.near.end(); h.far.end() }

func (h *twoHosts) prepare(t *testing.T, running bool) {
	t.Helper()
	if err := createWeb(h.near); err != nil {
		t.Fatal(err)
	}
	o := SnapshotOptions{Name: "before", Description: "two words", Expire: time.Hour}
	if _, err := h.near.m.CreateSnapshot(background, "web", o); err != nil {
		t.Fatal(err)
	}
	if running {
		if err := startWeb(h.near); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMoveBetweenTwoHosts(t *testing.T) {
	for _, running := range []bool{true, false} {
		h := newTwoHosts(t, memoryDir(t))
		h.prepare(t, running)
		before, err := h.near.m.Inspect(background, "web")
		if err != nil {
			t.Fatal(err)
		}
		o := h.options()
		o.Check = true
		if r, err := h.near.m.Move(background, "web", o); err != nil || len(r.Problems) > 0 || h.startableOn() != "near" {
			t.Errorf("check: %+v, %v, %s", r, err, h.startableOn())
		}
		if err := h.move(); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "far"}[running]
		if got := h.runsOn(t); got != want || h.startableOn() != "far" {
			t.Errorf("running %v: it runs on %q and can start on %s", running, got, h.startableOn())
		}
		after, err := h.far.m.Inspect(background, "web")
		if err != nil || after.UUID != before.UUID || after.Interfaces[0].Addresses[0] != before.Interfaces[0].Addresses[0] || after.Interfaces[0].MAC != before.Interfaces[0].MAC || after.Move.Step != state.MoveArrived {
			t.Errorf("there it is %+v, %v", after, err)
		}
		if err := h.near.m.Start(background, "web", StartOptions{}); !fail.Is(err, fail.State) {
			t.Errorf("start of the source: %v", err)
		}
		if err := h.move(); !fail.Is(err, fail.State) {
			t.Errorf("again: %v", err)
		}
		if _, err := h.near.m.BootHost(background, StartOptions{}, func(HostResult) {}); err != nil || h.runsOn(t) != want {
			t.Errorf("after a boot of the source: %s, %v", h.runsOn(t), err)
		}
		h.end()
	}
}

// The processes go with a live move, and neither host has a checkpoint then. If they cannot
// be made again there, they are made again here.
func TestLiveMove(t *testing.T) {
	h := newTwoHosts(t, memoryDir(t))
	defer h.end()
	h.live = true
	h.prepare(t, false)
	if err := h.move(); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "not running") {
		t.Errorf("without processes: %v", err)
	}
	if err := startWeb(h.near); err != nil {
		t.Fatal(err)
	}
	v, err := h.near.m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	restored := 0
	h.far.w.before = func(_ int, what string) {
		if what == "let the processes run" {
			restored++
		}
	}
	if err := h.move(); err != nil || h.runsOn(t) != "far" || restored != 1 {
		t.Fatalf("%v; it runs on %s, and its processes were made again %d times", err, h.runsOn(t), restored)
	}
	there, err := h.far.m.store.Get("web")
	if err != nil || there.IDs != v.IDs || there.Hostname != v.Hostname {
		t.Errorf("it had %v and has %v, %v", v.IDs, there.IDs, err)
	}
	for name, f := range map[string]*faulty{"near": h.near, "far": h.far} {
		if paths.Exists(f.m.store.CheckpointDir("web")) || paths.Exists(f.m.store.DraftCheckpointDir("web")) {
			t.Errorf("%s has a checkpoint", name)
		}
	}
}

// What a live move needs is checked before anything changes.
func TestLiveMoveRefuses(t *testing.T) {
	for words, change := range map[string]func(h *twoHosts){
		"a disk limit": func(h *twoHosts) {
			if err := h.near.m.Change(background, "web", vps.SetDisk{Bytes: 1 << 30}); err != nil {
				t.Fatal(err)
			}
		},
		"criu is not installed": func(h *twoHosts) { h.far.m.criu = noCriu{h.far.m.criu} },
		"are not free": func(h *twoHosts) {
			if _, err := h.far.m.Create(background, "other", CreateOptions{Template: "t", Networks: []vps.AddInterface{{Network: NoNetwork}}}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		h := newTwoHosts(t, memoryDir(t))
		h.live = true
		h.prepare(t, false)
		change(h)
		if err := startWeb(h.near); err != nil {
			t.Fatal(err)
		}
		if err := h.move(); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), words) || h.runsOn(t) != "near" {
			t.Errorf("%s: %v; it runs on %s", words, err, h.runsOn(t))
		}
		h.end()
	}
}

// noCriu is a host without criu.
type noCriu struct{ processSaver }

func (noCriu) Check(context.Context) (checkpoint.Version, error) {
	return checkpoint.Version{}, fail.New(fail.Host, "criu is not installed")
}

// If the processes cannot be made again on the other host they are made again here, and if
// that fails too, the VPS boots.
func TestLiveMoveComesBack(t *testing.T) {
	for _, both := range []bool{false, true} {
		h := newTwoHosts(t, memoryDir(t))
		h.live = true
		h.prepare(t, true)
		h.far.m.criu = cannotRestoreThere{h.far.m.criu}
		if both {
			h.near.m.criu = cannotRestoreThere{h.near.m.criu}
		}
		var warned []string
		h.near.m.warn = func(text string) { warned = append(warned, text) }
		err := h.move()
		if err == nil || !strings.Contains(err.Error(), "does not start on far") || h.runsOn(t) != "near" || h.startableOn() != "near" {
			t.Errorf("%v; it runs on %s", err, h.runsOn(t))
		}
		if boots := strings.Contains(strings.Join(warned, "\n"), "so it boots"); boots != both {
			t.Errorf("it boots: %v: %q", boots, warned)
		}
		if names, err := h.far.m.store.Names(); err != nil || len(names) > 0 {
			t.Errorf("there are %v, %v", names, err)
		}
		h.end()
	}
}

// cannotRestoreThere is a host whose criu does not make processes again.
type cannotRestoreThere struct{ processSaver }

func (cannotRestoreThere) Restore(context.Context, checkpoint.Restore) (checkpoint.Restored, error) {
	return checkpoint.Restored{}, errors.New("the kernel refuses it")
}

// The source is removed when the VPS belongs to the other host.
func TestMoveRemovesTheSource(t *testing.T) {
	h := newTwoHosts(t, memoryDir(t))
	defer h.end()
	h.prepare(t, true)
	o := h.options()
	o.RemoveSource = true
	if _, err := h.near.m.Move(background, "web", o); err != nil {
		t.Fatal(err)
	}
	if _, err := h.near.m.store.Get("web"); !fail.Is(err, fail.NotFound) || h.runsOn(t) != "far" {
		t.Errorf("%s, %v", h.runsOn(t), err)
	}
}

// What the other host cannot have is found before anything changes.
func TestMoveRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		far   func(*twoHosts) error
		o     func(*MoveOptions)
		words string
	}{
		"its name":    {func(h *twoHosts) error { return createWeb(h.far) }, nil, "exists there"},
		"its address": {func(h *twoHosts) error { return createWeb(h.far) }, func(o *MoveOptions) { o.Name = "other" }, "belongs to web"},
		"its source": {func(h *twoHosts) error {
			if err := createWeb(h.far); err != nil {
				return err
			}
			return putMove(h.far, "web", state.Move{Token: "earlier", Step: state.MoveDone, Host: "near", Name: "web"})
		}, nil, "the stopped source of its move to near. Remove it there first"},
		"its network": {nil, func(o *MoveOptions) { o.Networks = map[string]string{DefaultNetwork: "lan"} }, "does not exist"},
		"what it lacks": {func(h *twoHosts) error {
			h.far.m.lacks = func(context.Context) ([]string, error) { return []string{"overlay"}, nil }
			return nil
		}, nil, "it lacks overlay"},
	} {
		h := newTwoHosts(t, memoryDir(t))
		h.prepare(t, true)
		if c.far != nil {
			if err := c.far(h); err != nil {
				t.Fatal(err)
			}
		}
		o := h.options()
		if c.o != nil {
			c.o(&o)
		}
		if _, err := h.near.m.Move(background, "web", o); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", what, err)
		}
		o.Check = true
		if r, err := h.near.m.Move(background, "web", o); err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), c.words) {
			t.Errorf("%s: check: %+v, %v", what, r, err)
		}
		if record, err := h.near.m.store.Move("web"); record != nil || err != nil || h.runsOn(t) != "near" {
			t.Errorf("%s: %+v, %v, it runs on %s", what, record, err, h.runsOn(t))
		}
		h.end()
	}
}

// putMove records the move of a VPS of f.
func putMove(f *faulty, name vps.Name, record state.Move) error {
	l, err := f.m.store.Lock(background, name, "test", 0)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.PutMove(record)
}

// Each effect on either host fails once. After the move, or the settling that follows it,
// web runs on exactly one host.
func TestMoveWithFailingEffects(t *testing.T) {
	for _, live := range []bool{false, true} {
		for _, host := range []string{"near", "far"} {
			n := 1
			for ; moveFailsAt(t, host, live, n); n++ {
			}
			if n < 5 {
				t.Errorf("a move has only %d effects on %s", n-1, host)
			}
		}
	}
}

func moveFailsAt(t *testing.T, host string, live bool, n int) bool {
	t.Helper()
	h := newTwoHosts(t, memoryDir(t))
	h.live = live
	defer h.end()
	h.prepare(t, true)
	w := map[string]*world{"near": h.near.w, "far": h.far.w}[host]
	w.effects, w.failAt, w.after = 0, n, n%2 == 0
	err := h.move()
	w.failAt = 0
	if w.effects < n {
		if err != nil {
			t.Errorf("nothing failed, and it says %v", err)
		}
		return false
	}
	what := fmt.Sprintf("live %v: effect %d (%s) on %s failed (%v)", live, n, w.last, host, err)
	h.oneHost(t, what)
	return true
}

// oneHost checks that web is on exactly one host after the next commands.
func (h *twoHosts) oneHost(t *testing.T, what string) {
	t.Helper()
	if both := h.runsOn(t); both == "near far" || h.startableOn() == "near far" || h.startableOn() == "far near" {
		t.Errorf("%s: it belongs to both hosts", what)
	}
	if err := h.near.m.SettleMove(background, "web", h.dialNamed); err != nil {
		t.Errorf("%s: settle: %v", what, err)
	}
	on := h.startableOn()
	if on != "near" && on != "far" {
		t.Errorf("%s: it can start on %q", what, on)
		return
	}
	if got := h.runsOn(t); got != on {
		// A start that fails is an error of its own, and a later one works.
		f := map[string]*faulty{"near": h.near, "far": h.far}[on]
		if err := f.m.Start(background, "web", StartOptions{}); err != nil || h.runsOn(t) != on {
			t.Errorf("%s: it runs on %q and belongs to %s: %v", what, got, on, err)
		}
	}
	if on == "near" {
		if err := h.move(); err != nil || h.runsOn(t) != "far" {
			t.Errorf("%s: again: it runs on %s, %v", what, h.runsOn(t), err)
		}
	}
	if got := snapshotsOf(t, h.far); got != "before: two words" {
		t.Errorf("%s: it has the snapshots %q there", what, got)
	}
}

// snapshotsOf returns the snapshots of web in words.
func snapshotsOf(t *testing.T, f *faulty) string {
	t.Helper()
	all, err := f.m.Snapshots(background, "web")
	if err != nil {
		t.Error(err)
	}
	var words []string
	for _, n := range all {
		words = append(words, n.Name+": "+n.Description)
	}
	return strings.Join(words, "; ")
}

// The snapshots go with the VPS, as they are. Without them the user is told what becomes of
// them, and a damaged one stops the move.
func TestMoveOfSnapshots(t *testing.T) {
	for _, c := range []struct {
		o        MoveOptions
		note     string
		there    string
		damaged  bool
		problems int
	}{
		{MoveOptions{}, "its snapshots (1) are moved too, with about 0 MiB of their own", "before: two words", false, 0},
		{MoveOptions{NoSnapshots: true}, "its snapshots (1) are not moved", "", false, 0},
		{MoveOptions{NoSnapshots: true, RemoveSource: true}, "its snapshots (1) are not moved, and are destroyed here with it", "", false, 0},
		{MoveOptions{}, "its snapshots (1) are moved too, with about 0 MiB of their own", "", true, 1},
		{MoveOptions{NoSnapshots: true}, "its snapshots (1) are not moved", "", true, 0},
	} {
		h := newTwoHosts(t, memoryDir(t))
		h.prepare(t, true)
		was, err := h.near.m.Snapshots(background, "web")
		if err != nil {
			t.Fatal(err)
		}
		if c.damaged {
			if err := os.WriteFile(filepath.Join(h.near.m.store.VPSDir("web"), "snapshots", "before.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := h.options()
		o.NoSnapshots, o.RemoveSource, o.Check = c.o.NoSnapshots, c.o.RemoveSource, true
		if r, err := h.near.m.Move(background, "web", o); err != nil || !slices.Contains(r.Notes, c.note) || len(r.Problems) != c.problems {
			t.Errorf("%+v: check: %+v, %v", c, r, err)
		}
		o.Check = false
		_, err = h.near.m.Move(background, "web", o)
		if (err != nil) != (c.problems > 0) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil {
			if got := snapshotsOf(t, h.far); got != c.there || h.runsOn(t) != "far" {
				t.Errorf("%+v: it runs on %s with the snapshots %q", c, h.runsOn(t), got)
			}
		}
		if c.there != "" {
			now, err := h.far.m.Snapshots(background, "web")
			if err != nil || !now[0].Created.Equal(was[0].Created) || !now[0].Expires.Equal(*was[0].Expires) || now[0].Running != was[0].Running {
				t.Errorf("%+v: it was %+v and is %+v, %v", c, was, now, err)
			}
		}
		h.end()
	}
}

// Both hosts die at each effect of either. Then web runs on exactly one host.
func TestMoveDiesAtAnyEffect(t *testing.T) {
	for _, live := range []bool{false, true} {
		for _, host := range []string{"near", "far"} {
			n := 1
			for ; moveDiesAt(t, host, live, n); n++ {
			}
			if n < 5 {
				t.Errorf("a move has only %d effects on %s", n-1, host)
			}
		}
	}
}

func moveDiesAt(t *testing.T, host string, live bool, n int) bool {
	t.Helper()
	dir := memoryDir(t)
	h := newTwoHosts(t, dir)
	h.live = live
	defer h.end()
	child := exec.Command(os.Args[0], "-test.run=^TestDyingMove$")
	child.Env = append(os.Environ(), "CROFT_TEST_MOVE="+dir, "CROFT_TEST_HOST="+host, "CROFT_TEST_EFFECT="+strconv.Itoa(n), "CROFT_TEST_LIVE="+strconv.FormatBool(live))
	out, err := child.CombinedOutput()
	var status *exec.ExitError
	if err == nil {
		return false
	}
	if !errors.As(err, &status) || status.ExitCode() != 99 {
		t.Fatalf("the child dies otherwise: %v\n%s", err, out)
	}
	h.oneHost(t, fmt.Sprintf("live %v: died at effect %d (%s) on %s", live, n, strings.TrimSpace(string(out)), host))
	return true
}

// TestDyingMove is the child process of moveDiesAt.
func TestDyingMove(t *testing.T) {
	dir := os.Getenv("CROFT_TEST_MOVE")
	if dir == "" {
		return
	}
	n, _ := strconv.Atoi(os.Getenv("CROFT_TEST_EFFECT"))
	h := newTwoHosts(t, dir)
	h.live = os.Getenv("CROFT_TEST_LIVE") == "true"
	h.prepare(t, true)
	w := map[string]*world{"near": h.near.w, "far": h.far.w}[os.Getenv("CROFT_TEST_HOST")]
	w.effects, w.dieAt = 0, n
	if err := h.move(); err != nil {
		t.Fatal(err)
	}
}

// A host that does not answer after the move was committed has the VPS; the next command
// completes it.
func TestMoveIsCompletedLater(t *testing.T) {
	h := newTwoHosts(t, memoryDir(t))
	defer h.end()
	h.prepare(t, true)
	calls := 0
	o := h.options()
	o.Dial = func(ctx context.Context) (MoveLink, error) {
		if calls++; calls > 1 {
			return nil, fail.New(fail.Host, "it is down")
		}
		link, err := h.dial(ctx)
		return cutLink{link, h}, err
	}
	if _, err := h.near.m.Move(background, "web", o); !fail.Is(err, fail.Host) {
		t.Fatal(err)
	}
	if h.startableOn() != "" || h.runsOn(t) != "" {
		t.Errorf("it can start on %s", h.startableOn())
	}
	if err := h.near.m.Start(background, "web", StartOptions{}); !fail.Is(err, fail.State) {
		t.Errorf("start: %v", err)
	}
	h.down = true
	if err := h.near.m.AbortMove(background, "web", h.dialNamed); !fail.Is(err, fail.Host) || h.startableOn() != "" {
		t.Errorf("abort without an answer: %v", err)
	}
	h.down = false
	if err := h.move(); err != nil || h.runsOn(t) != "far" || h.startableOn() != "far" {
		t.Errorf("%v; it runs on %s", err, h.runsOn(t))
	}
}

// A cutLink loses the request that releases the VPS.
type cutLink struct {
	MoveLink
	h *twoHosts
}

func (c cutLink) Write(p []byte) (int, error) {
	if record, err := c.h.near.m.store.Move("web"); err == nil && record != nil && record.Step == state.MoveCommitted {
		return 0, io.ErrClosedPipe
	}
	return c.MoveLink.Write(p)
}

// One side can be told that the VPS is its own without the other.
func TestTakeMove(t *testing.T) {
	h := newTwoHosts(t, memoryDir(t))
	defer h.end()
	h.prepare(t, false)
	if err := h.near.m.TakeMove(background, "web"); !fail.Is(err, fail.State) {
		t.Errorf("without a move: %v", err)
	}
	if err := h.move(); err != nil {
		t.Fatal(err)
	}
	if err := h.near.m.AbortMove(background, "web", h.dialNamed); !fail.Is(err, fail.State) {
		t.Errorf("abort: %v", err)
	}
	if err := h.near.m.TakeMove(background, "web"); err != nil || h.near.m.checkHere("web") != nil {
		t.Errorf("take over: %v", err)
	}
}

// What the source of a move sends is not trusted.
func TestReceiveRefuses(t *testing.T) {
	h := newTwoHosts(t, memoryDir(t))
	defer h.end()
	for what, q := range map[string]moves.Request{
		"no offer":         {Ask: moves.AskCheck},
		"another protocol": {Ask: moves.AskCheck, Offer: &moves.Offer{Protocol: moves.Protocol + 1}},
		"bad settings":     {Ask: moves.AskCheck, Offer: &moves.Offer{Protocol: moves.Protocol, Settings: json.RawMessage(`{}`)}},
		"an unknown word":  {Ask: "nonsense"},
		"files unchecked":  {Ask: moves.AskFiles},
		"early processes":  {Ask: moves.AskSaved},
	} {
		g := &moving{Manager: h.near.m, o: h.options()}
		if err := g.dial(background); err != nil {
			t.Fatal(err)
		}
		if _, err := g.ask(background, q, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
		g.close()
	}
	if names, err := h.far.m.store.Names(); err != nil || len(names) > 0 {
		t.Errorf("there are %v, %v", names, err)
	}
}
