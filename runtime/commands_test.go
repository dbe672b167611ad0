package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
	"croft/template"
	"croft/template/backups"
	"croft/template/layer"
	"croft/template/rootfs"
)

// A trial is one command of a Manager, with its preparation.
type trial struct {
	name   string
	method string                // of the Manager; "": none, it happens by itself
	ready  []func(*faulty) error // on an empty machine
	do     func(*faulty) error

	undone    bool // on an error nothing has changed
	hides     bool // its error is one of its own: many VPSs, a command inside
	filesOnly bool // it changes croft's files alone

	edits []vps.Edit // that it makes with Change

	// partial returns what is wrong after a death of the process, when another command has
	// run; nil: nothing can be.
	partial func(*faulty) string
}

// edit returns a trial of Change.
func edit(name string, ready []func(*faulty) error, edits ...vps.Edit) trial {
	return trial{name: name, method: "Change", ready: ready, undone: true, edits: edits, do: changeWeb(edits...)}
}

func (c trial) prepare(f *faulty) error {
	for _, do := range c.ready {
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// again reports whether err is allowed when c runs a second time, after a first run that
// has done a part of its work.
func (c trial) again(err error) bool {
	return fail.Is(err, fail.State) || fail.Is(err, fail.Taken) || fail.Is(err, fail.NotFound)
}

// A faulty is a Manager of a world in which effects fail.
type faulty struct {
	m *Manager
	w *world
}

// newFaulty is newFake with inits that are processes, and with a store of
// templates.
func newFaulty(t *testing.T, dir string) *faulty {
	t.Helper()
	m, w := newFake(t, dir)
	w.inits, w.own = filepath.Join(dir, "inits"), m.store.RootfsDir()
	if err := os.MkdirAll(w.inits, 0o700); err != nil {
		t.Fatal(err)
	}
	m.templates = templateStore{w: w}
	t.Cleanup(func() {
		if err := w.endInits(); err != nil {
			t.Error(err)
		}
	})
	return &faulty{m: m, w: w}
}

// memoryDir returns a directory for a test, in memory if possible: then the many worlds
// of a test do not wait for a disk.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "croft-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// end ends all inits, before the next world.
func (f *faulty) end() { _ = f.w.endInits() }

// snapshot returns everything that a command can change, except links and cgroups that
// the next start creates again.
func (f *faulty) snapshot() string {
	lines := []string{f.w.String()}
	entries, err := f.m.store.All()
	lines = append(lines, fmt.Sprint(err))
	for _, e := range entries {
		_, saved, err := f.m.store.Checkpoint(e.Name)
		lines = append(lines, fmt.Sprintf("%s: checkpoint: %v, %v", e.Name, saved, err))
		should, err := f.m.store.ShouldRun(e.Name)
		lines = append(lines, fmt.Sprintf("%s: %+v %v, should run: %v %v, inside: %s, credentials: %v", e.Name, e.VPS, e.Err, should, err, f.w.changedInside(e.VPS.IDs.First), f.credentials(e.Name)))
	}
	for name, t := range f.m.networkTables().All() {
		lines = append(lines, fmt.Sprintf("network %s: %+v", name, t.Claims))
	}
	kept, err := f.m.store.Kept()
	lines = append(lines, fmt.Sprintf("trash: %+v, %v", kept, err))
	for id, d := range f.w.devices {
		lines = append(lines, fmt.Sprintf("devices of %s: %+v", id, *d))
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// whole checks that everything can be used and removed, and that nothing is left then.
func (f *faulty) whole(t *testing.T, what string) {
	t.Helper()
	defer f.end()
	ctx := context.Background()
	bad := func(format string, args ...any) { t.Helper(); t.Errorf("%s: %s", what, fmt.Sprintf(format, args...)) }
	f.noneTwice(bad)
	names, err := f.m.store.Names()
	if err != nil {
		bad("names: %v", err)
	}
	for _, name := range append(names, "another") {
		l, err := f.m.store.Lock(ctx, name, "test", 0)
		if err != nil {
			bad("its lock is left: %v", err)
			continue
		}
		l.Unlock()
	}
	all, err := f.m.List(ctx)
	if err != nil {
		bad("list: %v", err)
	}
	for _, info := range all {
		if info.Status == StatusBroken {
			bad("%s is broken: %s", info.Name, info.Error)
		}
	}
	for _, name := range names {
		f.usable(bad, vps.Name(string(name)))
	}
	for _, name := range []string{"web", "db"} {
		if err := f.m.Destroy(ctx, vps.Name(name), DestroyOptions{Force: true, IfExists: true}); err != nil {
			bad("destroy %s: %v", name, err)
		}
	}
	if err := f.m.DeleteTrash(ctx); err != nil {
		bad("empty the trash: %v", err)
	}
	if err := f.m.RemoveNetwork(ctx, "lan", false); err != nil && !fail.Is(err, fail.NotFound) {
		bad("remove network: %v", err)
	}
	if err := f.m.RemoveTemplate(ctx, "made"); err != nil && !fail.Is(err, fail.NotFound) {
		bad("remove template: %v", err)
	}
	for _, dir := range []string{f.m.store.TrashDir(), filepath.Dir(f.m.store.VPSDir("web"))} { // whose ids are taken
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			bad("%s has %v, %v", filepath.Base(dir), left, err)
		}
	}
	if drafts, err := f.m.store.Drafts(); err != nil || len(drafts) > 0 {
		bad("there are drafts %v, %v", drafts, err)
	}
	if left, err := os.ReadDir(filepath.Join(f.m.store.Root, "frozen")); err != nil || len(left) > 0 {
		bad("there are layers %v, %v", left, err)
	}
	if got := f.w.String(); got != "" {
		bad("after destroy there is\n%s", got)
	}
	if _, err := f.m.Create(ctx, "web", CreateOptions{Template: "t", Published: published()}); err != nil {
		bad("create: %v", err)
	}
	f.owner(bad, "web")
}

// noneTwice checks that no address and no port has two owners.
func (f *faulty) noneTwice(bad func(string, ...any)) {
	owners := map[string]string{}
	take := func(thing, owner string) {
		if other, taken := owners[thing]; taken && other != owner {
			bad("%s has the owners %s and %s", thing, other, owner)
		}
		owners[thing] = owner
	}
	for network, t := range f.m.networkTables().All() {
		for _, c := range t.Claims {
			for _, a := range c.Addresses {
				take(network+" "+a.String(), string(c.Owner))
			}
		}
	}
	entries, _ := f.m.store.All()
	for _, e := range entries {
		for _, p := range e.VPS.Published {
			take(p.Protocol+" "+p.Ports, string(e.Name))
		}
		take(fmt.Sprint("ids ", e.VPS.IDs), string(e.Name))
	}
	kept, err := f.m.store.Kept()
	if err != nil {
		bad("the trash: %v", err)
	}
	for _, t := range kept {
		if t.Err != nil {
			bad("%s in the trash: %v", t.Name, t.Err)
		}
		take(fmt.Sprint("ids ", t.VPS.IDs), t.Dir)
	}
}

// usable checks that name can be resumed or unmounted, started and stopped.
func (f *faulty) usable(bad func(string, ...any), name vps.Name) {
	ctx := context.Background()
	if err := f.m.Umount(ctx, name); err != nil && !fail.Is(err, fail.State) && !fail.Is(err, fail.NotFound) {
		bad("umount %s: %v", name, err)
	}
	err := f.m.Start(ctx, name, StartOptions{})
	if fail.Is(err, fail.NotFound) {
		return // an abandoned one, which any command removes, or one half renamed
	}
	if err != nil && !fail.Is(err, fail.State) {
		bad("start %s: %v", name, err)
	}
	if err := f.m.Resume(ctx, name); err != nil {
		bad("resume %s: %v", name, err)
	}
	if status, err := f.m.status(name); err != nil || status != StatusRunning {
		bad("%s is %s after a start: %v", name, status, err)
	}
	if err := f.m.Stop(ctx, name, StopOptions{Fast: true}); err != nil {
		bad("stop %s: %v", name, err)
	}
	if should, err := f.m.store.ShouldRun(name); should || err != nil {
		bad("%s should run after a stop: %v", name, err)
	}
}

// owner checks that only name has claims.
func (f *faulty) owner(bad func(string, ...any), name vps.Name) {
	for network, t := range f.m.networkTables().All() {
		for _, c := range t.Claims {
			if c.Owner != name {
				bad("network %s: %s still has %v", network, c.Owner, c.Addresses)
			}
		}
	}
}

func published() []vps.Publication {
	return []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}
}

// A templateStore keeps templates in the world.
type templateStore struct {
	fakeTemplates
	w *world
}

func (s templateStore) Derive(_ context.Context, name, base string, _ rootfs.Rootfs, _ template.DeriveOptions) (template.Image, error) {
	image, err := s.Resolve(base)
	if err != nil {
		return image, err
	}
	return image, s.w.effect("make template", func() error { return s.w.put("template", name, "") })
}

// aBackup is what Backup writes, and ImportBackup reads.
type aBackup struct {
	Settings  json.RawMessage
	Snapshots []backups.SnapshotSettings
}

func (s templateStore) Backup(_ context.Context, _ string, r rootfs.Rootfs, w io.Writer, o backups.Options) (layer.LeftOut, error) {
	if err := layersExist(r); err != nil {
		return layer.LeftOut{}, err
	}
	b, err := backupOf(o)
	if err != nil {
		return layer.LeftOut{}, err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return layer.LeftOut{}, err
	}
	return layer.LeftOut{}, s.w.effect("write a backup", func() error { _, err := w.Write(text); return err })
}

func backupOf(o backups.Options) (aBackup, error) {
	b := aBackup{Settings: o.Settings}
	for _, n := range o.Snapshots {
		if err := layersExist(n.Root); err != nil {
			return b, err
		}
		b.Snapshots = append(b.Snapshots, backups.SnapshotSettings{Name: n.Name, Settings: n.Settings})
	}
	return b, nil
}

func layersExist(r rootfs.Rootfs) error {
	for _, f := range r.Frozen {
		if !paths.Exists(f.Dir) {
			return fmt.Errorf("the layer %s is missing", f.Dir)
		}
	}
	return nil
}

func (s templateStore) OpenPush(context.Context, string, template.PushOptions) (backups.Target, error) {
	return backups.Target{}, s.w.effect("reach the registry", func() error { return nil })
}

// PushBackup remembers what it has packed, and uploads the settings alone. If it has copied
// files, the image has one layer for each record of a push.
func (s templateStore) PushBackup(_ context.Context, _ string, r rootfs.Rootfs, _ backups.Target, o backups.Options) (backups.Pushed, error) {
	if err := layersExist(r); err != nil {
		return backups.Pushed{}, err
	}
	record := filepath.Join(o.Records, "record")
	pushes, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return backups.Pushed{}, err
	}
	for _, f := range r.Frozen {
		file := o.Remember(f.Dir)
		if file == "" {
			continue
		}
		if err := s.w.effect("remember a layer", func() error { return os.WriteFile(file, []byte(`{"format":1,"tarSize":7}`), 0o600) }); err != nil {
			return backups.Pushed{}, err
		}
	}
	err = s.w.effect("push a backup", func() error {
		return os.WriteFile(s.w.dir+".backup", fmt.Appendf(nil, `{"Settings":%s}%s`, o.Settings, pushes), 0o600)
	})
	if err == nil && o.Records != "" {
		_ = s.w.effect("keep a record", func() error { // an error is a warning
			if err := os.Mkdir(o.Records, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			return os.WriteFile(record, append(pushes, '\n'), 0o600)
		})
	}
	return backups.Pushed{}, err
}

func (s templateStore) PullBackup(ctx context.Context, _ string, _ template.PullOptions, u backups.Use) error {
	in, err := os.Open(s.w.dir + ".backup")
	if err != nil {
		return err
	}
	defer in.Close()
	return s.ImportBackup(ctx, in, u)
}

func (s templateStore) ImportBackup(_ context.Context, r io.Reader, u backups.Use) error {
	text, err := io.ReadAll(r)
	var b aBackup
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return err
	}
	if _, err := u.Check(b.Settings); err != nil {
		return err
	}
	if len(b.Snapshots) > 0 {
		if err := u.Snapshots(b.Snapshots); err != nil {
			return err
		}
	}
	if err := s.w.effect("unpack a backup", func() error { return nil }); err != nil {
		return err
	}
	image, err := s.Resolve("t")
	if err != nil {
		return err
	}
	image.Digest = backupDigest
	for range bytes.Count(text, []byte("\n")) { // fakeParcel ends them with one for each layer
		image.Layers = append(image.Layers, "sha256:02")
	}
	s.w.backup = image
	if len(b.Snapshots) > 0 {
		return u.UseAll(image, slices.Repeat([]template.Image{image}, len(b.Snapshots)))
	}
	return u.Use(image)
}

// backupDigest is the image of the last backup that was read.
const backupDigest = "sha256:0b"

func (s templateStore) Ensure(ctx context.Context, ref string) (template.Image, error) {
	if ref == backupDigest {
		return s.w.backup, nil
	}
	return s.fakeTemplates.Ensure(ctx, ref)
}

func (s templateStore) UseBelow(ctx context.Context, digest string, n int, u backups.Use) error {
	if err := s.w.effect("make an image of the template", func() error { return nil }); err != nil {
		return err
	}
	return s.fakeTemplates.UseBelow(ctx, digest, n, u)
}

func (s templateStore) ImportSystem(ctx context.Context, y template.System, use func(template.Image) error, used func() (map[string][]string, error)) error {
	if err := s.w.effect("unpack a system", func() error { return nil }); err != nil {
		return err
	}
	return s.fakeTemplates.ImportSystem(ctx, y, use, used)
}

func (s templateStore) Remove(_ context.Context, ref string, used func() (map[string][]string, error)) error {
	if !s.w.has("template", ref) {
		return fail.New(fail.NotFound, "no template %q", ref)
	}
	if _, err := used(); err != nil {
		return err
	}
	return s.w.effect("remove template", func() error { return s.w.drop("template", ref) })
}

func (s templateStore) Prune(_ context.Context, used func() (map[string][]string, error)) error {
	if _, err := used(); err != nil {
		return err
	}
	return s.w.effect("prune templates", func() error { return nil })
}

// Steps that prepare a trial. Some are commands themselves.

var background = context.Background()

func createWeb(f *faulty) error {
	_, err := f.m.Create(background, "web", CreateOptions{Template: "t", Published: published(), Inside: vps.Inside{Access: vps.Access{User: "deploy"}},
		Credentials: []vps.SetCredential{aCredential("token", "1")}})
	return err
}

func createPlainWeb(f *faulty) error {
	_, err := f.m.Create(background, "web", CreateOptions{Template: "t", Storage: vps.StoragePlain})
	return err
}

func startWeb(f *faulty) error { return f.m.Start(background, "web", StartOptions{}) }

func stopWeb(f *faulty) error { return f.m.Stop(background, "web", StopOptions{Fast: true}) }

func checkpointWeb(f *faulty) error { return f.m.Checkpoint(background, "web") }

func pauseWeb(f *faulty) error { return f.m.Pause(background, "web") }

func mountWeb(f *faulty) error { _, err := f.m.Mount(background, "web"); return err }

func keepWeb(f *faulty) error {
	return f.m.Destroy(background, "web", DestroyOptions{Force: true, Keep: time.Hour})
}

func restoreWeb(name vps.Name) func(*faulty) error {
	return func(f *faulty) error {
		_, err := f.m.Restore(background, TrashChoice{Name: "web"}, name, RestoreOptions{Replace: true})
		return err
	}
}

// writeFile gives web a file of its own.
func writeFile(f *faulty) error {
	return os.WriteFile(filepath.Join(upperOfWeb(f), "own"), nil, 0o600)
}

func convertWeb(to vps.Storage) func(*faulty) error {
	return func(f *faulty) error { return f.m.Convert(background, "web", to) }
}

// upperOfWeb is the directory of web's own files.
func upperOfWeb(f *faulty) string {
	v, _ := f.m.store.Get("web")
	return ownOf(rootfs.Rootfs{Dir: f.m.store.FSDir("web"), Tree: v.Tree, Image: f.m.store.DiskImage(v)})
}

// withQuotas makes disks ones with quotas.
func withQuotas(f *faulty) error {
	f.w.quotas = true
	return nil
}

func createPlainWithDisk(f *faulty) error {
	_, err := f.m.Create(background, "web", CreateOptions{Template: "t", Storage: vps.StoragePlain, DiskBytes: 64 << 20})
	return err
}

func createWithDisk(f *faulty) error {
	_, err := f.m.Create(background, "web", CreateOptions{Template: "t", DiskBytes: 64 << 20})
	return err
}

func rebaseWeb(o RebaseOptions) func(*faulty) error {
	return func(f *faulty) error {
		_, err := f.m.Rebase(background, "web", o)
		return err
	}
}

// withOther gives web another file.
func withOther(f *faulty) error {
	return os.WriteFile(filepath.Join(upperOfWeb(f), "other"), nil, 0o600)
}

// reinstallWeb gives web another template and keeps the file of writeFile.
func reinstallWeb(o ReinstallOptions) func(*faulty) error {
	return func(f *faulty) error {
		o.Template, o.Keep = "newer", []string{"/own"}
		_, err := f.m.Reinstall(background, "web", o)
		return err
	}
}

// halfReinstalled says what is wrong if web has neither its former template and all files,
// nor the new one and the file that it keeps.
func halfReinstalled(f *faulty) string {
	v, err := f.m.store.Get("web")
	if err != nil {
		return err.Error()
	}
	root, err := f.m.rootfs(v)
	if err != nil {
		return err.Error()
	}
	has := map[string]bool{}
	for _, l := range append([]rootfs.Frozen{root.Own()}, root.Frozen...) {
		files, _ := os.ReadDir(dirOf(l))
		for _, file := range files {
			has[file.Name()] = true
		}
	}
	if former := v.Template.Name == "t"; !has["own"] || has["other"] != former {
		return fmt.Sprintf("with the template %s it has %v", v.Template.Name, has)
	}
	return ""
}

// halfRestored says what is wrong if web has the files of a snapshot from before its first
// start, and its next start is not the first one, or the other way round.
func halfRestored(f *faulty) string {
	l, v, err := f.m.lockAndLoadAsIs(background, "web")
	if err != nil {
		return err.Error()
	}
	l.Unlock()
	_, err = os.Stat(filepath.Join(upperOfWeb(f), "own"))
	hasOwn := err == nil || len(v.Frozen) > 0
	if first, err := f.m.firstStart("web"); err != nil || first == hasOwn {
		return fmt.Sprintf("its next start is the first one: %v (%v), and it has files of its own: %v", first, err, hasOwn)
	}
	return ""
}

func snapshotWeb(name string) func(*faulty) error {
	return func(f *faulty) error {
		_, err := f.m.CreateSnapshot(background, "web", SnapshotOptions{Name: name, Expire: time.Nanosecond})
		return err
	}
}

func mountSnapshot(f *faulty) error { return f.m.MountSnapshot(background, "web", "one", "/") }

func restoreOne(f *faulty) error { return f.m.RestoreSnapshot(background, "web", "one") }

// exportWeb writes a backup of web beside the world.
func exportWeb(f *faulty) error {
	out, err := os.Create(f.w.dir + ".backup")
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = f.m.Export(background, "web", out, ExportOptions{})
	return err
}

// exportSnapshots is exportWeb with the snapshots of web.
func exportSnapshots(f *faulty) error {
	out, err := os.Create(f.w.dir + ".backup")
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = f.m.Export(background, "web", out, ExportOptions{Snapshots: true})
	return err
}

// withoutSnapshots says that db is there without the snapshots of web.
func withoutSnapshots(f *faulty) string {
	if _, err := f.m.store.Get("db"); fail.Is(err, fail.NotFound) {
		return ""
	}
	want, err1 := f.m.Snapshots(background, "web")
	got, err2 := f.m.Snapshots(background, "db")
	if err := errors.Join(err1, err2); err != nil || len(got) != 2 || len(want) != 2 {
		return fmt.Sprintf("db has the snapshots %+v, %v", got, err)
	}
	for n, one := range want {
		if one.VPS, one.Layers = "db", 0; !reflect.DeepEqual(got[n], one) {
			return fmt.Sprintf("db has the snapshot %+v and not %+v", got[n], one)
		}
	}
	if err := errors.Join(f.m.RestoreSnapshot(background, "db", "two"), f.m.RestoreSnapshot(background, "db", "one")); err != nil {
		return err.Error()
	}
	return ""
}

func importWeb(name vps.Name) func(*faulty) error {
	return func(f *faulty) error {
		in, err := os.Open(f.w.dir + ".backup")
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = f.m.Import(background, in, ImportOptions{Name: name})
		return err
	}
}

// adoptWeb makes a VPS of a container of LXC beside the world.
func adoptWeb(f *faulty) error {
	dir := filepath.Join(f.w.dir+".lxc", "web")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "rootfs", "etc"), 0o700),
		os.WriteFile(filepath.Join(dir, "config"), []byte("lxc.uts.name = web\nlxc.cgroup2.memory.max = 64M\nlxc.net.0.type = veth\n"), 0o600))
	if err != nil {
		return err
	}
	found, err := f.m.OpenForeign(background, ForeignOptions{Path: dir})
	if err != nil {
		return err
	}
	defer found.Close()
	_, err = f.m.Adopt(background, found.Name, found, AdoptOptions{CreateOptions: CreateOptions{Limits: found.Settings.Limits, Published: published()}})
	return err
}

