package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"croft/cli/command"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// A fake is a Manager without VPSs. It records every call, a line each, fails the
// calls in refuse, and knows three VPSs: web runs, db is stopped, bad is broken.
type fake struct {
	o      runtime.Options
	calls  string            // the file for the calls
	refuse map[string]string // "Start web": "5 web is running|croft stop web"
	status int               // exit status of commands inside
	looks  int               // number of calls of Stats
	log    string            // console log of every VPS
	config string            // the directory of the configuration, for its recipes

	changed map[vps.Name]vps.VPS // by Change
}

// newFake returns a fake that behaves as the environment says.
func newFake(o runtime.Options, getenv func(string) string) (command.Manager, error) {
	f := pretend(getenv)
	f.o = o
	return f, f.call("New", "", map[string]any{"Root": o.Root, "Run": o.Run, "Config": o.Config, "CgroupManager": o.CgroupManager, "LockTimeout": o.LockTimeout, "Command": o.Command})
}

func pretend(getenv func(string) string) *fake {
	f := &fake{calls: getenv("FAKE_CALLS"), refuse: map[string]string{}, changed: map[vps.Name]vps.VPS{}}
	for line := range strings.SplitSeq(getenv("FAKE_REFUSE"), ";") {
		call, why, _ := strings.Cut(line, ": ")
		f.refuse[strings.TrimSpace(call)] = why
	}
	f.status, _ = strconv.Atoi(getenv("FAKE_STATUS"))
	f.log = getenv("FAKE_LOG")
	return f
}

