package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/backup"
	"croft/runtime/hooks"
	"croft/runtime/tables"
	"croft/runtime/trash"
	"croft/template"
	"croft/template/backups"
	"croft/template/recipe"
	"croft/template/rootfs"
)

// ImportOptions are the options of Import and CreateFrom.
type ImportOptions struct {
	Name      vps.Name          // "": that of the backup
	IfMissing bool              // do nothing if there is a VPS with the given name
	File      string            // of Import: its path, for the policy of signatures; "" is a stream
	Insecure  bool              // of CreateFrom: also allow plain HTTP and certificates that cannot be verified
	Networks  map[string]string // the networks to use for those of the archive
	NoNetwork bool              // it gets no interfaces
	Addresses []vps.AddAddress  // instead of those of the same family in the backup
	Edits     []vps.Edit        // then change its settings
}

// Import creates the stopped VPS that the backup r has. It has its files, settings and
// identity, and its addresses, MACs and published ports as far as they are free here;
// what it does not get is a warning. Its user ids are new, and its UUID too if a VPS here
// has that. The edits then change its settings. An existing name is fail.Taken, and so is
// one of o.Addresses that is not free. A backup that the policy of signatures refuses is
// fail.Permission. It has the snapshots in the backup, too. After an error there is no VPS; a killed Import
// leaves the whole VPS with the edits, or none.
func (m *Manager) Import(ctx context.Context, r io.Reader, o ImportOptions) (Info, error) {
	if err := m.templates.AcceptBackup(o.File); err != nil {
		return Info{}, err
	}
	return m.restoreBackup(ctx, o, func(u backups.Use) error { return m.templates.ImportBackup(ctx, r, u) })
}

// CreateFrom is Import for a backup in a registry, which ref names.
func (m *Manager) CreateFrom(ctx context.Context, ref string, o ImportOptions) (Info, error) {
	return m.restoreBackup(ctx, o, func(u backups.Use) error {
		return m.templates.PullBackup(ctx, ref, template.PullOptions{Insecure: o.Insecure}, u)
	})
}

// restoreBackup creates a VPS from the backup that read reads.
func (m *Manager) restoreBackup(ctx context.Context, o ImportOptions, read func(u backups.Use) error) (Info, error) {
	if o.IfMissing && o.Name != "" {
		if info, done, err := m.present(ctx, o.Name, true); done || err != nil {
			return info, err
		}
	}
	i := importing{Manager: m, options: o}
	defer i.release()
	if o.Name != "" {
		if err := i.reserve(ctx, o.Name, m.lockWait); err != nil {
			return Info{}, err
		}
	} else {
		m.destroyAbandoned(ctx)
	}
	err := read(backups.Use{
		Check: func(settings json.RawMessage) (string, error) { return i.check(ctx, settings) },
		Use:   func(im template.Image) error { return i.create(ctx, im) },
		Used:  m.usedTemplates,

		Snapshots: i.checkSnapshots,
		UseAll:    func(im template.Image, snapshots []template.Image) error { return i.createAll(ctx, im, snapshots) },
	})
	if err != nil && !errors.Is(err, errNotNeeded) {
		return Info{}, err
	}
	if err := m.complete(ctx, i.lock, o.Edits); err != nil {
		return Info{}, err
	}
	i.release() // so that a hook can change the VPS
	m.emptyTrash(context.WithoutCancel(ctx))
	info, err := m.Inspect(ctx, i.VPS.Name)
	if err == nil {
		m.tellCreated(info, eventFrom, string(i.from))
	}
	m.afterwards(ctx, hooks.PostCreate, vps.VPS{Name: i.VPS.Name, UUID: i.VPS.UUID}, "CROFT_FROM="+string(i.from))
	return info, err
}

// importing is one Import.
type importing struct {
	*Manager
	options ImportOptions
	lock    *state.Locked // of the name; nil until that is known
	from    vps.Name      // in the archive
	move    *state.Move   // nil: it is not moved from another host
	secrets []vps.SetCredential
	saved   *state.Checkpoint // its processes; nil: it boots
	ids     vps.IDRange       // that it must have; zero: any
	// rest gets the rest of the files of a VPS that is moved, and puts it above those that
	// root has, which are those of the image had.
	rest func(root rootfs.Rootfs, had template.Image) error
	backup.Restored
	snapshots []state.Snapshot // without their files
}

