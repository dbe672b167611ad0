//go:build integration

package integration

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// needLoopDevices skips a test where there are none, also after the kernel was asked for
// them.
func needLoopDevices(t *testing.T) {
	t.Helper()
	_ = exec.Command("modprobe", "loop").Run() // it may be built in
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no loop devices")
	}
}

// loopDevicesOf returns the loop devices of a VPS's images.
func loopDevicesOf(t *testing.T, vps string) string {
	t.Helper()
	var all []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), "/vps/"+vps+"/") {
			all = append(all, f)
		}
	}
	return strings.Join(all, " ")
}

type diskInfo struct {
	Disk struct {
		Kind                  string
		Bytes, Inodes         int64
		UsedBytes, UsedInodes *int64
		Image                 string
	}
}

func diskOf(t *testing.T, vps string) diskInfo {
	t.Helper()
	var i diskInfo
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &i); err != nil {
		t.Fatal(err)
	}
	return i
}

// A full disk of a VPS is full inside it, and nowhere else. The VPS starts with it, and
// has room again when files are deleted.
func TestDiskLimit(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	web := boot(t, "busybox", "--network", "none", "--disk", "64M", "--inodes", "2048")
	if got := sh(t, web, "df -P / | awk 'NR==2 {print ($2 > 50000 && $2 < 65536)}'; df -Pi / | awk 'NR==2 {print ($2 >= 2048 && $2 < 2200)}'"); got != "1\n1" {
		t.Errorf("df inside says otherwise: %q", got)
	}
	if got := must(t, "list", "--no-header", "--columns", "disk", "--filter", "name="+web); !strings.HasSuffix(got, "/64M") {
		t.Errorf("list says %q", got)
	}
	if r := try("exec", web, "--", "sh", "-c", "cat /dev/zero >/full; ls /full"); !strings.Contains(r.errOut, "No space left") || strings.TrimSpace(r.out) != "/full" {
		t.Errorf("it can be filled: %v", r)
	}
	if d := diskOf(t, web).Disk; d.Kind != "image" || d.Bytes != 64<<20 || d.UsedBytes == nil || *d.UsedBytes < 60<<20 || *d.UsedInodes < 2 {
		t.Errorf("inspect says %+v", d)
	}
	if r := try("doctor", web); !strings.Contains(r.out+r.errOut, "--disk 128M") {
		t.Errorf("doctor: %v", r)
	}
	if got := must(t, "stats", "--interval", "0", "--no-header", "--columns", "disk-limit", web); !strings.HasSuffix(got, "/64M") {
		t.Errorf("stats says %q", got)
	}
	if got := must(t, "host", "check", "--json"); !strings.Contains(got, "disk limits") {
		t.Error("host check does not check disk limits")
	}
	reboot(t, web) // its end and the new start each tell it
	eventually(t, "events have it", func() bool {
		return strings.Count(must(t, "events", "--filter", "event=disk", "--format", "{{.attributes}}", web), "used-percent") == 2
	})
	must(t, "stop", web)
	must(t, "start", web)
	if got := sh(t, web, "rm /full; echo text >/file; cat /file; for n in $(seq 2100); do : >/root/$n || break; done 2>&1 | tail -n1"); !strings.HasPrefix(got, "text\n") || !strings.Contains(got, "No space left") {
		t.Errorf("with room again: %q", got)
	}
	sh(t, web, "rm -r /root; mkdir /root")
	must(t, "stop", web)
	var st syscall.Stat_t
	if err := syscall.Stat(diskOf(t, web).Disk.Image, &st); err != nil || st.Blocks*512 > 8<<20 {
		t.Errorf("stopped and nearly empty, its image takes %d bytes, %v", st.Blocks*512, err)
	}
	must(t, "start", web)
	// The death of its monitor changes nothing.
	i := inspect(t, web)
	if err := syscall.Kill(i.MonitorPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, web, "cat /file"); got != "text" {
		t.Errorf("after the death of its monitor: %q", got)
	}
	must(t, "stop", web)
	eventually(t, "a stopped VPS has no loop device", func() bool { return loopDevicesOf(t, web) == "" })
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), "/vps/"+web+"/") {
		t.Error("it is mounted on the host")
	}
}