// call writes a call down and returns the error that it is to return.
func (f *fake) call(method, name string, o any) error {
	line := strings.TrimSpace(method + " " + name)
	why := f.refuse[line]
	if text := brief(o); text != "" {
		line += " " + text
	}
	if f.calls != "" {
		log, err := os.OpenFile(f.calls, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		if _, err := log.WriteString(line + "\n"); err != nil {
			return err
		}
	}
	return refusalOf(why)
}

// refusalOf is an error as the environment describes it.
func refusalOf(why string) error {
	if why == "" {
		return nil
	}
	kind, message, ok := strings.Cut(why, " ")
	n, err := strconv.Atoi(kind)
	if err != nil || !ok {
		return errors.New(why)
	}
	message, hint, _ := strings.Cut(message, "|")
	e := fail.New(fail.Kind(n), "%w", errors.New(message))
	e.Hint = hint
	return e
}

// brief returns o as JSON, without zero values.
func brief(o any) string {
	text, err := json.Marshal(withoutZeros(reflect.ValueOf(o)))
	if err != nil || string(text) == "null" || string(text) == "{}" {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

func withoutZeros(v reflect.Value) any {
	switch {
	case !v.IsValid() || v.IsZero():
		return nil
	case v.Type() == reflect.TypeFor[runtime.Stdio]():
		return nil
	}
	if _, ok := v.Interface().(fmt.Stringer); ok {
		return fmt.Sprint(v.Interface())
	}
	switch v.Kind() {
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			if x := withoutZeros(v.Field(i)); x != nil {
				m[v.Type().Field(i).Name] = x
			}
		}
		if len(m) == 0 {
			return nil
		}
		return m
	case reflect.Map:
		m := map[string]any{}
		for _, k := range v.MapKeys() {
			if x := withoutZeros(reflect.ValueOf(v.MapIndex(k).Interface())); x != nil {
				m[k.String()] = x
			}
		}
		return m
	case reflect.Slice:
		var all []any
		for i := range v.Len() {
			all = append(all, withoutZeros(v.Index(i)))
		}
		return all
	case reflect.Func, reflect.Interface:
		return v.Kind().String()
	}
	return v.Interface()
}

func (f *fake) Create(_ context.Context, name vps.Name, o runtime.CreateOptions) (runtime.Info, error) {
	return runtime.Info{Name: name}, f.call("Create", string(name), o)
}

func (f *fake) Start(ctx context.Context, name vps.Name, o runtime.StartOptions) error {
	if name == "never" { // goes on until it is called off, and takes its time to undo
		err := f.call("Start", string(name), o)
		<-ctx.Done()
		if err := f.call("Undo", string(name), nil); err != nil {
			return err
		}
		if f.refuse["Undo"] == "stuck" {
			select {}
		}
		return errors.Join(err, fmt.Errorf("wait for %s: %w", name, ctx.Err()))
	}
	return f.call("Start", string(name), o)
}

func (f *fake) Stop(_ context.Context, name vps.Name, o runtime.StopOptions) error {
	return f.call("Stop", string(name), o)
}

func (f *fake) Restart(_ context.Context, name vps.Name, o runtime.StopOptions, s runtime.StartOptions) error {
	return f.call("Restart", string(name), map[string]any{"Stop": o, "Start": s})
}

func (f *fake) Kill(_ context.Context, name vps.Name, s syscall.Signal) error {
	return f.call("Kill", string(name), s)
}
func (f *fake) Checkpoint(_ context.Context, name vps.Name) error {
	return f.call("Checkpoint", string(name), nil)
}

func (f *fake) Pause(_ context.Context, name vps.Name) error {
	return f.call("Pause", string(name), nil)
}
func (f *fake) Resume(_ context.Context, name vps.Name) error {
	return f.call("Resume", string(name), nil)
}

func (f *fake) Destroy(_ context.Context, name vps.Name, o runtime.DestroyOptions) error {
	return f.call("Destroy", string(name), o)
}

func (f *fake) Trash(_ context.Context, choices ...runtime.TrashChoice) ([]runtime.TrashInfo, error) {
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	return []runtime.TrashInfo{
		{Name: "old", ID: "3f9c00000000", Destroyed: at, Expires: at.Add(24 * time.Hour), Disk: 3 << 20, Template: "debian-12", Addresses: []netip.Addr{}},
		{Name: "old", ID: "5a1d00000000", Destroyed: at.Add(-time.Hour), Expires: at.Add(23 * time.Hour), Disk: 1 << 20, Template: "debian-12", Addresses: []netip.Addr{}},
	}, f.call("Trash", "", choices)
}

func (f *fake) TrashNames() ([]runtime.TrashChoice, error) {
	return []runtime.TrashChoice{{Name: "old", ID: "3f9c00000000"}, {Name: "old", ID: "5a1d00000000"}, {Name: "gone", ID: "770000000000"}}, nil
}

func (f *fake) Restore(_ context.Context, c runtime.TrashChoice, name vps.Name, o runtime.RestoreOptions) (runtime.Info, error) {
	return runtime.Info{Name: name}, f.call("Restore", c.String()+" "+string(name), o)
}

func (f *fake) MountSnapshot(_ context.Context, name vps.Name, snapshot, target string) error {
	return f.call("MountSnapshot", string(name)+"@"+snapshot+" "+target, nil)
}

func (f *fake) UmountSnapshot(_ context.Context, name vps.Name, snapshot string) error {
	return f.call("UmountSnapshot", string(name)+"@"+snapshot, nil)
}

func (f *fake) Clone(_ context.Context, to vps.Name, o runtime.CloneOptions) (runtime.Info, error) {
	return runtime.Info{Name: to}, f.call("Clone", string(to), o)
}

func (f *fake) Rebase(_ context.Context, name vps.Name, o runtime.RebaseOptions) (runtime.RebasePlan, error) {
	p := runtime.RebasePlan{Name: name}
	p.From, p.To, p.Changed, p.Kept, p.Packages = "sha256:0123456789abcdef", "sha256:fedcba9876543210", 120, []string{"/etc/issue"}, []string{"/var/lib/dpkg/status"}
	if name == "db" {
		p.To, p.Changed, p.Kept, p.Packages = p.From, 0, []string{}, []string{}
	}
	return p, f.call("Rebase", string(name), o)
}

func (f *fake) Reinstall(_ context.Context, name vps.Name, o runtime.ReinstallOptions) (string, error) {
	if o.NoSnapshot {
		return "", f.call("Reinstall", string(name), o)
	}
	return "before-reinstall-20260131-235959", f.call("Reinstall", string(name), o)
}

func (f *fake) Convert(_ context.Context, name vps.Name, to vps.Storage) error {
	return f.call("Convert", string(name), to)
}

func (f *fake) Export(_ context.Context, name vps.Name, w io.Writer, o runtime.ExportOptions) (runtime.BackupResult, error) {
	if _, err := io.WriteString(w, "an archive"); err != nil {
		return runtime.BackupResult{}, err
	}
	return runtime.BackupResult{Pause: 7 * time.Millisecond, Sockets: 2}, f.call("Export", string(name), o)
}

func (f *fake) Push(_ context.Context, name vps.Name, ref string, o runtime.PushOptions) (runtime.BackupResult, error) {
	r := runtime.BackupResult{Pause: 7 * time.Millisecond, Reference: ref + "@sha256:aa", Sent: 3 << 20, Shared: 40 << 20}
	return r, f.call("Push", string(name)+" "+ref, o)
}

func (f *fake) CreateFrom(_ context.Context, ref string, o runtime.ImportOptions) (runtime.Info, error) {
	return runtime.Info{Name: o.Name}, f.call("CreateFrom", ref, o)
}

func (f *fake) Import(_ context.Context, r io.Reader, o runtime.ImportOptions) (runtime.Info, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return runtime.Info{}, err
	}
	return runtime.Info{Name: cmp.Or(o.Name, "web")}, f.call("Import", string(text), o)
}

func (f *fake) OpenForeign(_ context.Context, o runtime.ForeignOptions) (*runtime.Foreign, error) {
	text, err := io.ReadAll(o.Stdin)
	if err != nil {
		return nil, err
	}
	o.Stdin = nil
	name := cmp.Or(o.Name, "web")
	found := &runtime.Foreign{Name: name, Settings: vps.VPS{
		Name: name, Hostname: "web.example.org", Limits: vps.Limits{Memory: 1 << 30, Swap: 1 << 20}, OnBoot: vps.OnBootYes,
		Interfaces: []vps.Interface{{Name: "eth0", Network: "croft0", MAC: "02:00:00:00:00:07"}}, Env: []string{"A=1", "B=2"},
	}, NotTaken: []runtime.NotTaken{{Key: "net1", Value: "eth1 vmbr1", Reason: "no other network here is like it; --network adds one"}}}
	return found, f.call("OpenForeign", string(text), o)
}

func (f *fake) Adopt(_ context.Context, name vps.Name, _ *runtime.Foreign, o runtime.AdoptOptions) (runtime.Info, error) {
	return runtime.Info{Name: name}, f.call("Adopt", string(name), o)
}

func (f *fake) Move(_ context.Context, name vps.Name, o runtime.MoveOptions) (runtime.MoveResult, error) {
	r := runtime.MoveResult{Name: cmp.Or(o.Name, name), Down: 1234 * time.Millisecond, Notes: []string{"its snapshots (2) are not moved"}}
	if o.Check && f.refuse["taken"] != "" {
		r.Problems = []string{f.refuse["taken"]}
	}
	if !o.Check {
		o.Tell(r.Notes[0])
	}
	return r, f.call("Move", string(name), o)
}

func (f *fake) ReceiveMove(_ context.Context, in io.Reader, out io.Writer) error {
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return f.call("ReceiveMove", "", nil)
}

func (f *fake) SettleMove(_ context.Context, name vps.Name, _ func(context.Context, string) (runtime.MoveLink, error)) error {
	return f.call("SettleMove", string(name), nil)
}

func (f *fake) AbortMove(_ context.Context, name vps.Name, _ func(context.Context, string) (runtime.MoveLink, error)) error {
	return f.call("AbortMove", string(name), nil)
}

func (f *fake) TakeMove(_ context.Context, name vps.Name) error {
	return f.call("TakeMove", string(name), nil)
}

func (f *fake) CreateSnapshot(_ context.Context, name vps.Name, o runtime.SnapshotOptions) (runtime.SnapshotInfo, error) {
	o.Name = cmp.Or(o.Name, "20260131-235959")
	return runtime.SnapshotInfo{VPS: name, Name: o.Name, Running: name == "web", PauseMilliseconds: 7}, f.call("CreateSnapshot", string(name), o)
}

func (f *fake) Snapshots(_ context.Context, names ...vps.Name) ([]runtime.SnapshotInfo, error) {
	at := time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC)
	return []runtime.SnapshotInfo{
		{VPS: "web", Name: "first", Created: at, Expires: new(at.AddDate(0, 0, 7)), Description: "before the upgrade"},
		{VPS: "web", Name: "second", Created: at.Add(time.Hour), Running: true, PauseMilliseconds: 7, Mounted: []string{"/mnt", "/srv/old"}},
	}, f.call("Snapshots", "", names)
}