func importEdited(f *faulty) error {
	in, err := os.Open(f.w.dir + ".backup")
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = f.m.Import(background, in, ImportOptions{Name: "db", Edits: editsOfNew})
	return err
}

// editsOfNew change the settings and the files of a new VPS.
var editsOfNew = []vps.Edit{vps.SetHostname{Hostname: "other"}, vps.SetConnections{Limit: 700}, aCredential("key", "3"), someUser}

// withoutEdits says that db is there without its edits.
func withoutEdits(f *faulty) string {
	v, err := f.m.store.Get("db")
	if fail.Is(err, fail.NotFound) {
		return ""
	}
	limit := int64(0)
	for _, i := range f.m.side(v).Interfaces {
		limit = i.Connections
	}
	files := f.w.changedInside(v.IDs.First)
	if err != nil || v.Hostname != "other" || limit != 700 || files != someUser.String() || v.Creator != (vps.Runner{}) {
		return fmt.Sprintf("db has the host name %q, the limit %d, the files %q and the creator %+v (%v)", v.Hostname, limit, files, v.Creator, err)
	}
	return ""
}

func pushWeb(f *faulty) error {
	_, err := f.m.Push(background, "web", "registry.example/web", PushOptions{})
	return err
}

func createFrom(name vps.Name) func(*faulty) error {
	return func(f *faulty) error {
		_, err := f.m.CreateFrom(background, "registry.example/web", ImportOptions{Name: name})
		return err
	}
}

