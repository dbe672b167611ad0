//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// misleadStage changes what names mean inside a VPS, as its root, without end.
const misleadStage = "mislead"

// misleadInside puts files of the host's at /etc for an instant, again and again:
// device nodes and the boot id. What croft does to /etc by its name at such an
// instant, it does to them.
func misleadInside() int {
	fmt.Println("ready")
	for n := 0; ; n++ {
		theirs := []string{"/dev/full", "/dev/null", "/proc/sys/kernel/random/boot_id"}[n%3]
		if unix.Rename("/etc", "/etc.away") != nil {
			continue
		}
		fd, err := unix.Open("/etc", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
		if err == nil {
			unix.Close(fd)
			if unix.Mount(theirs, "/etc", "", unix.MS_BIND, "") == nil {
				_ = unix.Unmount("/etc", unix.MNT_DETACH)
			}
			_ = unix.Unlink("/etc")
		}
		if err := unix.Rename("/etc.away", "/etc"); err != nil {
			_ = os.RemoveAll("/etc") // croft has created one in its place
			_ = unix.Rename("/etc.away", "/etc")
		}
	}
}

// hostFiles are files of the host's that a VPS sees, with owner and mode. The
// last two are croft's own, which the host sees by the VPS's root directory alone.
func hostFiles(t *testing.T, vps string) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := fmt.Sprintf("/proc/%d/root", inspect(t, vps).PID)
	for _, name := range []string{"/dev/full", "/dev/null", "/dev/zero", "/dev/tty", "/dev/urandom", "/proc/vmallocinfo",
		root + "/proc/sys/kernel/random/boot_id", root + "/run/host/notify"} {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[strings.TrimPrefix(name, root)] = fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode)
	}
	return all
}

func unchanged(t *testing.T, was, is map[string]string) {
	t.Helper()
	for name, before := range was {
		if is[name] != before {
			t.Errorf("%s of the host was %s and is %s", name, before, is[name])
		}
	}
}

// However fast root inside changes what /etc is, croft, which writes the names
// of other VPSs there, never makes it the owner of a file of the host's.
func TestMisleadingNames(t *testing.T) {
	hostAsBefore(t)
	mallory, other := boot(t, "busybox"), boot(t, "busybox")
	bring(t, mallory)
	was := hostFiles(t, mallory)
	start := "/attack >/tmp/mislead 2>&1 & echo $! >/tmp/pid; until grep -q ready /tmp/mislead; do sleep 0.1; done"
	must(t, "exec", "--env", stageVariable+"="+misleadStage, mallory, "--", "sh", "-c", start)
	more := on(t, true, 232)
	for range 60 {
		must(t, "set", other, "--ip-add", more)
		must(t, "set", other, "--ip-del", more)
		unchanged(t, was, hostFiles(t, mallory))
		if t.Failed() {
			break
		}
	}
	sh(t, mallory, "kill -9 $(cat /tmp/pid); [ ! -d /etc.away ] || { umount /etc; rm -rf /etc; mv /etc.away /etc; }")
	must(t, "restart", "--fast", mallory)
	if got := in(t, mallory, "stat", "-c", "%U", "/etc"); got != "root" {
		t.Errorf("its /etc belongs to %s", got)
	}
}