func (f *fake) SnapshotSettings(ctx context.Context, name vps.Name, snapshot string) (vps.VPS, error) {
	v, err := f.Settings(ctx, name)
	v.Limits.Memory = 1 << 30
	return v, err
}

func (f *fake) RestoreSnapshot(_ context.Context, name vps.Name, snapshot string) error {
	return f.call("RestoreSnapshot", string(name), snapshot)
}

func (f *fake) DeleteSnapshot(_ context.Context, name vps.Name, snapshot string) error {
	return f.call("DeleteSnapshot", string(name), snapshot)
}

func (f *fake) Diff(_ context.Context, name vps.Name, old, new string, emit func(runtime.FileChange) error) error {
	for _, c := range []runtime.FileChange{{Kind: "C", Path: "/etc/motd"}, {Kind: "A", Path: "/root/a b"}, {Kind: "D", Path: "/x\ny\xff"}} {
		if err := emit(c); err != nil {
			return err
		}
	}
	return f.call("Diff", string(name)+" "+old+" "+new, nil)
}

func (f *fake) PruneSnapshots(_ context.Context, name vps.Name) ([]string, error) {
	return []string{"first"}, f.call("PruneSnapshots", string(name), nil)
}

func (f *fake) DeleteTrash(_ context.Context, choices ...runtime.TrashChoice) error {
	return f.call("DeleteTrash", "", choices)
}

// Change applies edits to the VPS of the fake.
func (f *fake) Change(_ context.Context, name vps.Name, edits ...vps.Edit) error {
	words := make([]string, len(edits))
	for n, e := range edits {
		words[n] = e.String()
	}
	if err := f.call("Change", string(name), words); err != nil {
		return err
	}
	now, err := vps.Edited(f.settings(name), edits...)
	if err == nil {
		f.changed[name] = now
	}
	return err
}

func (f *fake) Settings(_ context.Context, name vps.Name) (vps.VPS, error) {
	if err := f.call("Settings", string(name), nil); err != nil {
		return vps.VPS{}, err
	}
	return f.settings(name), nil
}

// settings are those of a VPS after all changes.
func (f *fake) settings(name vps.Name) vps.VPS {
	if v, ok := f.changed[name]; ok {
		return v
	}
	at, prefix := "10.90.0.3", netip.MustParsePrefix("10.90.0.0/16")
	if name == "web" {
		at = "10.90.0.2"
	}
	v := vps.VPS{Name: name, Hostname: string(name), Interfaces: []vps.Interface{
		{Name: "eth0", Network: "default", Addresses: []netip.Addr{netip.MustParseAddr(at)}, Prefixes: []netip.Prefix{prefix}, Tracked: true},
	}}
	if name != "web" {
		return v
	}
	v.Firewall.Rules = []vps.FirewallRule{
		{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"22"}, From: "10.0.0.0/8"},
		{Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"80", "443", "8000-8100"}, From: "10.0.0.0/8"},
		{Chain: "input", Action: "reject", Protocol: "tcp", Ports: []string{"25"}},
		{Chain: "output", Action: "allow", States: []string{"new"}},
	}
	v.Routing = vps.Routing{
		Routes: []vps.Route{{Destination: "198.51.100.0/24", MTU: 1300}, {Destination: "::/0", Via: "fd00::1"}},
		Rules:  []vps.RouteRule{{From: "10.90.0.7/32", Table: 100, Priority: 1000}},
	}
	v.Published = []vps.Publication{
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "18081", To: "80"},
		{Protocol: "udp", Host: "::1", Ports: "53", To: "53"},
		{Protocol: "tcp", Ports: "18082", To: "80"},
	}
	return v
}

func (f *fake) Rename(_ context.Context, old, new vps.Name) error {
	return f.call("Rename", string(old), new)
}

