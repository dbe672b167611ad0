package runtime

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/undo"
	"croft/internal/vps"
	"croft/runtime/firstboot"
	"croft/runtime/hooks"
	"croft/runtime/paths"
	"croft/template"
	"croft/template/rootfs"
)

// DefaultIDs is the default number of ids of a VPS: 65536 for the VPS itself, and
// three times as many for its users who run containers inside. useradd(8) gives the
// first of these users 100000 to 165535 (subuid(5)).
const DefaultIDs = 4 * idUnit

// idUnit divides every number of ids.
const idUnit = state.IDUnit

// Create creates the files of a new VPS. Afterwards the VPS either exists and can be
// started, or it does not exist, whatever happens. It is fail.Taken if there is a VPS
// of that name.
func (m *Manager) Create(ctx context.Context, name vps.Name, o CreateOptions) (Info, error) {
	if err := o.check(name); err != nil {
		return Info{}, err
	}
	if err := m.removeLeft(ctx, name); err != nil {
		return Info{}, err
	}
	if info, done, err := m.present(ctx, name, o.IfMissing); done || err != nil {
		return info, err
	}
	// Checked before the template is built, which can take minutes.
	if err := m.checkNew(ctx, name, o); err != nil {
		return Info{}, err
	}
	image, err := m.templates.Ensure(ctx, o.Template)
	if err != nil {
		return Info{}, err
	}
	o.Template = templateName(o.Template, image)
	l, err := m.lock(ctx, name)
	if err != nil {
		return Info{}, err
	}
	defer l.Unlock()
	if info, done, err := m.present(ctx, name, o.IfMissing); done || err != nil {
		return info, err
	}
	if err := m.store.Apart(ctx, name, vps.IDRange{}); err != nil {
		return Info{}, err
	}
	if err := m.finishRenameOf(ctx, name); err != nil {
		return Info{}, err
	}
	if err := m.clearRemains(ctx, l, false); err != nil {
		return Info{}, err
	}
	if err := m.create(ctx, l, o, image); err != nil {
		return Info{}, err
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	info, err := m.Inspect(ctx, name)
	if err == nil {
		m.tellCreated(info)
	}
	l.Unlock() // so that a hook can change and start the VPS
	m.afterwards(ctx, hooks.PostCreate, vps.VPS{Name: name, UUID: info.UUID})
	return info, err
}

// checkNew checks settings of a new VPS that depend on this host.
func (m *Manager) checkNew(ctx context.Context, name vps.Name, o CreateOptions) error {
	v := vps.VPS{Name: name, Privileged: o.Privileged}
	if len(o.Sysctls) > 0 {
		if err := m.trySysctls(ctx, o.Sysctls, o.Privileged); err != nil {
			return err
		}
	}
	if err := m.checkSources(v, o.Mounts); err != nil {
		return err
	}
	if err := m.checkLimits(vps.Limits{}, o.Limits); err != nil {
		return err
	}
	m.warnAll(name, m.limitWarnings(vps.Limits{}, o.Limits))
	return m.checkDevices(v, o.Devices)
}

// present reports whether there is nothing to do because name exists.
func (m *Manager) present(ctx context.Context, name vps.Name, ifMissing bool) (Info, bool, error) {
	_, err := m.store.Get(name)
	switch {
	case fail.Is(err, fail.NotFound):
		return Info{}, false, nil
	case ifMissing && err == nil:
		info, err := m.Inspect(ctx, name)
		return info, true, err
	}
	return Info{}, true, fail.New(fail.Taken, "a VPS named %q exists", name).WithHint("croft inspect %s", name)
}

func (m *Manager) create(ctx context.Context, l *state.Locked, o CreateOptions, image template.Image) (err error) {
	defer trace.Span("create the VPS")()
	var steps undo.Stack
	defer steps.OnError(&err)

	draft, err := l.Begin()
	if err != nil {
		return err
	}
	steps.Arm(func() error { draft.Abort(); return nil })
	if o.Ephemeral || o.incomplete {
		steps.Arm(l.UnlistEphemeral)
		if err := l.ListEphemeral(); err != nil {
			return err
		}
	}

	v, err := o.vps(l.Name(), image)
	if err == nil && o.incomplete {
		v.Creator, err = m.thisRunner()
	}
	if err != nil {
		return err
	}
	published := v.Published
	v.Published = nil // until putDraft has claimed them
	if !v.Privileged {
		if err := m.giveIDs(ctx, draft, &v, o); err != nil {
			return err
		}
	}
	if err := m.createDisk(ctx, draft.Dir, &v); err != nil {
		return err
	}
	root, err := m.rootfsIn(v, rootfs.Rootfs{Dir: paths.DraftFS(draft)})
	if err != nil {
		return err
	}
	if err := m.makeFilesOf(ctx, root, &v, o); err != nil {
		return whyNotCopied(v, err)
	}
	if err := m.checkFits(draft.Dir, v); err != nil {
		return err
	}
	if _, err := putCredentials(draft.Dir, v, o.Credentials); err != nil { // goes with the draft
		return err
	}
	if o.started {
		if err := noteConfigured(paths.DraftConfigured(draft), o.fitted); err != nil {
			return err
		}
	}
	if len(o.FirstBoot) > 0 {
		if _, err := firstboot.Put(draft.Dir, o.FirstBoot); err != nil {
			return err
		}
	}
	if err := m.fillDraft(ctx, draft, v, o.Inside); err != nil {
		return err
	}
	// Without ctx, because a create that Ctrl-C interrupts is undone too.
	steps.Arm(func() error { return m.networkTables().Release(context.WithoutCancel(ctx), v) })
	if err := m.claimAddresses(ctx, v, o); err != nil {
		return err
	}
	if o.Connections != vps.DefaultConnections {
		limited, err := vps.Edited(m.side(v).VPS, vps.SetConnections{Limit: o.Connections})
		if err != nil {
			return err
		}
		if err := m.setLimits(ctx, limited); err != nil {
			return err
		}
	}
	if err := m.putDraft(ctx, draft, v, published); err != nil {
		return err
	}
	for _, n := range o.snapshots {
		n.VPS.UUID, n.VPS.IDs, n.VPS.Disk = v.UUID, v.IDs, v.Disk
		if err := draft.PutSnapshot(n); err != nil {
			return err
		}
	}
	if o.move != nil {
		if err := draft.PutMove(*o.move); err != nil {
			return err
		}
	}
	if err := m.templates.Confirm(ctx, image); err != nil { // when the draft is saved the image is kept
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return draft.Commit()
}

// giveIDs gives v user ids: those that it must have, or any.
func (m *Manager) giveIDs(ctx context.Context, draft *state.Draft, v *vps.VPS, o CreateOptions) error {
	if o.ids.Size > 0 {
		return draft.TakeIDs(ctx, v, o.ids)
	}
	return m.allocateIDs(ctx, draft, v, o.IDSize)
}

// allocateIDs gives v the number of ids that the user asks for. The default is
// DefaultIDs, or idUnit if the host does not have so many in one range.
func (m *Manager) allocateIDs(ctx context.Context, draft *state.Draft, v *vps.VPS, asked uint32) error {
	err := draft.AllocateIDs(ctx, v, v.IDs.Size)
	if asked != 0 || !fail.Is(err, fail.Host) {
		return err
	}
	if draft.AllocateIDs(ctx, v, idUnit) != nil {
		return err
	}
	m.warn(fmt.Sprintf("%s has %d user ids, too few for rootless containers inside: %v", v.Name, v.IDs.Size, err))
	return nil
}

// vps returns the settings that the options ask for.
func (o CreateOptions) vps(name vps.Name, image template.Image) (vps.VPS, error) {
	if o.like != nil {
		return o.cloneOf(name), nil
	}
	v := vps.VPS{
		Schema: state.Schema, Name: name, UUID: uuid.NewString(), Created: time.Now().UTC().Truncate(time.Second),
		Template: vps.Template{Name: o.Template, Digest: image.Digest, Layers: image.Layers},
		IDs:      vps.IDRange{Size: o.IDSize}, Disk: vps.Disk{Bytes: o.DiskBytes, Inodes: o.Inodes},
		Hostname: o.Hostname, Limits: o.Limits, DNS: o.DNS, Sysctls: o.Sysctls, Allow: o.Allow, Env: o.Env,
		Ephemeral: o.Ephemeral, Runner: o.runner, Labels: o.Labels, Description: o.Description, Privileged: o.Privileged,
	}
	if v.IDs.Size == 0 && !o.Privileged {
		v.IDs.Size = DefaultIDs
	}
	if v.Hostname == "" {
		v.Hostname = string(name)
	}
	var edits []vps.Edit
	for _, n := range o.networks() {
		edits = append(edits, n)
	}
	edits = append(edits, vps.SetOnBoot{OnBoot: o.OnBoot}, vps.SetBootOrder{Order: o.BootOrder}, vps.SetStopTimeout{Timeout: o.StopTime},
		vps.SetProtected{Protected: o.Protected}, vps.SetDmesg{On: !o.NoDmesg}, vps.SetSeccomp{Seccomp: o.Seccomp},
		vps.SetRestart{Restart: o.Restart}, vps.Publish{Ports: o.Published})
	for _, mount := range o.Mounts {
		edits = append(edits, vps.AddMount{Mount: mount})
	}
	for _, r := range o.Rates {
		edits = append(edits, r)
	}
	for _, a := range o.Addresses {
		if a.Interface != "" {
			edits = append(edits, a)
		}
	}
	for _, d := range o.Devices {
		edits = append(edits, vps.AddDevice{Device: d})
	}
	for _, name := range o.CapAdd {
		edits = append(edits, vps.AddCapability{Name: name})
	}
	for _, name := range o.CapDrop {
		edits = append(edits, vps.DropCapability{Name: name})
	}
	for _, c := range o.Credentials {
		edits = append(edits, c)
	}
	if v.Storage = o.Storage; v.Storage == vps.StoragePlain {
		v.Tree = vps.FirstTree
	}
	edits = append(edits, vps.SetFit{Fit: o.Fit})
	if o.FirstBoot != nil {
		edits = append(edits, vps.SetFirstBoot{Script: o.FirstBoot})
	}
	return vps.Edited(v, edits...)
}

// anyAddresses returns the addresses that are for no particular interface.
func (o CreateOptions) anyAddresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range o.Addresses {
		if a.Interface == "" {
			all = append(all, a.Address)
		}
	}
	return all
}

// networks returns the networks of the VPS.
func (o CreateOptions) networks() []vps.AddInterface {
	switch {
	case len(o.Networks) == 0:
		return []vps.AddInterface{{Network: DefaultNetwork}}
	case o.Networks[0].Network == NoNetwork:
		return nil
	}
	return o.Networks
}

// checkNetworks is fail.Usage for interfaces that contradict each other, and for
// settings that need an interface if there is none.
func (o CreateOptions) checkNetworks() error {
	for i, n := range o.Networks {
		if n.Network == NoNetwork && len(o.Networks) > 1 {
			return fail.New(fail.Usage, "networks: none, and others")
		}
		if slices.ContainsFunc(o.Networks[:i], func(b vps.AddInterface) bool { return b.Network == n.Network }) {
			return fail.New(fail.Usage, "network %s is given twice", n.Network)
		}
	}
	if len(o.networks()) > 0 {
		return nil
	}
	for _, needs := range []struct {
		what  string
		asked int
	}{{"addresses need", len(o.Addresses)}, {"rates need", len(o.Rates)}, {"connections need", int(min(1, max(o.Connections, -o.Connections)))}, {"published ports need", len(o.Published)}} {
		if needs.asked > 0 {
			return fail.New(fail.Usage, "%s a network, and there is none", needs.what)
		}
	}
	return nil
}

// check returns fail.Usage for options that contradict each other and for invalid
// settings.
func (o CreateOptions) check(name vps.Name) error {
	if o.Template == "" {
		return fail.New(fail.Usage, "no template named").WithHint("croft create %s --template debian-12", name)
	}
	if o.IDSize%idUnit != 0 {
		return fail.New(fail.Usage, "invalid number of ids %d: it is not a multiple of %d", o.IDSize, idUnit)
	}
	if o.Privileged && o.IDSize != 0 {
		return fail.New(fail.Usage, "a privileged VPS has no ids of its own")
	}
	if err := o.checkNetworks(); err != nil {
		return err
	}
	if err := o.Inside.Check(); err != nil {
		return err
	}
	if err := vps.CheckConnections(o.Connections); err != nil {
		return err
	}
	_, err := o.vps(name, template.Image{})
	return err
}
