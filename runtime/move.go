package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/backup"
	"croft/runtime/diskuse"
	"croft/runtime/events"
	"croft/runtime/firstboot"
	"croft/runtime/moves"
	"croft/template/backups"
	"croft/template/rootfs"
)

// A MoveLink is a connection to the croft of another host that runs ReceiveMove. Close
// ends it.
type MoveLink interface {
	io.ReadWriteCloser
}

// MoveOptions are the options of Move.
type MoveOptions struct {
	Host string // the other host, as the user names it
	// Dial connects to it. The caller closes the link.
	Dial func(ctx context.Context) (MoveLink, error)
	// Guard starts a process that calls SettleMove if this one is killed. ended tells it
	// that it is not needed any more. Nil: there is none.
	Guard        func() (ended func(), err error)
	Name         vps.Name          // of the VPS there; "": as here
	Networks     map[string]string // networks there, instead of those here
	NoNetwork    bool
	Live         bool // its processes go with it: they are saved here and made again there
	Check        bool // only check; change nothing on either host
	RemoveSource bool
	NoSnapshots  bool          // its snapshots stay on this host
	StopTimeout  time.Duration // after which it is killed; 0 is the VPS's own timeout
	Compress     Compression
	Tell         func(string) // is told in words what the user should know before the VPS is stopped
}

// A MoveResult says how a move has ended.
type MoveResult struct {
	Name     vps.Name      // of the VPS there
	Problems []string      // of a check: why it cannot be moved
	Notes    []string      // of a check
	Down     time.Duration // how long it did not run; 0: it was stopped before
}

// Move moves the VPS name to another host. Its files are copied while it runs. Then it is
// stopped, what has changed since is copied, and it starts there. A stopped one stays
// stopped. On success it belongs to the other host, and this one keeps it stopped, unless
// o.RemoveSource is set. After an error it belongs to this host, and runs if it ran before,
// unless the other host could not be asked any more at the end: that is fail.Host, and the
// next Move completes it. Its snapshots go with it, unless o.NoSnapshots is set. With o.Live its processes are not stopped but saved, and made again
// there; after an error they are made again here. If the process is killed, SettleMove does what is left.
func (m *Manager) Move(ctx context.Context, name vps.Name, o MoveOptions) (r MoveResult, err error) {
	l, v, err := m.lockAndLoad(ctx, name)
	if err != nil {
		return r, err
	}
	defer l.Unlock()
	defer m.emptyTrash(context.WithoutCancel(ctx))
	g := &moving{Manager: m, o: o, l: l, v: v, name: cmp.Or(o.Name, name), token: uuid.NewString()}
	defer g.close()
	if err := g.dial(ctx); err != nil {
		return r, err
	}
	if o.Check {
		r.Name = g.name
		r.Problems, r.Notes, err = g.check(ctx)
		return r, err
	}
	again, err := g.former(ctx)
	if err != nil {
		return r, err
	}
	if again {
		if err := g.checked(ctx); err != nil {
			return r, err
		}
		if err := g.copyOver(ctx); err != nil {
			return r, err
		}
	}
	r.Name, r.Down = g.record.Name, g.down
	m.event(v, events.Moved, eventHost, g.record.Host)
	if g.record.Removes {
		g.close()
		images, err := m.snapshotImages(name)
		if err == nil {
			err = m.destroyHeld(context.WithoutCancel(ctx), l, DestroyOptions{})
		}
		if err != nil {
			return r, fmt.Errorf("it belongs to %s, and is not removed here: %w", g.record.Host, err)
		}
		m.removeImages(context.WithoutCancel(ctx), images)
	}
	return r, nil
}

// moving is one Move at the source.
type moving struct {
	*Manager
	o      MoveOptions
	l      *state.Locked
	v      vps.VPS
	name   vps.Name // there
	token  string
	record state.Move // what move.json has; zero: none

	link    MoveLink
	wire    *moves.Wire
	down    time.Duration
	release []func() // what the copy has used
}

// dial connects to the other host.
func (g *moving) dial(ctx context.Context) error {
	g.hangUp()
	link, err := g.o.Dial(ctx)
	if err != nil {
		return err
	}
	wire := moves.NewWire(link, link)
	if err := wire.AwaitGreeting(); err != nil {
		if e := link.Close(); e != nil {
			err = e // ssh and croft there say more
		} else if err == io.EOF {
			err = fail.New(fail.Host, "%s has closed the connection", g.o.Host)
		}
		return err
	}
	g.link, g.wire = link, wire
	return nil
}