// The limit of a stopped VPS changes in any way, and its files stay as they are.
func TestDiskLimitChanges(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	web := boot(t, "busybox", "--network", "none")
	const files = "cat /root/f; stat -c '%a %u:%g %h' /root/g /srv/d; ls /etc/issue /srv; cat /srv/l"
	sh(t, web, "echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; chmod 4711 /root/f; rm /etc/issue; mkdir -m 711 /srv/d; mkfifo /srv/p; ln -s /root/f /srv/l")
	want := try("exec", web, "--", "sh", "-c", files).out
	refused(t, 5, "only while it is stopped", "set", web, "--disk", "64M")
	refused(t, 2, "needs a limit of the disk", "set", web, "--inodes", "5000")
	for _, disk := range []string{"64M", "96M", "32M", "unlimited", "48M"} {
		must(t, "stop", web)
		must(t, "set", web, "--disk", disk)
		must(t, "start", web)
		if got := try("exec", web, "--", "sh", "-c", files).out; got != want {
			t.Errorf("with --disk %s it has\n%s\nand not\n%s", disk, got, want)
		}
		dir := filepath.Join(world.root, "vps", web)
		images, _ := filepath.Glob(filepath.Join(dir, "disk.*"))
		_, err := os.Stat(filepath.Join(dir, "fs", "upper"))
		if limited := disk != "unlimited"; len(images) != map[bool]int{true: 1}[limited] || (err == nil) == limited {
			t.Errorf("with --disk %s its directory has %q; %v", disk, images, err)
		}
	}
	sh(t, web, "dd if=/dev/urandom of=/root/big bs=1M count=30 2>/dev/null")
	must(t, "stop", web)
	refused(t, 5, "do not fit", "set", web, "--disk", "24M")
	if got := diskOf(t, web).Disk.Bytes; got != 48<<20 {
		t.Errorf("after a refusal its disk has %d bytes", got)
	}
	must(t, "start", web)
	if got := sh(t, web, "wc -c </root/big"); strings.TrimSpace(got) != "31457280" {
		t.Errorf("after a refusal it has %s bytes", got)
	}
}

// Snapshots, clones, copies and backups know a VPS with an image.
func TestDiskLimitWithSnapshots(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--network", "none", "--disk", "64M")
	sh(t, web, "echo one >/root/f")
	must(t, "snapshot", "create", web, "live")
	sh(t, web, "echo two >/root/f; echo more >/root/g")
	if got := must(t, "snapshot", "diff", web, "live"); !strings.Contains(got, "A /root/g\n") && !strings.HasSuffix(got, "A /root/g") || !strings.Contains(got, "C /root/f") {
		t.Errorf("since the snapshot:\n%s", got)
	}
	must(t, "stop", web)
	must(t, "snapshot", "create", web, "stopped")
	if got := must(t, "diff", web); !strings.Contains(got, "A /root/g") {
		t.Errorf("of the stopped VPS:\n%s", got)
	}
	file := filepath.Join(t.TempDir(), "f")
	must(t, "cp", web+":/root/f", file)
	if text, err := os.ReadFile(file); string(text) != "two\n" {
		t.Errorf("cp copies %q, %v", text, err)
	}
	dir := must(t, "mount", web)
	if text, err := os.ReadFile(filepath.Join(dir, "root", "f")); string(text) != "two\n" {
		t.Errorf("mounted it has %q, %v", text, err)
	}
	refused(t, 5, "is mounted", "set", web, "--disk", "32M")
	must(t, "umount", web)
	must(t, "snapshot", "restore", web, "live")
	must(t, "start", web)
	if got := sh(t, web, "cat /root/f; ls /root"); got != "one\nf" {
		t.Errorf("restored it has %q", got)
	}
	other := name(t, "clone")
	must(t, "clone", web+"@stopped", other)
	t.Cleanup(func() { destroy(t, other) })
	must(t, "start", other)
	if got := sh(t, other, "cat /root/f /root/g; df -P / | awk 'NR==2 {print ($2 < 65536)}'"); got != "two\nmore\n1" {
		t.Errorf("the clone has %q", got)
	}
	must(t, "destroy", "--force", other)
	must(t, "snapshot", "delete", web, "live")
	must(t, "snapshot", "delete", web, "stopped")
	archive := filepath.Join(t.TempDir(), "web.tar")
	must(t, "export", web, archive)
	must(t, "destroy", "--force", web)
	must(t, "import", archive)
	must(t, "start", web)
	if got := sh(t, web, "cat /root/f; df -P / | awk 'NR==2 {print ($2 < 65536)}'"); got != "one\n1" {
		t.Errorf("imported it has %q", got)
	}
	must(t, "destroy", "--force", web)
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("layers are left: %q", after)
	}
}