func (f *fake) CheckHost(context.Context) ([]runtime.HostCheck, error) {
	checks := []runtime.HostCheck{
		{Name: "kernel", Status: "ok", Found: "6.12", For: "everything"},
		{Name: "forwarding", Status: "warning", Found: "off", For: "traffic", Remedy: "sysctl -w x=1"},
	}
	if f.refuse["lacking"] != "" {
		checks = append(checks, runtime.HostCheck{Name: "overlay", Status: "missing", Found: "none", For: "files", Remedy: "modprobe overlay"})
	}
	return checks, f.call("CheckHost", "", nil)
}

func (f *fake) Doctor(_ context.Context, name vps.Name) ([]runtime.Finding, error) {
	all := []runtime.Finding{}
	if f.refuse["unwell"] != "" && name == "web" {
		all = []runtime.Finding{
			{Name: name, Severity: "failure", What: "unit \x1b]0;x\anginx.service", Cause: "it exited with status 1:\tbad\x1b[2J configuration", Remedy: "croft exec web -- journalctl --unit nginx.service"},
			{Name: name, Severity: "warning", What: "memory", Cause: "3 processes were killed", Remedy: "croft set web --memory 1024M"},
		}
	}
	if name == "bad" {
		all = []runtime.Finding{{Name: name, Severity: "warning", What: "it is paused", Cause: "a command has paused it", Remedy: "croft resume bad"}}
	}
	return all, f.call("Doctor", string(name), nil)
}

func (f *fake) DoctorHost(context.Context) ([]runtime.Finding, error) {
	var all []runtime.Finding
	if f.refuse["full"] != "" {
		all = []runtime.Finding{{Severity: "warning", What: "limit of the host", Cause: "950 of kernel.threads-max=1000 are in use", Remedy: "sysctl -w kernel.threads-max=2000"}}
	}
	return all, f.call("DoctorHost", "", nil)
}

func (f *fake) BootHost(_ context.Context, o runtime.StartOptions, tell func(runtime.HostResult)) ([]runtime.HostResult, error) {
	return f.each("Start", tell), f.call("BootHost", "", o)
}

func (f *fake) ShutdownHost(_ context.Context, o runtime.ShutdownOptions, tell func(runtime.HostResult)) ([]runtime.HostResult, error) {
	return f.each("Stop", tell), f.call("ShutdownHost", "", o)
}

// each has the host do something with db, web and zoo.
func (f *fake) each(method string, tell func(runtime.HostResult)) []runtime.HostResult {
	var all []runtime.HostResult
	for _, name := range []string{"db", "web", "zoo"} {
		all = append(all, runtime.HostResult{Name: vps.Name(name), Took: 1234 * time.Millisecond, Err: refusalOf(f.refuse[method+" "+name])})
		tell(all[len(all)-1])
	}
	return all
}

func (f *fake) Run(_ context.Context, o runtime.RunOptions) (int, error) {
	named := o.Named
	o.Named = nil
	err := f.call("Run", "", o)
	if err == nil && named != nil {
		named(cmp.Or(o.Name, "run-abcdefgh"))
	}
	return f.status, err
}

func (f *fake) Exec(_ context.Context, name vps.Name, o runtime.ExecOptions) (int, error) {
	err := f.call("Exec", string(name), o)
	var s int
	if _, e := fmt.Sscanf(fmt.Sprint(err), "command %d", &s); e == nil {
		return 0, &runtime.CommandError{Status: s, Err: err}
	}
	return f.status, err
}

func (f *fake) Enter(_ context.Context, name vps.Name, o runtime.ExecOptions) (int, error) {
	return f.status, f.call("Enter", string(name), o)
}

func (f *fake) Console(_ context.Context, name vps.Name, _ runtime.Stdio) error {
	return f.call("Console", string(name), nil)
}

func (f *fake) Logs(ctx context.Context, name vps.Name, o runtime.LogOptions, w io.Writer) error {
	if err := f.call("Logs", string(name), o); err != nil {
		return err
	}
	_, err := io.WriteString(w, "boot of "+string(name)+"\n"+f.log)
	if o.Follow && name == "never" { // nothing is written any more
		<-ctx.Done()
		return nil
	}
	return err
}

func (f *fake) Events(ctx context.Context, follow bool, tell func(runtime.Event) error) error {
	if err := f.call("Events", "", map[string]any{"Follow": follow}); err != nil {
		return err
	}
	at := time.Date(2026, 2, 5, 7, 5, 6, 0, time.UTC)
	for n, e := range []runtime.Event{
		{Event: "created", Name: "web", UUID: "u1", Attributes: map[string]string{"template": "debian-12", "addresses": "10.0.0.2/24,fd00::2/64"}},
		{Event: "started", Name: "web", UUID: "u1", Attributes: map[string]string{"boot": "1"}},
		{Event: "oom", Name: "db", UUID: "u2", Attributes: map[string]string{"total": "3"}},
		{Event: "stopped", Name: "web", UUID: "u1", Attributes: map[string]string{"reason": "killed", "status": "137", "detail": "init was killed by \"x\"\n"}},
		{Event: "destroyed", Name: "old", Attributes: map[string]string{}},
	} {
		e.Time = at.Add(time.Duration(n-4) * time.Hour)
		if err := tell(e); err != nil {
			return err
		}
	}
	if follow {
		<-ctx.Done()
	}
	return nil
}