// reserve locks the name, which no VPS has.
func (i *importing) reserve(ctx context.Context, name vps.Name, wait time.Duration) (err error) {
	if i.lock != nil {
		return nil
	}
	if wait > 0 {
		i.destroyAbandoned(ctx)
	}
	if i.lock, err = i.store.Lock(ctx, name, i.command, wait); err != nil {
		return err
	}
	err = i.readyFor(ctx, i.lock, vps.IDRange{})
	if fail.Is(err, fail.Taken) {
		return fail.New(fail.Taken, "%w; give another NAME", err).WithHint("croft inspect %s", name)
	}
	return err
}

// release lets go of the name. Doing it twice is harmless.
func (i *importing) release() {
	if i.lock != nil {
		i.lock.Unlock()
	}
}

// check decides about the settings in the archive, before its files are unpacked. It
// returns the name of the former image.
func (i *importing) check(ctx context.Context, settings json.RawMessage) (string, error) {
	d, unknown, err := backup.Parse(settings)
	if err != nil {
		return "", err
	}
	if i.Restored, err = d.Restore(i.choice()); err != nil {
		return "", err
	}
	i.from = d.VPS.Name
	if err := i.checkEdits(); err != nil {
		return "", err
	}
	// The archive is being read, so another command is not waited for.
	if err := i.reserve(ctx, i.VPS.Name, 0); err != nil {
		return "", err
	}
	if unknown != "" {
		i.Without = append(i.Without, "settings that this croft does not know ("+unknown+")")
	}
	for _, p := range i.VPS.Interfaces {
		if err := i.checkNetwork(p.Network); err != nil {
			return "", err
		}
	}
	for _, name := range volumesOf(i.VPS.Mounts) {
		if _, err := i.store.Volume(ctx, name); err != nil {
			return "", fail.New(fail.KindOf(err), "the VPS mounts the volume %s: %w", name, err).WithHint("croft volume create %s", name)
		}
	}
	return backup.TemplateName(i.VPS, recipe.CheckName), nil
}

// checkSnapshots decides about the snapshots in the archive, after check.
func (i *importing) checkSnapshots(all []backups.SnapshotSettings) (err error) {
	var documents []backup.Named
	for _, n := range all {
		documents = append(documents, backup.Named{Name: n.Name, Document: n.Settings})
	}
	i.snapshots, err = i.Restored.Snapshots(documents, i.choice())
	return err
}

// choice is what the VPS gets otherwise than the archive says.
func (i *importing) choice() backup.Choice {
	o := i.options
	return backup.Choice{Name: o.Name, Networks: o.Networks, NoNetwork: o.NoNetwork, Addresses: o.Addresses}
}

// createAll is create for a VPS with snapshots, whose files the images have.
func (i *importing) createAll(ctx context.Context, im template.Image, snapshots []template.Image) error {
	for n, one := range snapshots {
		one, err := i.templates.Ensure(ctx, one.Digest) // its layers are unpacked
		if err != nil {
			return err
		}
		v := &i.snapshots[n].VPS
		v.Template = vps.Template{Name: v.Template.Name, Digest: one.Digest, Layers: one.Layers}
	}
	return i.create(ctx, im)
}

// checkEdits returns an error for edits that cannot be made, as far as they do not depend
// on what the interfaces get.
func (i *importing) checkEdits() error {
	var some []vps.Edit
	for _, e := range i.options.Edits {
		if p := vps.Parts(e); !p[vps.PartAddresses] && !p[vps.PartInterfaces] && !p[vps.PartConnections] {
			some = append(some, e)
		}
	}
	_, err := vps.Edited(i.VPS, some...)
	return err
}

// checkNetwork returns an error for a network that does not exist.
func (i *importing) checkNetwork(name string) error {
	_, err := i.networkTables().Get(name)
	switch {
	case err == nil, fail.Is(err, fail.NotFound) && name == network.DefaultName: // it is created
		return nil
	case fail.Is(err, fail.NotFound):
		return fail.New(fail.NotFound, "the VPS has the network %q, which does not exist here; --network %[1]s=OTHER uses another one, and --network none leaves it out", name).
			WithHint("croft network list")
	}
	return err
}

// errNotNeeded ends the import of an image that nothing needs any more.
var errNotNeeded = errors.New("the image of the backup is not needed")