func destroyWeb(f *faulty) error {
	return f.m.Destroy(background, "web", DestroyOptions{Force: true})
}

func cloneWeb(o CloneOptions) func(*faulty) error {
	return func(f *faulty) error {
		o.From, o.Edits = "web", editsOfNew
		_, err := f.m.Clone(background, "db", o)
		return err
	}
}

// loseMonitor kills the monitor of web, but not its init.
func loseMonitor(f *faulty) error { return f.w.letGo("web").Close() }

// loseInit ends the init of web too, as a reboot does.
func loseInit(f *faulty) error { return f.w.endInit("web") }

func createLAN(f *faulty) error {
	_, err := f.m.CreateNetwork(background, NetworkSettings{Name: "lan"})
	return err
}

func deriveWeb(f *faulty) error {
	_, err := f.m.CreateTemplate(background, "made", "web", TemplateCreate{})
	return err
}

// credentials are the names and the content of the files of credentials.
func (f *faulty) credentials(name vps.Name) []string {
	var all []string
	dir := paths.Credentials(f.m.store.VPSDir(name))
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		all = append(all, fmt.Sprintf("%s %s %v", e.Name(), text, err))
	}
	script, err := os.ReadFile(filepath.Join(f.m.store.VPSDir(name), "first-boot"))
	if err == nil {
		all = append(all, fmt.Sprintf("first-boot %s", script))
	}
	return all
}