func killMonitor(t *testing.T, vps string) {
	t.Helper()
	pid := inspect(t, vps).MonitorPID
	if pid == 0 {
		t.Fatalf("%s has no monitor", vps)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the monitor is gone", func() bool { _, err := os.Stat(monitorDir(pid)); return err != nil })
}

func adopted(t *testing.T, vps string) {
	t.Helper()
	must(t, "exec", vps, "--", "true") // which gives it a new monitor
	eventually(t, "it has a monitor again", func() bool {
		i := inspect(t, vps)
		return i.MonitorPID != 0 && i.Status == "running"
	})
}

// A VPS that gets a new console when its monitor was killed gets only that,
// whatever its root has put at /dev/pts and /dev/console.
func TestMisleadingConsole(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	was := hostFiles(t, vps)
	sh(t, vps, `mkdir /tmp/rp; mount -t devpts -o newinstance,ptmxmode=0666 rp /tmp/rp; mount -t tmpfs x /dev/pts
ln -s /tmp/rp/ptmx /dev/pts/ptmx
n=0; for to in /dev/full /proc/vmallocinfo /proc/sys/kernel/random/boot_id /run/host/notify; do ln -s $to /dev/pts/$n; n=$((n+1)); done`)
	for n := range 4 {
		killMonitor(t, vps)
		adopted(t, vps)
		unchanged(t, was, hostFiles(t, vps))
		mark := fmt.Sprintf("heard-%d", n)
		sh(t, vps, "echo "+mark+" >/dev/console")
		eventually(t, "the new console is heard", func() bool { return strings.Contains(must(t, "logs", vps), mark) })
		if got := in(t, vps, "stat", "-c", "%t %u", "/dev/console"); got != "88 0" {
			t.Errorf("its console is %s", got)
		}
	}
	for _, hostile := range []string{
		"umount -l /dev/console; rm -f /dev/console",
		"ln -s /dev/full /dev/console",
		"rm /dev/console; mkdir /dev/console",
		"umount -l /dev; mv /dev /dev.away; ln -s /proc /dev",
	} {
		sh(t, vps, hostile)
		killMonitor(t, vps)
		adopted(t, vps)
		unchanged(t, was, hostFiles(t, vps))
	}
	killMonitor(t, vps)
	must(t, "stop", vps)
	wantStatus(t, vps, "stopped")
	must(t, "start", "--wait", vps)
	killMonitor(t, vps)
	must(t, "kill", vps)
	wantStatus(t, vps, "stopped")
}

// Whatever root inside makes of its own files, its VPS starts again, and what it
// had there is not lost.
func TestFilesNeverKeepFromStarting(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	for _, c := range []struct{ hostile, repair string }{
		{"mv /etc /etc.away; ln -s /nowhere /etc", "rm /etc; mv /etc.away /etc"},
		{"mv /etc /etc.away; ln -s etc /etc", "rm /etc; mv /etc.away /etc"},
		{"mv /etc /etc.away; echo data >/etc", "rm /etc; mv /etc.away /etc"},
		{"ln -s /nowhere /etc/systemd; mkdir -p /usr/lib/systemd; ln -s /bin/busybox /usr/lib/systemd/systemd-networkd", "rm -rf /etc/systemd /usr/lib/systemd"},
		{"rm -f /etc/hosts /etc/resolv.conf /etc/hostname; mkdir -p /etc/hosts/x; mkfifo /etc/resolv.conf; ln -s hostname /etc/hostname", "rm -rf /etc/hosts /etc/resolv.conf /etc/hostname"},
		{"mkdir -p /etc/.hosts.croft/x /etc/.hostname.croft; rm /etc/hosts", "rm -rf /etc/.hosts.croft /etc/.hostname.croft"},
		{"rm -f /etc/hosts; truncate -s 1T /etc/hosts; truncate -s 1T /etc/fstab; mv /etc/passwd /etc/passwd.away; ln -s passwd /etc/passwd", "rm -f /etc/hosts /etc/fstab /etc/passwd; mv /etc/passwd.away /etc/passwd"},
		{"chmod 0 /etc /; chown 12:13 /etc /", "chmod 755 /etc /; chown 0:0 /etc /"},
		{"umount -l /run; rm -rf /run; echo data >/run", "test \"$(cat /run.moved-0)\" = data && rm /run.moved-0"},
		{"umount -l /dev; rm -rf /dev; ln -s /nowhere /dev", "test -L /dev.moved-0 && rm /dev.moved-0"},
		{"umount -l /run; umount -l /dev; rm -rf /run /dev; ln -s /proc /dev; ln -s /dev /run", "rm /dev.moved-0 /run.moved-0"},
		{"umount -l /sys; umount -l /proc; mv /proc /proc.away; ln -s proc.away /proc; rm -rf /sys; ln -s etc /sys", "rm -r /proc.moved-0 /sys.moved-0 /proc.away"},
	} {
		try("exec", vps, "--", "sh", "-c", c.hostile) // without /proc it may have no answer
		must(t, "stop", "--fast", vps)
		r := try("start", vps)
		if r.status != 0 {
			t.Fatalf("after %s: %s", c.hostile, r)
		}
		wantStatus(t, vps, "running")
		sh(t, vps, c.repair)
		must(t, "restart", "--fast", vps)
		if got := in(t, vps, "hostname"); got != vps {
			t.Errorf("after %s and repair its name is %q", c.hostile, got)
		}
	}
}

// The device nodes of a VPS are its own files, which every user inside may open
// whatever the modes of the host's are, and not the host's.
func TestDeviceNodes(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	was := hostFiles(t, vps)
	for name, number := range map[string]string{"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8",
		"urandom": "1:9", "tty": "5:0", "fuse": "a:e5", "net/tun": "a:c8"} {
		node := "/dev/" + name
		var host unix.Stat_t
		if err := unix.Stat(node, &host); err != nil {
			t.Logf("this host has no %s", node)
			continue
		}
		if got := in(t, vps, "stat", "-c", "%t:%T %a %u:%g", node); got != number+" 666 0:0" {
			t.Errorf("%s is %s", node, got)
		}
		if got := in(t, vps, "stat", "-c", "%d:%i", node); got == fmt.Sprintf("%d:%d", host.Dev, host.Ino) {
			t.Errorf("%s is the host's file", node)
		}
		if name == "tty" || name == "fuse" || name == "net/tun" { // which open needs a terminal, or the module
			continue
		}
		must(t, "exec", "--user", "65534", vps, "--", "sh", "-c", "exec 3<>"+node)
	}
	sh(t, vps, "chown 7:7 /dev/full && chmod 0 /dev/full && umount /dev/full && test ! -c /dev/full")
	unchanged(t, was, hostFiles(t, vps))
	sh(t, vps, "echo lost >/dev/null; test $(head -c 4096 /dev/zero | wc -c) = 4096")
	must(t, "restart", "--wait", vps)
	if got := in(t, vps, "stat", "-c", "%a %u", "/dev/full"); got != "666 0" {
		t.Errorf("after a restart /dev/full is %s", got)
	}
}