func (f *fake) Wait(_ context.Context, name vps.Name, until runtime.Condition, timeout time.Duration) (*runtime.End, error) {
	var end *runtime.End
	if until == runtime.UntilStopped && name != "db" {
		end = &runtime.End{Reason: "killed", Status: 137}
		if name == "bad" {
			end = &runtime.End{Reason: "unknown"}
		}
	}
	return end, f.call("Wait", string(name), map[string]any{"Until": string(until), "Timeout": timeout})
}

// Stats has web use a tenth of a CPU more with each look, and half of what
// there is of another.
func (f *fake) Stats(_ context.Context, names []vps.Name, o runtime.StatsOptions) ([]runtime.Stats, error) {
	f.looks++
	looked := time.Date(2026, 2, 3, 4, 5, f.looks, 0, time.UTC)
	known := func(n uint64) *uint64 { return &n }
	web := runtime.Stats{
		Name: "web", Status: runtime.StatusRunning, Time: looked,
		CPU:    runtime.CPUStats{Used: uint64(3723_000_000_000 + f.looks*100_000_000), User: 3000, System: 4000, Limit: 1500, Throttled: known(65_000_000_000), Throttles: known(12), Pressure: &runtime.Pressure{Some: runtime.Stall{Percent60: 12.5}}},
		Memory: runtime.MemoryStats{Used: 100 << 20, Total: 150 << 20, Peak: 200 << 20, Limit: 512 << 20, Swap: known(3 << 20), LimitHits: known(0), OOMKills: known(2)},
		PIDs:   runtime.PIDStats{Current: 7}, IO: runtime.IOStats{ReadBytes: 1 << 20, WrittenBytes: 2 << 20, Reads: 3, Writes: 4, Counted: true},
		DiskLimit: runtime.DiskInfo{Kind: vps.DiskImage, Bytes: 10 << 30, UsedBytes: new(int64(2 << 30)), Inodes: 655360, UsedInodes: new(int64(300))},
		Interfaces: []runtime.InterfaceStats{
			{Name: "eth0", Network: "default", ReceivedBytes: 4096, ReceivedPackets: 4, SentBytes: 512, SentPackets: 5, Dropped: map[string]uint64{"mac": 1, "source": 2}},
			{Name: "eth1", Network: "dmz", ReceivedBytes: 4096, Dropped: map[string]uint64{}},
		},
	}
	if o.OpenFiles {
		web.OpenFiles = known(42)
	}
	if o.Disk {
		web.Disk = known(300 << 20)
	}
	all := []runtime.Stats{}
	for _, name := range names {
		if name != "web" {
			all = append(all, runtime.Stats{Name: name, Err: fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)})
		}
	}
	if f.refuse["none"] == "" && (len(names) == 0 || slices.Contains(names, "web")) {
		all = append(all, web)
	}
	return all, f.call("Stats", strings.Trim(fmt.Sprint(names), "[]"), map[string]any{"Look": f.looks, "Disk": o.Disk, "OpenFiles": o.OpenFiles})
}

func (f *fake) Processes(_ context.Context, name vps.Name) ([]runtime.ProcessInfo, error) {
	return []runtime.ProcessInfo{
		{HostPID: 80, User: -1, State: "Z", Threads: 1, Command: "[gone]"},
		{PID: 1, HostPID: 77, State: "S", Threads: 1, CPU: 7_250_000_000, Memory: 12 << 20, Command: "/sbin/init --log \x1b[1m"},
		{PID: 9, Parent: 1, HostPID: 79, User: 33, UserName: "www-data", State: "R", Threads: 4, Command: "worker"},
	}, f.call("Processes", string(name), nil)
}

func (f *fake) infos() []runtime.Info {
	started := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	web := runtime.Info{
		Name: "web", Status: runtime.StatusRunning, Booted: true, UUID: "u-1", Hostname: "web.example",
		Template: "debian-12", Digest: "sha256:0123456789abcdef", Created: started.Add(-time.Hour), Started: &started,
		Boot: 2, PID: 77, MonitorPID: 78, Protected: true, Labels: map[string]string{"tier": "front"},
		Interfaces: []runtime.InterfaceInfo{
			{Name: "eth0", Network: "default", HostLink: "cr0", MAC: "02:00:00:00:00:01", Addresses: []string{"10.1.2.3/16", "fd00::2/64"}},
			{Name: "eth1", Network: "dmz", HostLink: "cr1", MAC: "02:00:00:00:00:02", Addresses: []string{"192.0.2.9/24"}},
		},
	}
	web.Published = []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}, {Protocol: "udp", Host: "::1", Ports: "53", To: "53"}}
	web.Mounts = []vps.Mount{{Kind: vps.MountHost, Source: "/srv/www", Target: "/var/www", ReadOnly: true}, {Kind: vps.MountTmpfs, Target: "/cache", Size: 64 << 20}}
	web.IDs.First, web.IDs.Size = 1048576, 65536
	web.Limits.Memory, web.Limits.MilliCPUs, web.Limits.Swap = 512<<20, 1500, -1
	return []runtime.Info{
		{Name: "bad", Status: runtime.StatusBroken, Error: "bad/vps.json is corrupt", Interfaces: []runtime.InterfaceInfo{}, Published: []vps.Publication{}, Mounts: []vps.Mount{}, Labels: map[string]string{}},
		{
			Name: "db", Status: runtime.StatusStopped, Template: "busybox", LastEnd: &runtime.End{Reason: "killed", Status: 137, OutOfMemory: true, Detail: "init was killed"}, Interfaces: []runtime.InterfaceInfo{}, Published: []vps.Publication{}, Mounts: []vps.Mount{},
			Labels: map[string]string{"tier": "back"}, Created: started,
		},
		web,
	}
}