func changeWeb(edits ...vps.Edit) func(*faulty) error {
	return func(f *faulty) error { return f.m.Change(background, "web", edits...) }
}

func createVolume(f *faulty) error { return f.m.CreateVolume(background, "data") }

func aMount(source, target string) vps.Edit {
	return vps.AddMount{Mount: vps.Mount{Kind: vps.MountHost, Source: source, Target: target}}
}

var aTmpfs = vps.AddMount{Mount: vps.Mount{Kind: vps.MountTmpfs, Target: "/cache"}}

func aCredential(name, version string) vps.SetCredential {
	return vps.SetCredential{Credential: vps.Credential{Name: name, Version: version}, Value: []byte("secret")}
}

var (
	aScript    = vps.SetFirstBoot{Script: []byte("true\n")}
	someRule   = vps.AddRules{Rules: []vps.FirewallRule{{Chain: vps.ChainInput, Action: "deny", Protocol: "tcp", Ports: []string{"25"}}}}
	someRoute  = vps.AddRoute{Route: vps.Route{Destination: "192.0.2.0/24", Dev: "eth0"}}
	someDevice = vps.AddDevice{Device: vps.Device{Source: "/dev/sdb", Access: "r"}}
	someRate   = vps.SetRate{In: bits(1_000_000)}
	someUser   = vps.ChangeInside{Inside: vps.Inside{Access: vps.Access{User: "deploy"}}}
)

// anotherAddress returns the n-th address of the default network for a test. No VPS has
// it.
func anotherAddress(f *faulty, n int) (netip.Addr, error) {
	t, err := f.m.networkTables().Get(DefaultNetwork)
	if err != nil {
		return netip.Addr{}, err
	}
	a := t.IPv4.Addr()
	for range 40 + n {
		a = a.Next()
	}
	return a, nil
}

// timedOut ignores that a stop killed the VPS: a process that only sleeps does not shut
// down.
func timedOut(err error) error {
	if fail.Is(err, fail.Timeout) {
		return nil
	}
	return err
}

// eachOf joins the errors of a command for many VPSs.
func eachOf(results []HostResult, err error) error {
	for _, r := range results {
		err = errors.Join(err, timedOut(r.Err))
	}
	return err
}

// runCommand is croft run. No command can be executed in this world. That error is
// ignored if the VPS is destroyed afterwards.
func runCommand(f *faulty) error {
	o := RunOptions{CreateOptions: CreateOptions{Template: "t"}, Name: "web", Remove: true, Exec: ExecOptions{Args: []string{"true"}}}
	_, err := f.m.Run(background, o)
	if errors.Is(err, errWorld) || fail.Is(err, fail.Taken) {
		return err
	}
	if paths.Exists(f.m.store.VPSDir("web")) && f.w.last == "" {
		return fmt.Errorf("the VPS is left: %w", err)
	}
	return nil
}

// interfaces is a trial of edits that add and remove interfaces of web. If it was killed
// at its end, all is done.
func interfaces(name string, ready []func(*faulty) error, edits ...vps.Edit) trial {
	return trial{name: name, method: "Change", ready: ready, undone: true, edits: edits, do: func(f *faulty) error {
		err := f.m.Change(background, "web", edits...)
		v, e := f.m.store.Get("web")
		if e != nil {
			return e
		}
		for _, edit := range edits {
			add, adds := edit.(vps.AddInterface)
			remove, removes := edit.(vps.RemoveInterface)
			has := slices.ContainsFunc(v.Interfaces, func(i vps.Interface) bool { return i.Network == add.Network || i.Network == remove.Name })
			if adds && !has || removes && len(edits) == 1 && has {
				return err
			}
		}
		if fail.Is(err, fail.Usage) || fail.Is(err, fail.NotFound) {
			return nil
		}
		return err
	}}
}