// create creates the VPS from the image in the archive, which nothing removes meanwhile.
// Where the VPS can, it shares the layers of the image. If its files have to be in another
// place, it gets a copy of them over its template, and the error is errNotNeeded.
func (i *importing) create(ctx context.Context, im template.Image) error {
	im, err := i.templates.Ensure(ctx, im.Digest) // its layers are unpacked
	if err != nil {
		return err
	}
	below, copies := i.copies(im)
	if !copies {
		if i.move != nil {
			return fail.New(fail.Usage, "its files are not those of a VPS over its template")
		}
		return i.createFrom(ctx, im, i.fillFrom(ctx, im))
	}
	err = i.templates.UseBelow(ctx, im.Digest, below, backups.Use{
		Use: func(base template.Image) error {
			if base, err = i.templates.Ensure(ctx, base.Digest); err != nil {
				return err
			}
			return i.createFrom(ctx, base, func(to rootfs.Rootfs) error { return i.fillOwn(ctx, im, below, to) })
		},
		Used: i.usedTemplates,
	})
	if err == nil {
		err = errNotNeeded
	}
	return err
}

// copies reports whether the VPS gets a copy of the files that the image im has above the
// layers of its template, and how many layers that has: if it is moved, so that the number
// of its layers does not grow with each move, and with a limit, so that they count.
func (i *importing) copies(im template.Image) (below int, _ bool) {
	below = len(i.VPS.Template.Layers)
	if below == 0 || below > len(im.Layers) || !slices.Equal(im.Layers[:below], i.VPS.Template.Layers) {
		return 0, false // a plain tree in an archive: its layer has all files
	}
	limited := i.VPS.Disk.Limited()
	for _, e := range i.options.Edits {
		if set, ok := e.(vps.SetDisk); ok && set.Bytes > 0 {
			limited = true
		}
	}
	return below, i.move != nil || limited && i.VPS.Storage != vps.StoragePlain
}

// fillOwn makes the files at to those that the image had shows above its lowest layers.
func (i *importing) fillOwn(ctx context.Context, had template.Image, below int, to rootfs.Rootfs) error {
	own, err := i.ownLayers(had.Layers[below:])
	if err != nil {
		return err
	}
	if to.Plain() {
		err = i.fillPlain(ctx, own, to)
	} else {
		err = i.fillOverlay(ctx, own, to)
	}
	if err == nil && i.rest != nil {
		err = i.rest(to, had)
	}
	return err
}

// fillOverlay makes the own files of the overlay at to: those that the layers show
// together, the topmost first.
func (i *importing) fillOverlay(ctx context.Context, layers []rootfs.Frozen, to rootfs.Rootfs) error {
	above := layers[:max(len(layers)-1, 0)]
	to.Frozen = layers[len(above):]
	err := i.rootfses.MakeOwn(ctx, to)
	if err == nil && len(above) > 0 {
		to.Frozen = above
		err = i.rootfses.Add(ctx, to)
	}
	return err
}

// fillPlain makes the plain tree at to: an exact copy of the lowest of the layers, the
// topmost first, with the others above it.
func (i *importing) fillPlain(ctx context.Context, layers []rootfs.Frozen, to rootfs.Rootfs) error {
	if len(layers) == 0 {
		return fail.New(fail.Usage, "it has plain storage, and no layer with its files")
	}
	above := layers[:len(layers)-1]
	err := i.rootfses.CopyTree(ctx, layers[len(above)], to, i.copying("copying its files"))
	if err == nil && len(above) > 0 {
		to.Frozen = above
		err = i.rootfses.Add(ctx, to)
	}
	return err
}

// ownLayers returns layers of an image, the lowest first, as those of a VPS.
func (i *importing) ownLayers(layers []string) ([]rootfs.Frozen, error) {
	if len(layers) == 0 {
		return nil, nil
	}
	dirs, err := i.templates.LayerDirs(template.Image{Name: i.VPS.Template.Name, Layers: layers})
	if err != nil {
		return nil, err
	}
	var all []rootfs.Frozen
	for _, dir := range dirs {
		all = append(all, rootfs.Frozen{Dir: dir, Size: i.VPS.IDs.Size})
	}
	return all, nil
}