func (f *fake) List(context.Context) ([]runtime.Info, error) {
	if err := f.call("List", "", nil); err != nil {
		return nil, err
	}
	if f.refuse["none"] != "" {
		return nil, nil
	}
	return f.infos(), nil
}

func (f *fake) Inspect(_ context.Context, name vps.Name) (runtime.Info, error) {
	if err := f.call("Inspect", string(name), nil); err != nil {
		return runtime.Info{}, err
	}
	for _, info := range f.infos() {
		if info.Name == name {
			return info, nil
		}
	}
	return runtime.Info{}, fail.New(fail.NotFound, "no VPS named %q", name).WithHint("croft list")
}

func (f *fake) Bundle(_ context.Context, name vps.Name) (json.RawMessage, error) {
	return json.RawMessage(`{"hostname":"` + name + `"}`), f.call("Bundle", string(name), nil)
}

func (f *fake) Mount(_ context.Context, name vps.Name) (string, error) {
	return string("/root/of/" + name), f.call("Mount", string(name), nil)
}

func (f *fake) Umount(_ context.Context, name vps.Name) error {
	return f.call("Umount", string(name), nil)
}

func (f *fake) Copy(_ context.Context, from, to runtime.CopyEnd, o runtime.CopyOptions) error {
	end := func(e runtime.CopyEnd) string {
		switch {
		case e.Reader != nil:
			return "stdin"
		case e.Writer != nil:
			return "stdout"
		}
		return string(e.VPS) + ":" + e.Path
	}
	owner := "kept"
	if o.Owner != nil {
		owner = fmt.Sprint(*o.Owner)
	}
	return f.call("Copy", string(from.VPS+to.VPS), fmt.Sprintf("%s to %s owner %s setid %v", end(from), end(to), owner, o.SetID))
}

func (f *fake) ReadText(_ context.Context, name vps.Name, path string) (runtime.FileText, error) {
	return runtime.FileText{Content: []byte("text\n"), Names: 1}, f.call("ReadText", string(name), path)
}

func (f *fake) WriteText(_ context.Context, name vps.Name, path string, was runtime.FileText, content []byte) error {
	return f.call("WriteText", string(name), fmt.Sprintf("%s from %q to %q", path, was.Content, content))
}

func (f *fake) Names() ([]vps.Name, error) {
	return []vps.Name{"bad", "db", "web"}, f.call("Names", "", nil)
}

// NamesHere leaves out db, which was moved.
func (f *fake) NamesHere() ([]vps.Name, error) {
	return []vps.Name{"bad", "web"}, f.call("NamesHere", "", nil)
}

func image() runtime.TemplateInfo {
	return runtime.TemplateInfo{
		Name: "debian-12", Digest: "sha256:0123456789abcdef", Size: 300 << 20,
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Layers: []string{"sha256:ff"},
	}
}

func (f *fake) Templates(context.Context) ([]runtime.TemplateInfo, error) {
	if f.refuse["none"] != "" {
		return nil, f.call("Templates", "", nil)
	}
	former := image()
	former.Digest, former.Former = "sha256:fedcba9876543210", true
	return []runtime.TemplateInfo{image(), former}, f.call("Templates", "", nil)
}

func (f *fake) Template(_ context.Context, name string) (runtime.TemplateInfo, error) {
	return image(), f.call("Template", name, nil)
}

func (f *fake) BuildTemplate(_ context.Context, name string, o runtime.TemplateBuild) (runtime.TemplateInfo, error) {
	if err := f.call("BuildTemplate", name, o); err != nil {
		return runtime.TemplateInfo{}, err
	}
	if o.Log != nil {
		fmt.Fprintln(o.Log, "I: unpacking")
	}
	f.o.Warn("no package archive signed it")
	built := image()
	built.Name = name
	return built, nil
}

func (f *fake) ImportTemplate(_ context.Context, name string, r io.Reader, o runtime.TemplateImport) (runtime.TemplateInfo, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return runtime.TemplateInfo{}, err
	}
	return image(), f.call("ImportTemplate", name+" of "+strings.TrimSpace(string(text)), o)
}

func (f *fake) CreateTemplate(_ context.Context, name string, from vps.Name, o runtime.TemplateCreate) (runtime.TemplateInfo, error) {
	return image(), f.call("CreateTemplate", name+" from "+string(from), o)
}

func (f *fake) ExportTemplate(_ context.Context, name string, w io.Writer, o runtime.TemplateExport) error {
	if w != nil {
		fmt.Fprintf(w, "all of %s\n", name)
	}
	return f.call("ExportTemplate", name, o)
}

func (f *fake) PullTemplate(_ context.Context, ref string, o runtime.TemplatePull) (runtime.TemplateInfo, error) {
	return image(), f.call("PullTemplate", ref, o)
}

func (f *fake) PushTemplate(_ context.Context, name, ref string, o runtime.TemplatePush) error {
	return f.call("PushTemplate", name+" to "+ref, o)
}

func (f *fake) TagTemplate(_ context.Context, ref, name string, replace bool) (runtime.TemplateInfo, error) {
	return image(), f.call("TagTemplate", ref+" "+name, struct{ Replace bool }{replace})
}

func (f *fake) UntagTemplate(_ context.Context, name string) error {
	return f.call("UntagTemplate", name, nil)
}

func (f *fake) UpdateTemplate(_ context.Context, name string, o runtime.TemplateRefresh) (runtime.TemplateInfo, bool, error) {
	return image(), name != "busybox", f.call("UpdateTemplate", name, struct {
		runtime.TemplateSettings
		Log, Insecure bool
	}{o.BuildSettings, o.Log != nil, o.Insecure})
}

