package mounts

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/vps"
)

func TestAttributes(t *testing.T) {
	const always = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	for _, c := range []struct {
		m    vps.Mount
		want uint64
	}{
		{vps.Mount{}, always},
		{vps.Mount{ReadOnly: true}, always | unix.MOUNT_ATTR_RDONLY},
		{vps.Mount{ReadOnly: true, NoExec: true}, always | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC},
	} {
		if got := (Mount{Mount: c.m}).attributes(); got != c.want {
			t.Errorf("%+v: %#x, not %#x", c.m, got, c.want)
		}
	}
}

// A tmpfs without a size gets half of the memory. Only directories of the host and
// volumes get the ids of the VPS.
func TestSizeAndIDs(t *testing.T) {
	for want, m := range map[int64]Mount{7: {Mount: vps.Mount{Size: 7}, Memory: 100}, 50: {Memory: 100}, 0: {}} {
		if got := m.size(); got != want {
			t.Errorf("%+v: %d, not %d", m, got, want)
		}
	}
	ids := vps.IDRange{First: 1 << 20, Size: 65536}
	for _, c := range []struct {
		m    vps.Mount
		ids  vps.IDRange
		want bool
	}{
		{vps.Mount{Kind: vps.MountHost}, ids, true},
		{vps.Mount{Kind: vps.MountVolume}, ids, true},
		{vps.Mount{Kind: vps.MountHost, HostIDs: true}, ids, false},
		{vps.Mount{Kind: vps.MountTmpfs}, ids, false},
		{vps.Mount{Kind: vps.MountHost}, vps.IDRange{}, false}, // of a privileged VPS
	} {
		if got := (Mount{Mount: c.m}).shifts(c.ids); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// ofHost is a mount of a path of the host.
func ofHost(source, target string) Mount {
	return Mount{Mount: vps.Mount{Kind: vps.MountHost, Source: source, Target: target}, Path: source}
}

// A source that is missing, or to which a link leads, is named with the reason.
func TestOpenSource(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/file", nil, 0o600), os.Symlink(dir, dir+"/link"), os.Symlink("nowhere", dir+"/dangling"), unix.Mkfifo(dir+"/fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"": "", "/file": "", "/absent": "it does not exist", "/file/x": "it does not exist", "/fifo": "its type is not directory",
		"/link/file": "whoever can change the link", "/dangling": "leads nowhere",
	} {
		f, err := openSource(ofHost(dir+name, "/x"))
		if f != nil {
			f.Close()
		}
		if (want == "") != (err == nil) || err != nil && (!fail.Is(err, fail.State) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, not %q", name, err, want)
		}
	}
	volume := Mount{Mount: vps.Mount{Kind: vps.MountVolume, Source: "data"}, Path: dir + "/absent"}
	if _, err := openSource(volume); fail.HintOf(err) != "croft volume create data" {
		t.Errorf("a missing volume: %v", err)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2J\n\u00e9b"); got != "a?[2J??b" {
		t.Errorf("%q", got)
	}
}

// guest is a VPS whose init is a process in a mount namespace of its own. Its targets
// are below a directory that only it has.
func guest(t *testing.T, ids vps.IDRange) (g Guest, root string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	root, err := os.MkdirTemp("", "croft-mounts-") // users of the VPS cannot pass through t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := errors.Join(os.Chmod(root, 0o755), os.Chown(root, int(ids.First), int(ids.First))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := proc.ReadStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := inside.OpenProcess(cmd.Process.Pid, stat.StartTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	pids := func() ([]int, error) { return []int{cmd.Process.Pid}, nil }
	return Guest{Name: "web", IDs: ids, Process: p, Scratch: t.TempDir(), PIDs: pids}, root
}

// inGuest calls do in the mount namespace of the guest.
func inGuest(t *testing.T, g Guest, do func() error) {
	t.Helper()
	if err := g.Process.InMounts(do); err != nil {
		t.Error(err)
	}
}

// Mounts of each kind are made in the guest, with the ids of the VPS and locked flags,
// once. Their removal leaves what was there.
func TestEnsureAndRemove(t *testing.T) {
	ids := vps.IDRange{First: 0x7FFE0000, Size: 65536}
	g, root := guest(t, ids)
	source := t.TempDir()
	if err := errors.Join(os.WriteFile(source+"/file", []byte("hello"), 0o644), os.Chown(source+"/file", 33, 33)); err != nil {
		t.Fatal(err)
	}
	read := ofHost(source, root+"/read")
	read.ReadOnly = true
	plain := ofHost(source, root+"/plain")
	plain.HostIDs = true
	one := ofHost(source+"/file", root+"/one")
	temporary := Mount{Mount: vps.Mount{Kind: vps.MountTmpfs, Target: root + "/tmp/deep", Size: 1 << 20, Mode: "1777"}}
	all := []Mount{read, plain, one, temporary}
	if err := (Access{}).Check(all, false); errIsUnsupported(err) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one finds them
		if err := (Access{}).Ensure(context.Background(), g, all); err != nil {
			t.Fatal(err)
		}
	}
	inGuest(t, g, func() error {
		var in, out, tmp unix.Stat_t
		err := errors.Join(unix.Stat(root+"/read/file", &in), unix.Stat(root+"/plain/file", &out), unix.Stat(root+"/tmp/deep", &tmp))
		if in.Uid != ids.First+33 || out.Uid != 33 || tmp.Uid != ids.First || tmp.Mode&0o7777 != 0o1777 {
			t.Errorf("owners: %d, %d and %d with mode %o", in.Uid, out.Uid, tmp.Uid, tmp.Mode)
		}
		if text, e := os.ReadFile(root + "/one"); e != nil || string(text) != "hello" {
			t.Errorf("one file: %q, %v", text, e)
		}
		if e := os.WriteFile(root+"/read/new", nil, 0o600); !errors.Is(e, unix.EROFS) {
			t.Errorf("written to a read-only one: %v", e)
		}
		if e := unix.Mount("", root+"/read", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV, ""); !errors.Is(e, unix.EPERM) {
			t.Errorf("made writable: %v", e)
		}
		var fs unix.Statfs_t
		err = errors.Join(err, unix.Statfs(root+"/tmp/deep", &fs))
		if size := int64(fs.Blocks) * fs.Bsize; size != 1<<20 || fs.Flags&(unix.ST_NOSUID|unix.ST_NODEV) != unix.ST_NOSUID|unix.ST_NODEV {
			t.Errorf("the tmpfs has %d bytes, flags %#x", size, fs.Flags)
		}
		return err
	})
	if got := mountsOf(g, root); !slices.Equal(got, []string{"/one", "/plain", "/read", "/tmp/deep"}) {
		t.Errorf("mounted: %v", got)
	}
	for range 2 { // the second one is a no-op
		for _, m := range all {
			if err := (Access{}).Remove(context.Background(), g, m); err != nil {
				t.Errorf("%s: %v", m.Target, err)
			}
		}
	}
	if got := mountsOf(g, root); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if entries, err := os.ReadDir(g.Scratch); err != nil || len(entries) != 0 {
		t.Errorf("left on the host: %v, %v", entries, err)
	}
}

// errIsUnsupported reports whether this host's filesystem cannot be mounted with other ids.
func errIsUnsupported(err error) bool {
	return fail.Is(err, fail.Host) && strings.Contains(err.Error(), "with the ids of a VPS")
}

// mountsOf returns the targets of mounts of the guest below a directory, sorted.
func mountsOf(g Guest, root string) []string {
	var all []string
	for _, target := range mountsBelow(g.Process, root) {
		all = append(all, strings.TrimPrefix(target, root))
	}
	slices.Sort(all)
	return all
}

// A mount in use stays, and the error names the process. So does something else that is
// mounted there, and a mount below it.
func TestRemoveLeavesWhatIsUsed(t *testing.T) {
	g, root := guest(t, vps.IDRange{})
	m := Mount{Mount: vps.Mount{Kind: vps.MountTmpfs, Target: root + "/t"}}
	if err := (Access{}).Ensure(context.Background(), g, []Mount{m}); err != nil {
		t.Fatal(err)
	}
	user := exec.Command("nsenter", "--mount=/proc/"+strconv.Itoa(g.Process.PID())+"/ns/mnt", "sh", "-c", "cd "+m.Target+" && echo in && read x")
	out, err := user.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := user.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = user.Process.Kill(); _ = user.Wait() })
	if n, err := out.Read(make([]byte, 8)); n == 0 {
		t.Skipf("nsenter does not work here: %v", err)
	}
	g.PIDs = func() ([]int, error) { return []int{user.Process.Pid}, nil }
	if err := (Access{}).Remove(context.Background(), g, m); !fail.Is(err, fail.Busy) || !strings.Contains(err.Error(), "(sh)") {
		t.Errorf("in use: %v", err)
	}
	_ = user.Process.Kill()
	_ = user.Wait()
	below := Mount{Mount: vps.Mount{Kind: vps.MountTmpfs, Target: root + "/t/below"}}
	if err := (Access{}).Ensure(context.Background(), g, []Mount{below}); err != nil {
		t.Fatal(err)
	}
	if err := (Access{}).Remove(context.Background(), g, m); !fail.Is(err, fail.Busy) || !strings.Contains(err.Error(), "another mount on "+root+"/t/below") {
		t.Errorf("below another: %v", err)
	}
	other := ofHost(t.TempDir(), m.Target)
	if err := (Access{}).Remove(context.Background(), g, other); err != nil {
		t.Errorf("another mount: %v", err)
	}
	for _, m := range []Mount{below, m} {
		if err := (Access{}).Remove(context.Background(), g, m); err != nil {
			t.Errorf("%s: %v", m.Target, err)
		}
	}
	if got := mountsOf(g, root); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// What cannot be mounted is an error that names the target, and nothing is created where
// root of the VPS may not create it.
func TestEnsureRefuses(t *testing.T) {
	ids := vps.IDRange{First: 0x7FFE0000, Size: 65536}
	g, root := guest(t, ids)
	if err := os.Mkdir(root+"/host", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{"/host/x": "root inside may not create", "/file": "is not a directory", "/file/x": "not a directory"} {
		m := Mount{Mount: vps.Mount{Kind: vps.MountTmpfs, Target: root + target}}
		if err := (Access{}).Ensure(context.Background(), g, []Mount{m}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", target, err, want)
		}
	}
	if entries, err := os.ReadDir(root + "/host"); err != nil || len(entries) != 0 {
		t.Errorf("created: %v, %v", entries, err)
	}
}