// A plain tree can have a limit. A conversion keeps the limit, and a limit keeps the kind
// of storage.
func TestDiskLimitOfPlainStorage(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	before := layersOfRoot(t)
	web := boot(t, "busybox", "--network", "none", "--storage", "plain", "--disk", "64M")
	if got := sh(t, web, "df -P / | awk 'NR==2 {print ($2 > 50000 && $2 < 65536)}'"); got != "1" {
		t.Errorf("df inside says otherwise: %q", got)
	}
	if r := try("exec", web, "--", "sh", "-c", "cat /dev/zero >/full"); !strings.Contains(r.errOut, "No space left") {
		t.Errorf("it can be filled: %v", r)
	}
	sh(t, web, "set -e; rm /full /etc/issue; echo one >/root/f; ln /root/f /root/g; chown 7:8 /root/f; mkdir -p /var/lib/docker; mknod /var/lib/docker/gone c 0 0")
	const files = "cat /root/f; stat -c '%u:%g %h' /root/g; ls /etc/issue; stat -c '%t,%T %F' /var/lib/docker/gone"
	want := try("exec", web, "--", "sh", "-c", files).out
	is := func(what, vps, storage, limit string) {
		t.Helper()
		must(t, "start", vps)
		if got := try("exec", vps, "--", "sh", "-c", files).out; got != want {
			t.Errorf("%s it has\n%s\nand not\n%s", what, got, want)
		}
		if got := storageOf(t, vps); got != storage {
			t.Errorf("%s it has storage %q", what, got)
		}
		if got := must(t, "list", "--no-header", "--columns", "disk", "--filter", "name="+vps); !strings.HasSuffix(got, limit) {
			t.Errorf("%s: list says %q", what, got)
		}
		must(t, "stop", vps)
	}
	must(t, "snapshot", "create", web, "live")
	live, stopped := web+"-1", web+"-2"
	for _, vps := range []string{live, stopped} {
		t.Cleanup(func() { destroy(t, vps) })
	}
	must(t, "clone", web, live)
	refused(t, 5, "only while it is stopped", "set", web, "--disk", "32M")
	must(t, "stop", web)
	must(t, "clone", web, stopped)
	is("the clone of a running VPS", live, "plain", "/64M")
	is("the clone of a stopped VPS", stopped, "plain", "/64M")
	must(t, "set", web, "--disk", "48M")
	is("with less", web, "plain", "/48M")
	must(t, "convert", web, "--storage", "overlay")
	is("as an overlay", web, "overlay", "/48M")
	must(t, "set", web, "--disk", "unlimited")
	must(t, "set", web, "--disk", "32M")
	must(t, "convert", web, "--storage", "plain")
	is("as a plain tree again", web, "plain", "/32M")
	must(t, "set", web, "--disk", "unlimited")
	is("without a limit", web, "plain", "unlimited")
	must(t, "set", web, "--disk", "40M")
	must(t, "snapshot", "create", web, "stopped")
	must(t, "snapshot", "restore", web, "live")
	is("restored", web, "plain", "/64M") // with the settings of the snapshot
	must(t, "convert", web, "--storage", "overlay")
	must(t, "snapshot", "restore", web, "stopped")
	is("restored to a plain tree", web, "plain", "/40M")
	for _, vps := range []string{web, live, stopped} {
		must(t, "destroy", "--force", vps)
	}
	if after := layersOfRoot(t); len(after) != len(before) {
		t.Errorf("layers are left: %q", after)
	}
}

// storageOf is the kind of storage of a VPS.
func storageOf(t *testing.T, vps string) string {
	t.Helper()
	return must(t, "inspect", vps, "--format", "{{.storage}}")
}

// A conversion that does not fit into the limit changes nothing.
func TestConversionDoesNotFit(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	web := create(t, "busybox", "--network", "none", "--disk", "16M")
	file := filepath.Join(t.TempDir(), "big")
	noise := make([]byte, 9<<20)
	_, _ = rand.Read(noise) // zeros would become a hole
	if err := os.WriteFile(file, noise, 0o644); err != nil {
		t.Fatal(err)
	}
	template := web + "-big"
	t.Cleanup(func() { try("template", "remove", template) })
	must(t, "set", web, "--disk", "64M")
	must(t, "cp", file, web+":/root/a")
	must(t, "cp", file, web+":/root/b")
	must(t, "template", "create", template, "--from", web)
	big := create(t, template, "--network", "none", "--disk", "16M")
	refused(t, 5, "do not fit", "convert", big, "--storage", "plain")
	if got := storageOf(t, big); got != "overlay" {
		t.Errorf("after a refusal it has storage %q", got)
	}
	must(t, "start", big)
	if got := sh(t, big, "wc -c </root/b"); strings.TrimSpace(got) != "9437184" {
		t.Errorf("after a refusal it has %s bytes", got)
	}
	must(t, "destroy", "--force", big)
}

// A damaged file system is named, with a command that looks at it.
func TestDamagedDisk(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	web := create(t, "busybox", "--network", "none", "--disk", "64M")
	image := diskOf(t, web).Disk.Image
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+image, "bs=64k", "count=1", "conv=notrunc").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r := try("start", web); r.status != 5 || !strings.Contains(r.errOut, "is damaged") || !strings.Contains(r.errOut, "e2fsck -fn "+image) {
		t.Errorf("start: %v", r)
	}
	must(t, "list")
	must(t, "destroy", web)
}