func (f *fake) CheckTemplate(_ context.Context, name string, o runtime.TemplateRefresh) (runtime.TemplateCheck, error) {
	c := runtime.TemplateCheck{Name: name, Digest: image().Digest, Freshness: "current", Origin: "images:debian/13/default"}
	if name == "old" {
		c.Freshness, c.Reason = "outdated", "there is sha256:fedcba9876543210"
	}
	return c, f.call("CheckTemplate", name, struct{ Insecure bool }{o.Insecure})
}

func (f *fake) SearchImages(_ context.Context, server string, words []string, o runtime.ImageSearch) ([]runtime.ServerImage, error) {
	return []runtime.ServerImage{{
		Product: "debian:trixie:amd64:default", Names: []string{"debian/13/default", "debian/13"}, Distribution: "Debian", Release: "trixie", Variant: "default",
		Architecture: "amd64", Serial: "20260110_05:24", Size: 95 << 20, Digest: "sha256:0123456789abcdef",
	}}, f.call("SearchImages", server+" "+strings.Join(words, ","), o)
}

func (f *fake) ImageServers(context.Context) ([]runtime.ImageServer, error) {
	return []runtime.ImageServer{
		{Name: "images", URL: "https://images.example.org", Builtin: true},
		{Name: "lab", URL: "https://lab.example.org", Key: "-----BEGIN PGP PUBLIC KEY BLOCK-----"},
	}, f.call("ImageServers", "", nil)
}

func (f *fake) AddImageServer(_ context.Context, r runtime.ImageServer, replace bool) error {
	return f.call("AddImageServer", r.Name+" "+r.URL, struct{ Replace, Signed bool }{replace, r.Key != ""})
}

func (f *fake) RemoveImageServer(_ context.Context, name string) error {
	return f.call("RemoveImageServer", name, nil)
}

func (f *fake) PruneTemplates(context.Context) error { return f.call("PruneTemplates", "", nil) }

func (f *fake) RemoveTemplate(_ context.Context, name string) error {
	return f.call("RemoveTemplate", name, nil)
}

// recipes returns fakes with the recipes of a configuration.
func recipes(getenv func(string) string) func(config string) command.Cookbook {
	return func(config string) command.Cookbook {
		f := pretend(getenv)
		f.config = config
		return f
	}
}

func (f *fake) Recipes() ([]runtime.RecipeInfo, error) {
	if f.refuse["none"] != "" {
		return nil, f.call("Recipes", "", nil)
	}
	all := []runtime.RecipeInfo{
		{Name: "debian-12", Description: "Debian 12 with systemd", Init: "systemd", From: "croft", Tool: "mmdebstrap", Missing: []string{}, Packages: []string{}},
		{Name: "fedora-43", Description: "Fedora 43 with systemd", Init: "systemd", From: "croft", Tool: "dnf", Missing: []string{"dnf", "/usr/share/distribution-gpg-keys/fedora/RPM-GPG-KEY-fedora-43-primary"}, Packages: []string{"distribution-gpg-keys", "dnf"}, Install: "apt-get install distribution-gpg-keys dnf"},
		{Name: "mine", From: "/etc/croft/recipes/mine.yaml", Error: "line 3: no such field"},
	}
	files, err := filepath.Glob(filepath.Join(f.config, "recipes", "*.yaml"))
	for _, file := range files {
		all = append(all, runtime.RecipeInfo{Name: strings.TrimSuffix(filepath.Base(file), ".yaml"), From: file, Missing: []string{}, Packages: []string{}})
	}
	return all, errors.Join(err, f.call("Recipes", "", nil))
}

func (f *fake) Recipe(name string) (string, error) {
	return "distribution: debian\n", f.call("Recipe", name, nil)
}

func (f *fake) Firewall(_ context.Context, name vps.Name) (runtime.FirewallInfo, error) {
	info := runtime.FirewallInfo{Name: name}
	if name == "web" {
		info.Running = true
		info.Policies = []runtime.FirewallPolicyInfo{{Chain: "input", Policy: "drop", Applied: true, Packets: 3, Bytes: 180}}
		info.Rules = []runtime.FirewallRuleInfo{
			{Number: 1, Chain: "input", Action: "allow", Protocol: "tcp", Ports: []string{"22", "80"}, From: "10.0.0.0/8", Applied: true, Packets: 7, Bytes: 420},
			{Number: 2, Chain: "output", Action: "deny", States: []string{"new"}},
		}
		info.Others = []runtime.FirewallLineInfo{{Family: "ipv4", Chain: "CROFT-INPUT", Rule: "-j ACCEPT", Packets: 1, Bytes: 60}}
	}
	return info, f.call("Firewall", string(name), nil)
}

func (f *fake) Routing(_ context.Context, name vps.Name) (runtime.RoutingInfo, error) {
	info := runtime.RoutingInfo{Name: name, Running: name == "web"}
	if name == "web" {
		info.Routes = []runtime.RouteInfo{
			{Number: 1, Destination: "192.0.2.0/24", Via: "10.90.0.1", Dev: "eth0", MTU: 1300, Table: 254, Applied: true},
			{Destination: "0.0.0.0/0", Via: "10.90.0.1", Dev: "eth0", Table: 254, Applied: true},
		}
		info.Rules = []runtime.RouteRuleInfo{{Number: 2, From: "10.90.0.7/32", Table: 100, Priority: 7}}
	}
	return info, f.call("Routing", string(name), nil)
}