func (g *moving) hangUp() {
	if g.link != nil {
		_ = g.link.Close() // how it ends does not matter any more
	}
	g.link, g.wire = nil, nil
}

func (g *moving) close() {
	g.hangUp()
	for len(g.release) > 0 {
		last := len(g.release) - 1
		g.release[last]()
		g.release = g.release[:last]
	}
}

// ask sends a request and returns the answer. send writes the data that follow; nil: none.
func (g *moving) ask(ctx context.Context, q moves.Request, send func(w io.Writer) error) (r moves.Reply, err error) {
	if g.wire == nil {
		return r, fail.New(fail.Host, "there is no connection to %s", g.o.Host)
	}
	q.Token = cmp.Or(q.Token, g.token)
	if err = g.wire.Send(q); err == nil {
		if send != nil {
			data := &sentData{w: g.wire.Data()}
			err = send(data)
			if err != nil && data.err == nil { // the other host waits for more
				g.hangUp()
				return r, err
			}
			if err == nil {
				err = data.w.Close()
			}
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if e := g.wire.Receive(&r); e == nil && r.Failed != nil {
			return r, r.Err(g.o.Host) // also the reason of a failed write
		} else if err == nil {
			err = e
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrClosed) {
		err = fail.New(fail.Host, "the connection to %s was lost", g.o.Host)
	}
	return r, err
}

// sentData notes whether the connection has failed.
type sentData struct {
	w   io.WriteCloser
	err error
}

func (d *sentData) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.err = err
	return n, err
}

// former does what is left of a former move. It reports whether the VPS is to be copied.
func (g *moving) former(ctx context.Context) (copies bool, err error) {
	m, err := g.store.Move(g.v.Name)
	if err != nil {
		return false, err
	}
	there := moves.Unknown
	if m != nil && m.Host == g.o.Host {
		if there, err = g.know(ctx, *m); err != nil {
			return false, err
		}
	}
	action, err := moves.Next(m, g.o.Host, there)
	if err != nil {
		return false, err
	}
	if action == moves.Begin && m != nil && m.Host != g.o.Host && m.Step != state.MoveArrived {
		g.o.Tell(fmt.Sprintf("a move to %s was not completed; that host may have a copy named %s, which can be destroyed there", m.Host, m.Name))
	}
	if m != nil {
		g.record = *m
	}
	switch action {
	case moves.Begin:
		return true, nil
	case moves.None: // it was moved before
		return false, fail.New(fail.State, "%s was moved to %s already", g.v.Name, m.Host).WithHint("croft -H %s list %s", m.Host, m.Name)
	}
	err = g.act(ctx, action)
	return action == moves.Drop || action == moves.Forget, err
}

// know returns what the other host knows about the move m.
func (g *moving) know(ctx context.Context, m state.Move) (moves.There, error) {
	r, err := g.ask(ctx, moves.Request{Ask: moves.AskKnow, Token: m.Token, Name: m.Name}, nil)
	return r.Know, err
}

// act does an action of package moves with the record.
func (g *moving) act(ctx context.Context, action moves.Action) error {
	switch action {
	case moves.Drop:
		r, err := g.ask(ctx, moves.Request{Ask: moves.AskDrop, Token: g.record.Token, Name: g.record.Name}, nil)
		if err != nil {
			return err
		}
		if r.Know != moves.Unknown {
			return fail.New(fail.State, "%s does not delete its copy: it is %s", g.o.Host, r.Know)
		}
		return g.l.ForgetMove()
	case moves.Forget:
		return g.l.ForgetMove()
	case moves.Release:
		r, err := g.ask(ctx, moves.Request{Ask: moves.AskRelease, Token: g.record.Token}, nil)
		if err != nil {
			return err
		}
		if r.Know != moves.Arrived {
			return &notStarted{g.record.Host, r.NotStarted}
		}
		return g.done()
	case moves.Confirm:
		return g.done()
	}
	return nil
}

// notStarted says that a VPS does not start on the other host, which has given it back.
type notStarted struct{ host, why string }

func (n *notStarted) Error() string { return fmt.Sprintf("it does not start on %s: %s", n.host, n.why) }

// put records a step.
func (g *moving) put(step state.MoveStep) error {
	next := moves.At(g.record, step)
	if err := g.l.PutMove(next); err != nil {
		return err
	}
	g.record = next
	return nil
}

// offer describes the VPS to the other host.
func (g *moving) offer(ctx context.Context, runs bool) (*moves.Offer, error) {
	d, err := g.document()
	if err != nil {
		return nil, err
	}
	bytes, err := diskuse.Of(ctx, g.store.OwnDirs(g.v, g.store.FSDir(g.v.Name))...)
	if err != nil {
		return nil, err
	}
	more, err := g.snapshotBytes(ctx)
	if err != nil {
		return nil, err
	}
	from, err := os.Hostname()
	return &moves.Offer{
		Protocol: moves.Protocol, From: from, Architecture: goruntime.GOARCH, Settings: d, Name: g.o.Name, Networks: g.o.Networks, NoNetwork: g.o.NoNetwork,
		Runs: runs, Bytes: bytes, SnapshotBytes: more, Template: g.v.Template.Layers,
	}, err
}

// document returns the settings for the archive.
func (g *moving) document() (json.RawMessage, error) {
	d, err := g.settings()
	if err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

func (g *moving) settings() (backup.Document, error) {
	steps, started, err := g.started(g.v.Name)
	if err != nil {
		return backup.Document{}, err
	}
	d := backup.Of(g.v, g.networkTables().Held(g.v), time.Now())
	if d.Started = started; started {
		d.Fitted = steps
	}
	return d, nil
}

// check returns why the VPS cannot be moved, and what the user should know.
func (g *moving) check(ctx context.Context) (problems, notes []string, err error) {
	runs, err := g.runs(g.v.Name)
	if err != nil {
		return nil, nil, err
	}
	offer, err := g.offer(ctx, runs)
	if err != nil {
		return nil, nil, err
	}
	if g.o.Live {
		var why error
		if offer.Live, why, err = g.live(ctx); err != nil {
			return nil, nil, err
		}
		if why != nil {
			problems = append(problems, why.Error())
		}
	}
	r, err := g.ask(ctx, moves.Request{Ask: moves.AskCheck, Offer: offer}, nil)
	if err != nil {
		return nil, nil, err
	}
	damaged, about, err := g.checkSnapshots(offer.SnapshotBytes)
	if err != nil {
		return nil, nil, err
	}
	m, err := g.store.Move(g.v.Name)
	if err != nil {
		return nil, nil, err
	}
	g.name = r.Name
	problems = slices.Concat(problems, g.unmovable(m, runs), damaged)
	notes = append(about, g.leftHere()...)
	return append(problems, r.Problems...), append(notes, r.Notes...), nil
}

// unmovable returns why this host does not move the VPS.
func (g *moving) unmovable(m *state.Move, runs bool) []string {
	var all []string
	say := func(is bool, text string) {
		if is {
			all = append(all, text)
		}
	}
	if err := moves.Startable(g.v.Name, m); err != nil {
		all = append(all, err.Error())
	}
	say(g.v.Ephemeral, "it was created by run --rm, and ends with that command")
	say(firstboot.Waits(g.store.VPSDir(g.v.Name)), "its first-boot script has not run yet")
	if _, saved, err := g.store.Checkpoint(g.v.Name); saved || err != nil {
		all = append(all, "its processes are saved in a checkpoint, which is not moved; it can be moved after its next start")
	}
	say(g.v.Protected && g.o.RemoveSource, "it is protected, so it cannot be removed from this host")
	if !runs {
		if err := g.notMounted(g.v.Name); err != nil {
			all = append(all, err.Error())
		}
	}
	return all
}

// leftHere returns in words what is not moved.
func (g *moving) leftHere() []string {
	var all []string
	for _, one := range g.v.Mounts {
		if one.Kind != vps.MountTmpfs {
			all = append(all, fmt.Sprintf("the files of the mount %s are not moved", one.Target))
		}
	}
	return all
}

// checked makes the problems of a check an error.
func (g *moving) checked(ctx context.Context) error {
	problems, notes, err := g.check(ctx)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fail.New(fail.State, "%s", strings.Join(problems, "; ")).WithHint("croft inspect %s", g.v.Name)
	}
	for _, n := range notes {
		g.o.Tell(n)
	}
	return nil
}

// copyOver moves the VPS. On an error it belongs to this host and runs if it ran, unless
// it is committed.
func (g *moving) copyOver(ctx context.Context) (err error) {
	runs, err := g.runs(g.v.Name)
	if err != nil {
		return err
	}
	g.record = moves.Source(g.token, g.o.Host, g.name, runs, g.o.RemoveSource, time.Now())
	if err := g.l.PutMove(g.record); err != nil {
		return err
	}
	if g.o.Guard != nil {
		ended, err := g.o.Guard()
		if err != nil {
			return errors.Join(err, g.l.ForgetMove())
		}
		defer ended()
	}
	if err := g.deliver(ctx, runs); err != nil {
		return g.backOut(ctx, err)
	}
	return nil
}

// deliver copies the VPS, commits the move and completes it.
func (g *moving) deliver(ctx context.Context, runs bool) error {
	c, err := g.firstCopy(ctx, runs)
	if err != nil {
		return err
	}
	if err := g.sendFirst(ctx, c); err != nil {
		return err
	}
	stopped := time.Now()
	if runs {
		off := g.switchOff
		if g.o.Live {
			off = g.saveProcesses
		}
		if err := off(ctx); err != nil {
			return err
		}
		if err := g.add(ctx, c); err != nil {
			return err
		}
	}
	if g.o.Live {
		if err := g.sendProcesses(ctx); err != nil {
			return err
		}
	}
	if err := g.sendLast(ctx, c); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// From here on it belongs to the other host.
	if err := g.put(state.MoveCommitted); err != nil {
		return err
	}
	g.unmarkRunning(g.v.Name)
	err = g.complete(context.WithoutCancel(ctx))
	if runs {
		g.down = time.Since(stopped)
	}
	return err
}

// A movedCopy is what the source sends.
type movedCopy struct {
	parcel parcel
	live   liveCopy // of a VPS that runs
	layers []vps.Frozen
}

// firstCopy makes the files that the VPS has now frozen layers, and packs them.
func (g *moving) firstCopy(ctx context.Context, runs bool) (c movedCopy, err error) {
	v := g.v
	if runs {
		if c, err = g.copyAsItRuns(ctx); err == nil {
			v.Frozen = c.layers
		}
	} else {
		var now captured
		if v, err = g.mergeLayers(ctx, g.l, v); err != nil {
			return c, err
		}
		if now, err = g.capture(ctx, g.l, v); err == nil {
			g.release = append(g.release, now.keep)
			v.Frozen = now.layers
		}
	}
	if err != nil {
		return c, err
	}
	root, err := g.rootfsIn(v, rootfs.Rootfs{})
	if err != nil {
		return c, err
	}
	d, err := g.document()
	if err != nil {
		return c, err
	}
	snapshots, err := g.holdSnapshots(ctx)
	if err != nil {
		return c, err
	}
	c.parcel, err = g.newParcel(ctx, v.Template.Digest, root, backups.Options{
		Name: string(v.Name), Settings: d, Created: time.Now(), Compress: g.o.Compress, Snapshots: snapshots,
	})
	if err == nil {
		g.release = append(g.release, c.parcel.Close)
	}
	return c, err
}

// copyAsItRuns copies the own files of the running VPS to a layer. Files that change
// meanwhile are in add.
func (g *moving) copyAsItRuns(ctx context.Context) (c movedCopy, err error) {
	root, err := g.rootfs(g.v)
	if err != nil {
		return c, err
	}
	layer, err := g.store.BeginLayer()
	if err != nil {
		return c, err
	}
	g.release = append(g.release, layer.Close)
	if c.live, err = g.rootfses.CopyLive(root, placeOf(layer)); err != nil {
		return c, err
	}
	g.release = append(g.release, c.live.Close)
	for range 2 {
		if _, err := c.live.Pass(ctx); err != nil {
			return c, fmt.Errorf("copy its files: %w", err)
		}
	}
	c.live.Leave()
	c.layers = layersWith(g.v, layer.ID)
	return c, nil
}

// sendFirst sends the first part.
func (g *moving) sendFirst(ctx context.Context, c movedCopy) error {
	secrets, err := g.readCredentials(g.v)
	if err != nil {
		return err
	}
	has, err := g.missing(ctx, c)
	if err != nil {
		return err
	}
	_, err = g.ask(ctx, moves.Request{Ask: moves.AskFiles, Secrets: secrets}, func(w io.Writer) error {
		return c.parcel.Write(ctx, w, "copying to "+g.o.Host, has)
	})
	if err != nil {
		return err
	}
	return c.parcel.SnapshotsSent()
}

// missing returns which layers the other host has.
func (g *moving) missing(ctx context.Context, c movedCopy) (has func(digest string) bool, err error) {
	q := moves.Request{Ask: moves.AskBlobs}
	for _, b := range c.parcel.Blobs() {
		q.Blobs = append(q.Blobs, b.Digest)
	}
	r, err := g.ask(ctx, q, nil)
	all := map[string]bool{}
	for _, d := range r.Has {
		all[d] = true
	}
	return func(d string) bool { return all[d] }, err
}

// switchOff stops the running VPS.
func (g *moving) switchOff(ctx context.Context) error {
	ran, err := g.beforeStop(ctx, g.v, StopOptions{})
	if err != nil {
		return err
	}
	if !ran { // it has ended by itself
		g.record.Runs = false
	}
	if err := g.put(state.MoveSwitching); err != nil {
		return err
	}
	life, err := g.stopLocked(ctx, g.l, g.v, StopOptions{Timeout: g.o.StopTimeout})
	if life == nil {
		return err
	}
	state.ReleaseLife(life)
	if ran {
		g.afterStop(ctx, g.v)
	}
	if fail.Is(err, fail.Timeout) {
		g.warn(err.Error()) // but it has ended
		err = nil
	}
	return err
}

// add packs what has changed since the first part.
func (g *moving) add(ctx context.Context, c movedCopy) error {
	now, err := g.rootfs(g.v)
	if err != nil {
		return err
	}
	v := g.v
	v.Frozen = c.layers
	then, err := g.rootfsIn(v, rootfs.Rootfs{})
	if err != nil {
		return err
	}
	d, err := g.document()
	if err != nil {
		return err
	}
	old := then.Frozen
	if !then.Plain() {
		old = append(old, then.Below()...)
	}
	if err := c.parcel.Add(ctx, d, c.live, g.store.RootfsDir(), old, now.Stack()); err != nil {
		return fmt.Errorf("copy its last changes: %w", err)
	}
	return nil
}

// sendLast sends the rest.
func (g *moving) sendLast(ctx context.Context, c movedCopy) error {
	has, err := g.missing(ctx, c)
	if err != nil {
		return err
	}
	_, err = g.ask(ctx, moves.Request{Ask: moves.AskLast}, func(w io.Writer) error {
		return c.parcel.Write(ctx, w, "copying the last changes", has)
	})
	return err
}

// Times of completion. A network that fails for a moment is not the end of a move.
const (
	completeTries = 10
	completePause = 3 * time.Second
)

// complete tells the other host that the VPS belongs to it, until it answers.
func (g *moving) complete(ctx context.Context) (err error) {
	for n := range completeTries {
		if n > 0 {
			g.sleep(completePause)
			if err = g.dial(ctx); err != nil {
				continue
			}
		}
		var not *notStarted
		if err = g.act(ctx, moves.Release); err == nil || errors.As(err, &not) {
			return err
		}
	}
	return fail.New(fail.Host, "%s belongs to %s, which may not know that yet (%w); the same command completes the move", g.v.Name, g.record.Host, err)
}

// backOut returns err, after which the VPS belongs to this host again and runs if it ran.
// No-op for a committed move, unless the other host has given the VPS back.
func (g *moving) backOut(ctx context.Context, err error) error {
	ctx = context.WithoutCancel(ctx)
	var not *notStarted
	if g.record.Step == state.MoveCommitted && !errors.As(err, &not) {
		return err
	}
	if not != nil {
		if e := g.takeBack(ctx); e != nil {
			return fmt.Errorf("%w; and %s does not give it back: %w", err, g.o.Host, e)
		}
		return g.startAgain(ctx, err)
	}
	wasOff := g.record.Step == state.MoveSwitching
	if e := g.put(state.MoveAbandoned); e != nil {
		g.warn(e.Error())
	}
	if wasOff { // it does not wait for the other host
		err = g.startAgain(ctx, err)
	}
	if e := g.takeBack(ctx); e != nil {
		g.warn(fmt.Sprintf("%s may keep a copy of %s, which does not start there: %v", g.o.Host, g.v.Name, e))
	}
	return err
}

// startAgain starts the VPS after err, if it ran before.
func (g *moving) startAgain(ctx context.Context, err error) error {
	if runs, e := g.runs(g.v.Name); !g.record.Runs || e == nil && runs {
		return err
	}
	if e := g.startAsBefore(ctx, g.l); e != nil {
		return fmt.Errorf("%w; and it does not start here again: %w", err, e)
	}
	return err
}

// takeBack makes the VPS belong to this host, after the other one has deleted its copy.
func (g *moving) takeBack(ctx context.Context) error {
	if err := g.dial(ctx); err != nil {
		return err
	}
	there, err := g.know(ctx, g.record)
	if err != nil {
		return err
	}
	action, err := moves.Abort(&g.record, there)
	if err != nil {
		return err
	}
	return g.act(ctx, action)
}