// commands returns all commands that change something.
func commands() []trial {
	type steps = []func(*faulty) error
	stopped, running := steps{createWeb}, steps{createWeb, startWeb}
	plain := steps{createPlainWeb}
	withRule, withRoute := append(slices.Clone(running), changeWeb(someRule)), append(slices.Clone(running), changeWeb(someRoute))
	withAll := append(slices.Clone(running), changeWeb(someRule, someRoute, someRate, vps.SetConnections{Limit: 900}, someDevice), func(f *faulty) error {
		a, err := anotherAddress(f, 0)
		if err != nil {
			return err
		}
		return f.m.Change(background, "web", vps.AddAddress{Address: a})
	})
	stop := func(o StopOptions) func(*faulty) error {
		return func(f *faulty) error { return timedOut(f.m.Stop(background, "web", o)) }
	}
	change := []vps.Edit{vps.SetOnBoot{OnBoot: vps.OnBootYes}, someRate, vps.SetConnections{Limit: 900}}
	others := []vps.Edit{
		vps.SetBootOrder{Order: 3}, vps.SetProtected{}, restartsAlways, vps.LimitMemory.Set(64 << 20), vps.SetHostname{Hostname: "other"}, vps.SetServers{Servers: []string{"192.0.2.53"}}, vps.SetLabel{Key: "tier", Value: "web"}, vps.SetRate{Out: bits(2_000_000)}, vps.SetConnections{Limit: 400}, vps.SetPolicy{Chain: vps.ChainInput, Policy: vps.PolicyDrop},
		vps.FlushRoutes{}, vps.AddRouteRule{Rule: vps.RouteRule{From: "192.0.2.0/24", Table: 100}},
		vps.RemoveDevice{Name: "/dev/sdb"}, vps.AddDevice{Device: vps.Device{Source: "/dev/kvm", Mode: "0666"}},
		vps.UnpublishAll{}, vps.Publish{Ports: []vps.Publication{{Protocol: "udp", Ports: "53", To: "53"}}},
	}
	withMount := append(slices.Clone(running), createVolume, changeWeb(aMount("/srv/data", "/data"), aTmpfs))
	return []trial{
		{name: "create", method: "Create", do: createWeb, undone: true},
		{name: "create with plain storage", method: "Create", do: createPlainWeb, undone: true},
		{name: "start", method: "Start", ready: stopped, do: startWeb, undone: true},
		{name: "stop --fast", method: "Stop", ready: running, do: stop(StopOptions{Fast: true})},
		{name: "stop", method: "Stop", ready: running, do: stop(StopOptions{Timeout: time.Millisecond})},
		{name: "stop without a monitor", method: "Stop", ready: append(slices.Clone(running), loseMonitor), do: stop(StopOptions{Timeout: time.Millisecond})},
		{name: "kill", method: "Kill", ready: running, do: func(f *faulty) error { return f.m.Kill(background, "web", syscall.SIGKILL) }},
		{name: "restart", method: "Restart", ready: running, do: func(f *faulty) error {
			return f.m.Restart(background, "web", StopOptions{Fast: true}, StartOptions{})
		}},
		{name: "restart of a stopped one", method: "Restart", ready: stopped, do: func(f *faulty) error {
			return f.m.Restart(background, "web", StopOptions{Fast: true}, StartOptions{})
		}},
		{name: "reboot from inside", ready: running, hides: true, do: func(f *faulty) error {
			if !f.w.holds("web") {
				return nil // killed, with the process
			}
			return fakeMonitors{f.w, f.m}.reboot(background, "web")
		}},
		{name: "restart after a crash", ready: append(slices.Clone(running), changeWeb(restartsAlways)), hides: true, do: func(f *faulty) error {
			if !f.w.holds("web") {
				return nil // killed, with the process
			}
			return fakeMonitors{f.w, f.m}.ends(background, "web", crashed)
		}},
		{name: "adoption", method: "Inspect", ready: append(slices.Clone(running), loseMonitor), do: func(f *faulty) error {
			_, err := f.m.Inspect(background, "web")
			return err
		}},
		{name: "start of one that ended without a monitor", method: "Inspect", ready: append(slices.Clone(running), loseMonitor, loseInit), do: func(f *faulty) error {
			_, err := f.m.Inspect(background, "web")
			return err
		}},
		{name: "checkpoint", method: "Checkpoint", ready: running, undone: true, do: checkpointWeb},
		{name: "start from a checkpoint", method: "Start", ready: append(slices.Clone(running), checkpointWeb), undone: true, do: startWeb},
		{name: "start --cold", method: "Start", ready: append(slices.Clone(running), checkpointWeb), do: func(f *faulty) error {
			return f.m.Start(background, "web", StartOptions{Cold: true})
		}},
		{name: "pause", method: "Pause", ready: running, do: pauseWeb},
		{name: "resume", method: "Resume", ready: append(slices.Clone(running), pauseWeb), do: func(f *faulty) error { return f.m.Resume(background, "web") }},
		{name: "run --rm", method: "Run", hides: true, do: runCommand},
		{name: "mount", method: "Mount", ready: stopped, do: mountWeb},
		{name: "umount", method: "Umount", ready: append(slices.Clone(stopped), mountWeb), do: func(f *faulty) error { return f.m.Umount(background, "web") }},
		edit("set", running, change...),
		edit("set --user", running, append([]vps.Edit{someUser, vps.LimitMemory.Set(64 << 20)}, change...)...),
		edit("set --credential", running, append([]vps.Edit{aCredential("token", "2"), aCredential("key", "3"), vps.RemoveCredential{Name: "key"}}, change...)...),
		edit("set --first-boot", running, append([]vps.Edit{aScript}, change...)...),
		{name: "start with a first-boot script", method: "Start", ready: append(slices.Clone(stopped), changeWeb(aScript)), do: startWeb, undone: true},
		edit("set --user of a stopped one", stopped, someUser, vps.SetConnections{Limit: 400}),
		{name: "set of a stopped one", method: "Change", ready: stopped, undone: true, filesOnly: true, edits: change, do: changeWeb(change...)},
		{name: "set --ip-add", method: "Change", ready: withAll, undone: true, edits: []vps.Edit{vps.AddAddress{}}, do: func(f *faulty) error {
			a, err := anotherAddress(f, 1)
			if err != nil {
				return err
			}
			return f.m.Change(background, "web", vps.AddAddress{Address: a})
		}},
		{name: "settings of every kind", method: "Change", ready: withAll, undone: true, edits: others, do: func(f *faulty) error {
			more, err1 := anotherAddress(f, 1)
			less, err2 := anotherAddress(f, 0)
			edits := append(slices.Clone(others), vps.AddAddress{Address: more}, vps.RemoveAddress{Address: less})
			err := errors.Join(err1, err2, f.m.Change(background, "web", edits...))
			if fail.Is(err, fail.NotFound) {
				return nil // it was killed at the end, when all was done
			}
			return err
		}},
		interfaces("set --network-add", append(slices.Clone(withAll), createLAN), vps.AddInterface{Network: "lan", MAC: "02:00:00:00:00:07"}),
		interfaces("set --network-del", append(slices.Clone(withAll), createLAN, changeWeb(vps.AddInterface{Network: "lan"})), vps.RemoveInterface{Name: "lan"}),
		interfaces("set of another network", append(slices.Clone(running), createLAN), vps.RemoveInterface{Name: DefaultNetwork}, vps.AddInterface{Network: "lan"}),
		interfaces("set --network-add of a stopped one", append(slices.Clone(stopped), createLAN), vps.AddInterface{Network: "lan"}),
		edit("set --device-add", running, someDevice),
		edit("set --device-del", withAll, vps.RemoveDevice{Name: "/dev/sdb"}),
		{name: "start with a device", method: "Start", ready: append(slices.Clone(stopped), changeWeb(someDevice)), do: startWeb, undone: true},
		edit("set --mount-add", append(slices.Clone(running), createVolume), aMount("/srv/data", "/data"), aTmpfs, vps.AddMount{Mount: vps.Mount{Kind: vps.MountVolume, Source: "data", Target: "/data/volume"}}),
		edit("set --mount-del", withMount, vps.RemoveMount{Target: "/data"}, vps.RemoveMount{Target: "/cache"}),
		edit("set --mount-add of another on the same target", withMount, vps.RemoveMount{Target: "/data"}, aMount("/srv/other", "/data")),
		{name: "start with mounts", method: "Start", ready: append(slices.Clone(stopped), changeWeb(aMount("/srv/data", "/data"), aTmpfs)), do: startWeb, undone: true},
		{name: "reboot with mounts from inside", ready: withMount, hides: true, do: func(f *faulty) error {
			if !f.w.holds("web") {
				return nil // killed, with the process
			}
			return fakeMonitors{f.w, f.m}.reboot(background, "web")
		}},
		{name: "volume create", method: "CreateVolume", filesOnly: true, undone: true, do: createVolume},
		{name: "volume remove", method: "RemoveVolume", filesOnly: true, ready: steps{createVolume}, do: func(f *faulty) error { return f.m.RemoveVolume(background, "data") }},
		edit("firewall add", running, someRule),
		edit("firewall remove", withRule, vps.RemoveRules{Chosen: []vps.FirewallChoice{{Number: 1}}}),
		edit("firewall policy", withRule, vps.SetPolicy{Chain: vps.ChainInput, Policy: vps.PolicyDrop}),
		edit("firewall flush", withRule, vps.FlushFirewall{}),
		edit("firewall apply", withRule, vps.Reapply{What: vps.PartFirewall}),
		edit("route add", running, someRoute),
		edit("route rule", withRoute, vps.AddRouteRule{Rule: vps.RouteRule{From: "192.0.2.0/24", Table: 100, Priority: 1000}}),
		edit("route remove", withRoute, vps.RemoveRoutes{Chosen: []vps.RouteChoice{{Number: 1}}}),
		edit("route flush", withRoute, vps.FlushRoutes{}),
		edit("route apply", withRoute, vps.Reapply{What: vps.PartRouting}),
		edit("publish", running, vps.Publish{Ports: []vps.Publication{{Protocol: "udp", Ports: "53", To: "53"}}}),
		edit("publish remove", running, vps.Unpublish{Chosen: []vps.PublicationChoice{{Number: 1}}}),
		edit("publish remove --all", running, vps.UnpublishAll{}),
		{name: "template create", method: "CreateTemplate", ready: running, do: deriveWeb},
		{name: "template remove", method: "RemoveTemplate", ready: append(slices.Clone(stopped), deriveWeb), do: func(f *faulty) error {
			return f.m.RemoveTemplate(background, "made")
		}},
		{name: "template prune", method: "PruneTemplates", ready: stopped, do: func(f *faulty) error { return f.m.PruneTemplates(background) }},
		{name: "network create", method: "CreateNetwork", undone: true, do: createLAN},
		{name: "network remove", method: "RemoveNetwork", ready: steps{createLAN}, do: func(f *faulty) error {
			return f.m.RemoveNetwork(background, "lan", false)
		}},
		{name: "network set", method: "SetNetwork", ready: running, filesOnly: true, do: func(f *faulty) error {
			return f.m.SetNetwork(background, DefaultNetwork, NetworkChange{Names: new(false)})
		}},
		{name: "network repair", method: "RepairNetwork", ready: running, do: func(f *faulty) error {
			return errors.Join(f.w.drop("link", "web"), f.m.RepairNetwork(background, DefaultNetwork))
		}},
		{name: "rename", method: "Rename", ready: stopped, do: func(f *faulty) error { return f.m.Rename(background, "web", "db") }},
		{name: "destroy", method: "Destroy", ready: stopped, do: func(f *faulty) error { return f.m.Destroy(background, "web", DestroyOptions{}) }},
		{name: "destroy --force", method: "Destroy", ready: running, do: func(f *faulty) error {
			return f.m.Destroy(background, "web", DestroyOptions{Force: true})
		}},
		{name: "destroy --keep", method: "Destroy", ready: running, do: keepWeb},
		{name: "trash restore", method: "Restore", ready: append(slices.Clone(withAll), keepWeb), undone: true, filesOnly: true, do: restoreWeb("web")},
		{name: "trash restore to another name", method: "Restore", ready: append(slices.Clone(stopped), keepWeb, createWeb), undone: true, filesOnly: true, do: restoreWeb("db")},
		{name: "trash empty", method: "DeleteTrash", ready: append(slices.Clone(stopped), keepWeb), filesOnly: true, do: func(f *faulty) error {
			return f.m.DeleteTrash(background)
		}},
		{name: "create with a disk", method: "Create", do: createWithDisk, undone: true},
		edit("set a disk", append(slices.Clone(stopped), writeFile), vps.SetDisk{Bytes: 64 << 20}),
		edit("set a smaller disk", append(slices.Clone(stopped), writeFile, changeWeb(vps.SetDisk{Bytes: 64 << 20})), vps.SetDisk{Bytes: 32 << 20}),
		edit("set a larger disk", steps{createWithDisk}, vps.SetDisk{Bytes: 128 << 20}),
		edit("set no disk", append(slices.Clone(stopped), writeFile, changeWeb(vps.SetDisk{Bytes: 64 << 20})), vps.SetDisk{}),
		{name: "create plain with a disk", method: "Create", do: createPlainWithDisk, undone: true},
		edit("set a disk of a plain one", append(slices.Clone(plain), writeFile), vps.SetDisk{Bytes: 64 << 20}),
		edit("set a smaller disk of a plain one", steps{createPlainWithDisk, writeFile}, vps.SetDisk{Bytes: 32 << 20}),
		edit("set no disk of a plain one", steps{createPlainWithDisk, writeFile}, vps.SetDisk{}),
		{name: "convert a disk to plain", method: "Convert", ready: steps{createWithDisk, writeFile, snapshotWeb("one"), writeFile}, undone: true, do: convertWeb(vps.StoragePlain)},
		{name: "convert a plain disk to overlay", method: "Convert", ready: steps{createPlainWithDisk, writeFile}, undone: true, do: convertWeb(vps.StorageOverlay)},
		{name: "snapshot create of a plain disk", method: "CreateSnapshot", ready: steps{createPlainWithDisk, writeFile}, do: snapshotWeb("one")},
		{name: "snapshot restore of a plain disk", method: "RestoreSnapshot", ready: steps{createPlainWithDisk, writeFile, snapshotWeb("one"), writeFile}, do: restoreOne},
		{name: "snapshot restore of a disk that was plain", method: "RestoreSnapshot", ready: steps{createPlainWithDisk, writeFile, snapshotWeb("one"), convertWeb(vps.StorageOverlay)}, do: restoreOne},
		{name: "clone of a plain disk", method: "Clone", ready: steps{createPlainWithDisk, writeFile}, partial: withoutEdits, do: cloneWeb(CloneOptions{})},
		{name: "create with a quota", method: "Create", ready: steps{withQuotas}, do: createWithDisk, undone: true},
		edit("set a quota", append(steps{withQuotas}, append(slices.Clone(stopped), writeFile)...), vps.SetDisk{Bytes: 64 << 20}),
		edit("set a larger quota", steps{withQuotas, createWithDisk, startWeb}, vps.SetDisk{Bytes: 128 << 20}),
		edit("set a smaller quota", steps{withQuotas, createWithDisk, startWeb}, vps.SetDisk{Bytes: 32 << 20}, vps.SetInodes{Inodes: 5000}),
		edit("set no quota", steps{withQuotas, createWithDisk, writeFile}, vps.SetDisk{}),
		{name: "convert a quota to plain", method: "Convert", ready: steps{withQuotas, createWithDisk, writeFile}, undone: true, do: convertWeb(vps.StoragePlain)},
		{name: "snapshot restore of a quota", method: "RestoreSnapshot", ready: steps{withQuotas, createWithDisk, writeFile, snapshotWeb("one"), writeFile}, do: restoreOne},
		{name: "snapshot create of a disk", method: "CreateSnapshot", ready: steps{createWithDisk, writeFile}, do: snapshotWeb("one")},
		{name: "snapshot restore of a disk", method: "RestoreSnapshot", ready: steps{createWithDisk, writeFile, snapshotWeb("one"), writeFile}, do: func(f *faulty) error {
			return f.m.RestoreSnapshot(background, "web", "one")
		}},
		{name: "snapshot create", method: "CreateSnapshot", ready: append(slices.Clone(stopped), writeFile), do: snapshotWeb("one")},
		{name: "snapshot create of a running one", method: "CreateSnapshot", ready: append(slices.Clone(running), writeFile), do: snapshotWeb("one")},
		{name: "snapshot restore", method: "RestoreSnapshot", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), writeFile), do: func(f *faulty) error {
			return f.m.RestoreSnapshot(background, "web", "one")
		}},
		{name: "snapshot restore of one from before the first start", method: "RestoreSnapshot", ready: steps{createWeb, snapshotWeb("one"), startWeb, stopWeb, writeFile}, partial: halfRestored, do: restoreOne},
		{name: "snapshot delete", method: "DeleteSnapshot", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one")), filesOnly: true, do: func(f *faulty) error {
			return f.m.DeleteSnapshot(background, "web", "one")
		}},
		{name: "snapshot prune", method: "PruneSnapshots", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one")), filesOnly: true, do: func(f *faulty) error {
			_, err := f.m.PruneSnapshots(background, "web")
			return err
		}},
		{name: "export", method: "Export", ready: append(slices.Clone(stopped), writeFile), do: exportWeb},
		{name: "export of a running one", method: "Export", ready: append(slices.Clone(running), writeFile), do: exportWeb},
		{name: "import", method: "Import", ready: append(slices.Clone(withAll), exportWeb, destroyWeb), undone: true, do: importWeb("")},
		{name: "import beside it", method: "Import", ready: append(slices.Clone(running), exportWeb), undone: true, do: importWeb("db")},
		{name: "adopt", method: "Adopt", undone: true, do: adoptWeb},
		{name: "export of a plain one", method: "Export", ready: append(slices.Clone(plain), writeFile), do: exportWeb},
		{name: "export of a plain running one", method: "Export", ready: append(slices.Clone(plain), startWeb, writeFile), do: exportWeb},
		{name: "export of a disk", method: "Export", ready: steps{createWithDisk, writeFile}, do: exportWeb},
		{name: "import of a plain one", method: "Import", ready: append(slices.Clone(plain), writeFile, exportWeb, destroyWeb), undone: true, do: importWeb("")},
		{name: "import with edits", method: "Import", ready: append(slices.Clone(stopped), exportWeb), undone: true, partial: withoutEdits, do: importEdited},
		{name: "export --snapshots", method: "Export", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), writeFile), do: exportSnapshots},
		{name: "export --snapshots of a running one", method: "Export", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), startWeb), do: exportSnapshots},
		{name: "export --snapshots of a plain one", method: "Export", ready: append(slices.Clone(plain), writeFile, snapshotWeb("one")), do: exportSnapshots},
		{name: "import with snapshots", method: "Import", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), writeFile, snapshotWeb("two"), exportSnapshots), undone: true, partial: withoutSnapshots, do: importWeb("db")},
		{name: "import with edits and snapshots", method: "Import", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), startWeb, snapshotWeb("two"), exportSnapshots), undone: true, partial: withoutSnapshots, do: importEdited},
		{name: "import of a disk with snapshots", method: "Import", ready: steps{createWithDisk, writeFile, snapshotWeb("one"), snapshotWeb("two"), exportSnapshots}, undone: true, partial: withoutSnapshots, do: importWeb("db")},
		{name: "import of a plain one with snapshots", method: "Import", ready: append(slices.Clone(plain), writeFile, snapshotWeb("one"), snapshotWeb("two"), exportSnapshots), undone: true, partial: withoutSnapshots, do: importWeb("db")},
		{name: "push", method: "Push", ready: append(slices.Clone(stopped), writeFile), do: pushWeb},
		{name: "push again", method: "Push", ready: append(slices.Clone(stopped), writeFile, pushWeb, writeFile), do: pushWeb},
		{name: "push of a running one", method: "Push", ready: append(slices.Clone(running), writeFile), do: pushWeb},
		{name: "push of a running one again", method: "Push", ready: append(slices.Clone(running), writeFile, pushWeb, writeFile), do: pushWeb},
		{name: "push of a plain one again", method: "Push", ready: append(slices.Clone(plain), writeFile, pushWeb, writeFile), do: pushWeb},
		{name: "push of a disk again", method: "Push", ready: steps{createWithDisk, writeFile, pushWeb, writeFile}, do: pushWeb},
		{name: "create --from of a plain one with changes", method: "CreateFrom", ready: append(slices.Clone(plain), pushWeb, writeFile, pushWeb, pushWeb, destroyWeb), undone: true, do: createFrom("web")},
		{name: "create --from of a disk with changes", method: "CreateFrom", ready: steps{createWithDisk, pushWeb, writeFile, pushWeb, pushWeb, destroyWeb}, undone: true, do: createFrom("web")},
		{name: "create --from", method: "CreateFrom", ready: append(slices.Clone(withAll), pushWeb, destroyWeb), undone: true, do: createFrom("web")},
		{name: "snapshot mount", method: "MountSnapshot", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one")), do: mountSnapshot},
		{name: "snapshot umount", method: "UmountSnapshot", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), mountSnapshot), do: func(f *faulty) error {
			return f.m.UmountSnapshot(background, "web", "one")
		}},
		{name: "destroy with a mounted snapshot", method: "Destroy", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), mountSnapshot), do: func(f *faulty) error {
			return f.m.Destroy(background, "web", DestroyOptions{})
		}},
		{name: "clone", method: "Clone", ready: append(slices.Clone(stopped), writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{})},
		{name: "clone --full", method: "Clone", ready: append(slices.Clone(stopped), writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{Full: true})},
		{name: "clone of a running one", method: "Clone", ready: append(slices.Clone(running), writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{})},
		{name: "clone of a snapshot", method: "Clone", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{Snapshot: "one"})},
		{name: "snapshot create of a plain one", method: "CreateSnapshot", ready: append(slices.Clone(plain), writeFile), do: snapshotWeb("one")},
		{name: "snapshot create of a plain running one", method: "CreateSnapshot", ready: append(slices.Clone(plain), startWeb, writeFile), do: snapshotWeb("one")},
		{name: "snapshot restore of a plain one", method: "RestoreSnapshot", ready: append(slices.Clone(plain), writeFile, snapshotWeb("one"), writeFile), do: restoreOne},
		{name: "snapshot restore to a plain one", method: "RestoreSnapshot", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), convertWeb(vps.StoragePlain)), do: restoreOne},
		{name: "clone of a plain one", method: "Clone", ready: append(slices.Clone(plain), writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{})},
		{name: "clone of a plain running one", method: "Clone", ready: append(slices.Clone(plain), startWeb, writeFile), partial: withoutEdits, do: cloneWeb(CloneOptions{})},
		{name: "clone of a snapshot of a plain one", method: "Clone", ready: append(slices.Clone(plain), writeFile, snapshotWeb("one")), partial: withoutEdits, do: cloneWeb(CloneOptions{Snapshot: "one"})},
		{name: "convert to plain", method: "Convert", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), writeFile), undone: true, do: convertWeb(vps.StoragePlain)},
		{name: "convert to overlay", method: "Convert", ready: append(slices.Clone(plain), writeFile), undone: true, do: convertWeb(vps.StorageOverlay)},
		{name: "rebase", method: "Rebase", ready: append(slices.Clone(stopped), writeFile), do: rebaseWeb(RebaseOptions{Template: "newer", NoTrial: true})},
		{name: "rebase with a trial that fails", method: "Rebase", ready: append(slices.Clone(stopped), writeFile), do: func(f *faulty) error {
			err := rebaseWeb(RebaseOptions{Template: "newer", Timeout: time.Nanosecond})(f)
			if fail.Is(err, fail.Timeout) && !errors.Is(err, errWorld) { // no guest of the world says that it has booted
				err = nil
			}
			return err
		}},
		{name: "reinstall", method: "Reinstall", ready: append(slices.Clone(stopped), writeFile, withOther), partial: halfReinstalled, do: reinstallWeb(ReinstallOptions{})},
		{name: "reinstall of one with a snapshot", method: "Reinstall", ready: append(slices.Clone(stopped), writeFile, snapshotWeb("one"), withOther), partial: halfReinstalled, do: reinstallWeb(ReinstallOptions{})},
		{name: "reinstall with edits", method: "Reinstall", ready: append(slices.Clone(stopped), writeFile, withOther), partial: halfReinstalled, do: reinstallWeb(ReinstallOptions{
			NoSnapshot: true, Edits: []vps.Edit{vps.SetFit{Fit: vps.FitNone}, vps.ChangeInside{Inside: vps.Inside{Access: vps.Access{User: "deploy"}}}},
		})},
		{name: "reinstall of a plain one", method: "Reinstall", ready: append(slices.Clone(plain), writeFile, withOther), partial: halfReinstalled, do: reinstallWeb(ReinstallOptions{})},
		{name: "reinstall of a disk", method: "Reinstall", ready: steps{createWithDisk, writeFile, withOther}, undone: true, partial: halfReinstalled, do: reinstallWeb(ReinstallOptions{NoSnapshot: true})},
		{name: "destroy of one that was cloned", method: "Destroy", ready: append(slices.Clone(stopped), writeFile, cloneWeb(CloneOptions{})), do: func(f *faulty) error {
			return f.m.Destroy(background, "web", DestroyOptions{})
		}},
		{name: "destroy of one that was protected", ready: append(slices.Clone(stopped), changeWeb(vps.SetProtected{Protected: true})), method: "Destroy", do: func(f *faulty) error {
			if err := changeWeb(vps.SetProtected{})(f); err != nil {
				return err
			}
			return f.m.Destroy(background, "web", DestroyOptions{})
		}},
		{name: "host boot", method: "BootHost", ready: append(slices.Clone(stopped), changeWeb(vps.SetOnBoot{OnBoot: vps.OnBootYes})), do: func(f *faulty) error {
			return eachOf(f.m.BootHost(background, StartOptions{}, func(HostResult) {}))
		}},
		{name: "host shutdown", method: "ShutdownHost", ready: running, do: func(f *faulty) error {
			return eachOf(f.m.ShutdownHost(background, ShutdownOptions{Timeout: time.Millisecond}, func(HostResult) {}))
		}},
	}
}

