package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/backup"
	"croft/runtime/hooks"
	"croft/runtime/moves"
	"croft/runtime/tables"
	"croft/template"
	"croft/template/backups"
	"croft/template/rootfs"
)

// ReceiveMove is the target of Move on another host: it answers the requests that it
// reads from in, until that ends. A VPS that it gets cannot be started before the source
// releases it.
func (m *Manager) ReceiveMove(ctx context.Context, in io.Reader, out io.Writer) error {
	r := &receiving{Manager: m, wire: moves.NewWire(in, out)}
	if err := r.wire.Greet(); err != nil {
		return err
	}
	for {
		var q moves.Request
		if err := r.wire.Receive(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if q.Ask == moves.AskFiles {
			if err := r.files(ctx, q); err != nil {
				return errors.Join(err, r.wire.Send(moves.Reply{Failed: moves.FailureOf(err)}))
			}
			continue
		}
		if err := r.wire.Send(r.answer(ctx, q)); err != nil {
			return err
		}
	}
}

// receiving is one conversation with the source of a move.
type receiving struct {
	*Manager
	wire  *moves.Wire
	offer *moves.Offer // that was checked
	name  vps.Name     // that the VPS gets
}

// answer answers a request without data.
func (r *receiving) answer(ctx context.Context, q moves.Request) (reply moves.Reply) {
	var err error
	switch q.Ask {
	case moves.AskCheck:
		reply, err = r.check(ctx, q)
	case moves.AskBlobs:
		for _, d := range q.Blobs {
			if r.templates.HasBlob(d) {
				reply.Has = append(reply.Has, d)
			}
		}
	case moves.AskKnow:
		var record *state.Move
		_, record, err = r.find(ctx, q)
		reply.Know = moves.Know(record)
	case moves.AskDrop:
		reply.Know, err = r.drop(ctx, q)
	case moves.AskRelease:
		reply, err = r.releaseHere(ctx, q)
	default:
		err = fail.New(fail.Usage, "this croft does not know the request %q", q.Ask)
	}
	if err != nil {
		return moves.Reply{Failed: moves.FailureOf(err)}
	}
	return reply
}

// receivePatience is how long a request about a VPS waits for another conversation, which
// the source has left, and which still creates the VPS.
const receivePatience = time.Minute

// find returns the VPS of the move, which may have been renamed, and its record; nil if
// there is none.
func (r *receiving) find(ctx context.Context, q moves.Request) (vps.Name, *state.Move, error) {
	if q.Name != "" {
		l, err := r.store.Lock(ctx, q.Name, r.command, receivePatience)
		if err != nil {
			return "", nil, err
		}
		l.Unlock()
	}
	names, err := r.store.Names()
	if err != nil {
		return "", nil, err
	}
	for _, name := range names {
		record, err := r.store.Move(name)
		if err != nil {
			r.warn(err.Error())
			continue
		}
		if record != nil && record.Token == q.Token && (record.Step == state.MoveIncoming || record.Step == state.MoveArrived) {
			return name, record, nil
		}
	}
	return "", nil, nil
}

// drop deletes an incoming copy.
func (r *receiving) drop(ctx context.Context, q moves.Request) (moves.There, error) {
	name, record, err := r.find(ctx, q)
	if err != nil || record == nil {
		return moves.Unknown, err
	}
	l, err := r.store.Lock(ctx, name, r.command, receivePatience)
	if err != nil {
		return "", err
	}
	defer l.Unlock()
	if record, err = r.store.Move(name); err != nil || record == nil || record.Step != state.MoveIncoming || record.Token != q.Token {
		return moves.Know(record), err
	}
	v, err := l.VPS()
	if err != nil {
		return "", err
	}
	v.Protected = false
	life, err := l.Life()
	if err != nil {
		return "", err
	}
	defer state.ReleaseLife(life)
	images, err := r.snapshotImages(name)
	if err == nil {
		err = r.destroyLocked(context.WithoutCancel(ctx), l, v, DestroyOptions{})
	}
	if err == nil {
		r.removeImages(context.WithoutCancel(ctx), images)
	}
	return moves.Unknown, err
}

// releaseHere makes an incoming VPS belong to this host, and starts it if it ran before. If
// it does not start, it is an incoming one again.
func (r *receiving) releaseHere(ctx context.Context, q moves.Request) (reply moves.Reply, err error) {
	name, record, err := r.find(ctx, q)
	if err != nil {
		return reply, err
	}
	if record == nil {
		return reply, fail.New(fail.NotFound, "this host does not have the VPS any more")
	}
	patient := *r.Manager
	patient.lockWait = receivePatience
	l, _, err := patient.lockAndLoadAsIs(ctx, name)
	if err != nil {
		return reply, err
	}
	defer l.Unlock()
	if record, err = r.store.Move(name); err != nil {
		return reply, err
	}
	if moves.Know(record) == moves.Unknown || record.Token != q.Token {
		return reply, fail.New(fail.NotFound, "this host does not have the VPS any more")
	}
	if err := l.PutMove(moves.At(*record, state.MoveArrived)); err != nil {
		return reply, err
	}
	reply.Know, reply.Name = moves.Arrived, name
	runs, err := r.runs(name)
	if err != nil || runs || !record.Runs {
		return reply, err
	}
	// A connection that ends now is not the end of the start.
	if err := r.startLocked(context.WithoutCancel(ctx), l, spawnBoot); err != nil {
		reply.Know, reply.NotStarted = moves.Incoming, err.Error()
		return reply, l.PutMove(moves.At(*record, state.MoveIncoming))
	}
	return reply, nil
}

// files receives the first part of a VPS, copies it, receives the rest, and creates the
// VPS. Until that is done the next command removes what there is of it.
func (r *receiving) files(ctx context.Context, q moves.Request) error {
	if r.offer == nil {
		return fail.New(fail.Usage, "the move was not checked")
	}
	quiet := *r.Manager
	i := &importing{Manager: &quiet, options: ImportOptions{Name: r.name, Networks: r.offer.Networks, NoNetwork: r.offer.NoNetwork}}
	defer i.release()
	if err := i.reserve(ctx, r.name, r.lockWait); err != nil {
		return err
	}
	i.rest = func(root rootfs.Rootfs, had template.Image) error {
		if err := r.wire.Send(moves.Reply{}); err != nil {
			return err
		}
		return r.last(ctx, i, root, had)
	}
	record := func() *state.Move {
		return new(moves.Target(q.Token, r.offer.From, i.from, r.offer.Runs, time.Now()))
	}
	err := r.templates.ImportBackup(ctx, r.wire.Reader(), backups.Use{
		Check: func(settings json.RawMessage) (string, error) {
			name, err := i.check(ctx, settings)
			if err == nil {
				err = i.takeSecrets(settings, q.Secrets)
			}
			if err == nil {
				err = i.asSaved(settings, r.offer.Live)
			}
			return name, err
		},
		Use: func(im template.Image) error {
			i.move = record()
			return i.create(ctx, im)
		},
		Snapshots: i.checkSnapshots,
		UseAll: func(im template.Image, snapshots []template.Image) error {
			i.move = record()
			return i.createAll(ctx, im, snapshots)
		},
		Used: r.usedTemplates,
	})
	if !errors.Is(err, errNotNeeded) {
		return err
	}
	if err := i.keepProcesses(); err != nil {
		return err
	}
	i.release()
	r.emptyTrash(context.WithoutCancel(ctx))
	if info, err := r.Inspect(ctx, i.VPS.Name); err == nil {
		r.tellCreated(info, eventFrom, string(i.from), eventHost, r.offer.From)
	}
	r.afterwards(ctx, hooks.PostCreate, vps.VPS{Name: i.VPS.Name, UUID: i.VPS.UUID}, "CROFT_FROM="+string(i.from))
	return r.wire.Send(moves.Reply{Know: moves.Incoming, Name: i.VPS.Name})
}

// last receives the rest of the VPS, and puts it above what root has of the image had.
func (r *receiving) last(ctx context.Context, i *importing, root rootfs.Rootfs, had template.Image) error {
	for {
		var q moves.Request
		if err := r.wire.Receive(&q); err != nil {
			return err
		}
		if q.Ask == moves.AskSaved {
			if err := i.takeProcesses(ctx, q.Checkpoint, r.wire.Reader(), root); err != nil {
				return err
			}
			if err := r.wire.Send(moves.Reply{}); err != nil {
				return err
			}
			continue
		}
		if q.Ask != moves.AskLast {
			if err := r.wire.Send(r.answer(ctx, q)); err != nil {
				return err
			}
			continue
		}
		err := r.templates.ImportBackup(ctx, r.wire.Reader(), backups.Use{
			Check: func(json.RawMessage) (string, error) { return string(i.from), nil },
			Use: func(im template.Image) error {
				if err := i.add(ctx, root, had, im); err != nil {
					return err
				}
				return errNotNeeded
			},
			Used: r.usedTemplates,
		})
		if errors.Is(err, errNotNeeded) {
			return nil
		}
		return err
	}
}

// add puts the layers that the image now has above those of had, above the own files at
// root.
func (i *importing) add(ctx context.Context, root rootfs.Rootfs, had, now template.Image) error {
	now, err := i.templates.Ensure(ctx, now.Digest)
	if err != nil {
		return err
	}
	if n := len(had.Layers); len(now.Layers) < n || !slices.Equal(now.Layers[:n], had.Layers) {
		return fail.New(fail.Usage, "the rest does not belong to the first part")
	}
	if root.Frozen, err = i.ownLayers(now.Layers[len(had.Layers):]); err != nil || len(root.Frozen) == 0 {
		return err
	}
	return i.rootfses.Add(ctx, root)
}

// takeSecrets gives the VPS the credentials that an archive does not have.
func (i *importing) takeSecrets(settings json.RawMessage, secrets map[string][]byte) error {
	d, _, err := backup.Parse(settings)
	if err != nil {
		return err
	}
	for _, c := range d.VPS.Credentials {
		value, ok := secrets[c.Name]
		if !ok {
			return fail.New(fail.Host, "the other host does not send the credential %s", c.Name)
		}
		i.secrets = append(i.secrets, vps.SetCredential{Credential: c, Value: value})
	}
	i.VPS.Credentials = d.VPS.Credentials
	i.Without = slices.DeleteFunc(i.Without, func(w string) bool { return strings.HasPrefix(w, "credentials ") })
	return nil
}

// check says why this host cannot have the VPS, and changes nothing.
func (r *receiving) check(ctx context.Context, q moves.Request) (reply moves.Reply, err error) {
	o := q.Offer
	if o == nil {
		return reply, fail.New(fail.Usage, "the request has no offer")
	}
	if o.Protocol != moves.Protocol {
		return reply, fail.New(fail.State, "it has another version of croft, which moves VPSs in another way (%d and not %d)", moves.Protocol, o.Protocol)
	}
	d, unknown, err := backup.Parse(o.Settings)
	if err != nil {
		return reply, err
	}
	if o.Architecture != goruntime.GOARCH {
		reply.Problems = append(reply.Problems, fmt.Sprintf("it is for linux/%s, and that host is linux/%s", o.Architecture, goruntime.GOARCH))
	}
	if unknown != "" {
		reply.Problems = append(reply.Problems, "the croft there does not know all of its settings ("+unknown+")")
	}
	restored, err := d.Restore(backup.Choice{Name: o.Name, Networks: o.Networks, NoNetwork: o.NoNetwork})
	if err != nil {
		return reply, err
	}
	r.offer, r.name, reply.Name = o, restored.VPS.Name, restored.VPS.Name
	w := wanted{receiving: r, reply: &reply, v: restored.VPS, held: restored.Held}
	return reply, w.check(ctx)
}

// wanted is a VPS that this host may get.
type wanted struct {
	*receiving
	reply *moves.Reply
	v     vps.VPS
	held  []state.HeldInterface
}

// problem adds an error to the problems.
func (w wanted) problem(err error) {
	if err != nil {
		w.reply.Problems = append(w.reply.Problems, err.Error())
	}
}

func (w wanted) note(format string, args ...any) {
	w.reply.Notes = append(w.reply.Notes, fmt.Sprintf(format, args...))
}

func (w wanted) check(ctx context.Context) error {
	if w.lacks != nil {
		lacks, err := w.lacks(ctx)
		if err != nil {
			return err
		}
		if len(lacks) > 0 {
			w.problem(fmt.Errorf("that host cannot run VPSs: it lacks %s", strings.Join(lacks, ", ")))
		}
	}
	if _, _, err := w.present(ctx, w.v.Name, false); err != nil {
		w.problem(moves.NameTaken(err, w.moveOf(w.v.Name)))
	}
	w.problem(w.checkIDs(ctx))
	w.problem(w.checkSpace())
	if err := w.checkLive(ctx); err != nil {
		return err
	}
	if err := w.checkInterfaces(); err != nil {
		return err
	}
	w.problem(w.checkPublished())
	for _, name := range volumesOf(w.v.Mounts) {
		if _, err := w.store.Volume(ctx, name); err != nil {
			w.problem(fmt.Errorf("it mounts the volume %s: %w there", name, err))
		}
	}
	w.problem(w.checkMounts(w.v))
	w.problem(w.checkDevices(vps.VPS{Name: w.v.Name, Privileged: w.v.Privileged}, w.v.Devices))
	w.problem(w.checkLimits(vps.Limits{}, w.v.Limits))
	w.problem(w.checkPassable(w.v))
	if len(w.v.Sysctls) > 0 {
		w.problem(w.trySysctls(ctx, w.v.Sysctls, w.v.Privileged))
	}
	return nil
}

func (w wanted) checkIDs(ctx context.Context) error {
	if w.v.Privileged {
		return nil
	}
	free, err := w.store.FreeIDs(ctx)
	if err == nil && int64(free)*idUnit < int64(w.v.IDs.Size) {
		err = fmt.Errorf("there are not %d user ids free there", w.v.IDs.Size)
	}
	return err
}

// checkSpace compares the free space with that of the files, which are there three times
// for a while: as an archive, which is about half as large, unpacked, and as those of the VPS.
// Files of snapshots are not copied.
func (w wanted) checkSpace() error {
	var st unix.Statfs_t
	if err := unix.Statfs(w.store.Root, &st); err != nil {
		return fmt.Errorf("%s: %w", w.store.Root, err)
	}
	free := int64(st.Bavail) * st.Bsize //nolint:unconvert // its type depends on the architecture
	need := 2*w.offer.Bytes + w.offer.Bytes/2 + w.offer.SnapshotBytes + w.offer.SnapshotBytes/2
	if free < need {
		return fmt.Errorf("it needs about %d MiB there, and %d MiB are free", need>>20, free>>20)
	}
	return nil
}

// checkInterfaces says which addresses it cannot have.
func (w wanted) checkInterfaces() error {
	host, err := w.networks.Addresses()
	if err != nil {
		return err
	}
	i := importing{Manager: w.Manager}
	for _, p := range w.v.Interfaces {
		w.problem(i.checkNetwork(p.Network))
	}
	for _, h := range w.held {
		if err := w.checkInterface(h, host); err != nil && !fail.Is(err, fail.NotFound) {
			w.problem(err)
		}
	}
	return nil
}

func (w wanted) checkInterface(h state.HeldInterface, host []netip.Addr) error {
	former := tables.FormerClaim(w.v.Name, h)
	var said error
	for _, replace := range []bool{false, true} {
		t, err := w.networkTables().Get(h.Network) // Reclaim changes it
		if err != nil {
			return err
		}
		lost, err := t.Reclaim(former, host, replace)
		if !replace {
			said = err
			continue
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(lost, func(a netip.Addr) bool { return !w.mayLose(h, a, slices.Collect(maps.Values(w.offer.Networks))) }) {
			return said
		}
		if len(lost) > 0 {
			w.note("its interface %s gets other addresses there than %s", h.Name, joined(lost))
		}
	}
	return nil
}

// mayLose reports whether a VPS that moves here can do without its address a: the user has
// chosen its network, or it is of the random prefix that croft has given to a network of the
// other host (RFC 4193).
func (m *Manager) mayLose(h state.HeldInterface, a netip.Addr, chosen []string) bool {
	if slices.Contains(chosen, h.Network) {
		return true
	}
	t, err := m.networkTables().Get(h.Network)
	return netip.MustParsePrefix("fd00::/8").Contains(a) && (fail.Is(err, fail.NotFound) || err == nil && !t.Has(a))
}

// checkLost is fail.Taken if a VPS that moves here needs one of the lost addresses.
func (m *Manager) checkLost(o CreateOptions, lost []netip.Addr) error {
	for _, h := range o.held {
		for _, a := range lost {
			if slices.Contains(h.Addresses, a) && !m.mayLose(h, a, o.mapped) {
				return fail.New(fail.Taken, "the address %s of its interface %s is not free", a, h.Name)
			}
		}
	}
	return nil
}

// checkPublished says which published ports are not free.
func (w wanted) checkPublished() error {
	if len(w.v.Published) == 0 {
		return nil
	}
	has, err := w.hostHas()
	if err != nil {
		return err
	}
	entries, err := w.store.All()
	if err != nil {
		return err
	}
	var others []vps.VPS
	for _, e := range entries {
		if e.Err == nil {
			others = append(others, e.VPS)
		}
	}
	for _, p := range w.v.Published {
		if !has(p) {
			w.problem(fmt.Errorf("that host does not have the address of its published port %s", p))
		}
		w.problem(p.CheckFree(others))
	}
	return w.networks.CheckPorts(w.v.Published)
}

// hostLacks returns what no VPS can run without.
func (m *Manager) hostLacks(ctx context.Context) ([]string, error) {
	checks, err := m.CheckHost(ctx)
	return HostLacking(checks), err
}