// createFrom creates the VPS with the template im. fill makes its own files; nil: it has
// none.
func (i *importing) createFrom(ctx context.Context, im template.Image, fill func(rootfs.Rootfs) error) error {
	v := &i.VPS
	v.Template = vps.Template{Name: v.Template.Name, Digest: im.Digest, Layers: im.Layers}
	if err := i.freeUUID(); err != nil {
		return err
	}
	if i.move == nil { // otherwise ports that are not free are an error
		if err := i.freePorts(ctx); err != nil {
			return err
		}
	}
	o := CreateOptions{
		like: v, held: i.Held, wanted: i.wanted(), started: i.Started, fitted: i.Fitted, IDSize: v.IDs.Size,
		Connections: vps.DefaultConnections, fill: fill, move: i.move, ids: i.ids, Credentials: i.secrets, incomplete: len(i.options.Edits) > 0,
		snapshots: i.snapshots,
	}
	for _, network := range i.options.Networks {
		o.mapped = append(o.mapped, network)
	}
	if err := i.Manager.create(ctx, i.lock, o, im); err != nil {
		return err
	}
	if other := backup.Other(i.Held, i.networkTables().Held(*v)); len(other) > 0 {
		i.Without = append(i.Without, "MAC addresses "+strings.Join(other, ", "))
	}
	if len(i.Without) > 0 {
		i.warn(fmt.Sprintf("%s does not get from the backup: %s", v.Name, strings.Join(i.Without, "; ")))
	}
	i.warnAll(v.Name, i.missing())
	return nil
}

// fillFrom returns what makes the files of a plain tree: those of the image, which has no
// layers of a template. It is nil for an overlay.
func (i *importing) fillFrom(ctx context.Context, im template.Image) func(rootfs.Rootfs) error {
	if i.VPS.Storage != vps.StoragePlain {
		return nil
	}
	return func(to rootfs.Rootfs) error {
		own, err := i.ownLayers(im.Layers)
		if err == nil {
			err = i.fillPlain(ctx, own, to)
		}
		return err
	}
}

// wanted returns the addresses that the VPS must get, and not others instead.
func (i *importing) wanted() []netip.Addr {
	var all []netip.Addr
	for _, a := range i.options.Addresses {
		all = append(all, a.Address)
	}
	return all
}

// freeUUID gives the VPS a new UUID if another one has it.
func (i *importing) freeUUID() error {
	all, err := i.store.All()
	if err != nil {
		return err
	}
	kept, err := i.store.Kept()
	if err != nil {
		return err
	}
	taken := false
	for _, e := range all {
		taken = taken || e.VPS.UUID == i.VPS.UUID
	}
	for _, t := range kept {
		taken = taken || t.VPS.UUID == i.VPS.UUID
	}
	if taken {
		i.VPS.UUID = uuid.NewString()
	}
	return nil
}

// freePorts leaves out the published ports that the VPS cannot have here.
func (i *importing) freePorts(ctx context.Context) error {
	if len(i.VPS.Published) == 0 {
		return nil
	}
	has, err := i.hostHas()
	if err != nil {
		return err
	}
	free, lost := tables.Partition(i.VPS.Published, func(p vps.Publication) bool {
		return has(p) && i.networks.CheckPorts([]vps.Publication{p}) == nil
	})
	err = i.store.ClaimPorts(ctx, i.VPS.Name, func(others []vps.VPS) error {
		var gone []vps.Publication
		free, gone, _ = trash.Ports(free, others)
		lost = append(lost, gone...)
		return nil
	})
	if len(lost) > 0 {
		i.Without = append(i.Without, fmt.Sprintf("published ports %s, which are taken here", joined(lost)))
	}
	i.VPS.Published = free
	return err
}

// missing returns in words what a start would not find here.
func (i *importing) missing() []string {
	var all []string
	note := func(err error) {
		if err != nil {
			all = append(all, "it cannot start yet: "+err.Error())
		}
	}
	note(i.checkMounts(i.VPS))
	note(i.checkDevices(vps.VPS{Name: i.VPS.Name, Privileged: i.VPS.Privileged}, i.VPS.Devices))
	note(i.checkLimits(vps.Limits{}, i.VPS.Limits))
	return all
}

// claimAddresses gives the new VPS v addresses. One that is imported gets those that it
// held as far as they are free.
func (m *Manager) claimAddresses(ctx context.Context, v vps.VPS, o CreateOptions) error {
	if o.held == nil {
		return m.networkTables().Claim(ctx, v, o.anyAddresses())
	}
	lost, err := m.networkTables().Reclaim(ctx, v, o.held, true)
	if err == nil && o.move != nil {
		err = m.checkLost(o, lost)
	}
	for _, a := range lost {
		if slices.Contains(o.wanted, a) {
			return fail.New(fail.Taken, "the address %s is not free here, or not one of its network", a).WithHint("croft list --columns name,addresses")
		}
	}
	if len(lost) > 0 {
		m.warn(fmt.Sprintf("%s does not get the addresses %s, which are not free here", v.Name, joined(lost)))
	}
	return err
}

func joined[T fmt.Stringer](all []T) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