// Every method of Manager is in the table, or changes nothing in the world because it
// only reads, copies or writes files of a VPS, or belongs to the template store. Moves need
// two hosts: TestMoveWithFailingEffects and TestMoveDiesAtAnyEffect are theirs.
func TestCommandsAreComplete(t *testing.T) {
	others := strings.Fields(`
		AllPublished Bundle CheckHost Console Diff Doctor DoctorHost Enter Events Exec Firewall Inspect List Logs Network Networks OpenForeign Processes Published ReadText
		Copy Names NamesHere Routing Settings SnapshotSettings Snapshots Stats Template Templates Trash TrashNames Volume Volumes Wait WriteText
		BuildTemplate ExportTemplate ImportTemplate PullTemplate PushTemplate TagTemplate UntagTemplate UpdateTemplate CheckTemplate SearchImages ImageServers AddImageServer RemoveImageServer
		AbortMove Move ReceiveMove SettleMove TakeMove`)
	covered := map[string]bool{}
	for _, c := range commands() {
		covered[c.method] = true
	}
	manager := reflect.TypeFor[*Manager]()
	for i := range manager.NumMethod() {
		if name := manager.Method(i).Name; !covered[name] && !slices.Contains(others, name) {
			t.Errorf("%s is not in the table of commands", name)
		}
	}
	parts := map[vps.Part]bool{}
	for _, c := range commands() {
		maps.Copy(parts, vps.Parts(c.edits...))
	}
	for _, a := range appliers() {
		if !parts[a.part] {
			t.Errorf("no command of the table changes %s", a.part)
		}
	}
}