func (f *fake) Published(_ context.Context, name vps.Name) (runtime.PublishedInfo, error) {
	info := runtime.PublishedInfo{Name: name, Running: name == "web", Published: []runtime.PublicationInfo{}}
	if name == "web" {
		info.Published = []runtime.PublicationInfo{
			{Number: 1, Protocol: "tcp", Ports: "8080", To: "80", Applied: true},
			{Number: 2, Protocol: "udp", Host: "192.0.2.1", Ports: "5000-5010", To: "6000-6010"},
		}
	}
	return info, f.call("Published", string(name), nil)
}

func (f *fake) AllPublished(ctx context.Context) ([]runtime.PublishedInfo, error) {
	all := []runtime.PublishedInfo{}
	if f.refuse["none"] != "" {
		return all, nil
	}
	for _, name := range []string{"db", "web"} {
		info, err := f.Published(ctx, vps.Name(name))
		if err != nil {
			return nil, err
		}
		if name == "db" {
			info.Published = append(info.Published, runtime.PublicationInfo{Number: 1, Protocol: "tcp", Ports: "5432", To: "5432"})
		}
		all = append(all, info)
	}
	return all, nil
}

func (f *fake) Volumes(context.Context) ([]runtime.VolumeInfo, error) {
	if f.refuse["none"] != "" {
		return nil, f.call("Volumes", "", nil)
	}
	created := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	return []runtime.VolumeInfo{
		{Name: "cache", Created: created, Path: "/r/volumes/cache/data", UsedBy: []vps.Name{}},
		{Name: "data", Created: created, Path: "/r/volumes/data/data", UsedBy: []vps.Name{"db", "web"}},
	}, f.call("Volumes", "", nil)
}

func (f *fake) Volume(_ context.Context, name string) (runtime.VolumeInfo, error) {
	return runtime.VolumeInfo{Name: name, UsedBy: []vps.Name{}}, f.call("Volume", name, nil)
}

func (f *fake) CreateVolume(_ context.Context, name string) error {
	return f.call("CreateVolume", name, nil)
}

func (f *fake) RemoveVolume(_ context.Context, name string) error {
	return f.call("RemoveVolume", name, nil)
}

func (f *fake) Networks(context.Context) ([]runtime.NetworkInfo, error) {
	if f.refuse["none"] != "" {
		return nil, f.call("Networks", "", nil)
	}
	return []runtime.NetworkInfo{{
		Name: "default", Mode: "isolated", Bridge: "croft0",
		IPv4: netip.MustParsePrefix("10.88.0.0/16").String(), IPv6: "fd00::/64",
	}}, f.call("Networks", "", nil)
}

func (f *fake) Network(_ context.Context, name string) (runtime.NetworkInfo, error) {
	return runtime.NetworkInfo{Name: name}, f.call("Network", name, nil)
}

func (f *fake) CreateNetwork(_ context.Context, s runtime.NetworkSettings) (runtime.NetworkInfo, error) {
	return runtime.NetworkInfo{Name: s.Name, IPv4: "10.88.0.0/16", IPv6: "fd00::/64"}, f.call("CreateNetwork", s.Name, s)
}

func (f *fake) SetNetwork(_ context.Context, name string, c runtime.NetworkChange) error {
	return f.call("SetNetwork", name, map[string]any{"Names": fmt.Sprint(*c.Names)})
}

func (f *fake) RepairNetwork(_ context.Context, name string) error {
	return f.call("RepairNetwork", name, nil)
}

func (f *fake) RemoveNetwork(_ context.Context, name string, force bool) error {
	return f.call("RemoveNetwork", name, force)
}

// fakeMain is Main with a fake Manager: the croft of the scripts.
func fakeMain() {
	a := &command.App{
		Stdio:   runtime.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
		Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, os.Getenv) },
		Umask:   0o022,
		Recipes: recipes(os.Getenv),
		Getenv:  os.Getenv,
		Now:     clock(os.Getenv),
		AtOnce:  1, // so that the order of calls is known
	}
	os.Exit(execute(a, os.Args))
}

// clock stands still at FAKE_NOW, if that is set.
func clock(getenv func(string) string) func() time.Time {
	if at, err := time.Parse(time.RFC3339, getenv("FAKE_NOW")); err == nil {
		return func() time.Time { return at }
	}
	return time.Now
}

// A ran is what one command line did.
type ran struct {
	status           int
	out, err, called string
}

// croft runs a command line in this process, on a fake.
func croft(t interface {
	TempDir() string
	Fatal(...any)
	Helper()
}, env map[string]string, args ...string,
) ran {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	in, out, errs := file("in"), file("out"), file("err")
	defer in.Close()
	defer out.Close()
	defer errs.Close()
	getenv := func(key string) string {
		if key == "FAKE_CALLS" {
			return filepath.Join(dir, "calls")
		}
		if dir := filepath.Join(dir, "etc"); key == "CROFT_CONFIG_DIR" && env[key] == "" {
			return dir // and not that of this machine
		}
		return env[key]
	}
	a := &command.App{
		Stdio:   runtime.Stdio{In: in, Out: out, Err: errs},
		Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, getenv) },
		Recipes: recipes(getenv),
		Getenv:  getenv,
		Now:     clock(getenv),
		AtOnce:  1, // so that the order of calls is known
	}
	r := ran{status: execute(a, append([]string{"croft"}, args...))}
	for name, text := range map[string]*string{"out": &r.out, "err": &r.err, "calls": &r.called} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		*text = string(data)
	}
	return r
}
