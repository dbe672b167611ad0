//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loopDevice is a block device with the content of a file, which it returns too.
func loopDevice(t *testing.T) (device, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := output("losetup", "--find", "--show", file)
	if err != nil {
		t.Skipf("no loop devices: %v: %s", err, out)
	}
	device = strings.TrimSpace(out)
	t.Cleanup(func() { _, _ = output("losetup", "--detach", device) })
	return device, file
}

// Devices of the host are inside with the rights that they were given, belong to
// the VPS's root, and come and go while it runs.
func TestDevices(t *testing.T) {
	hostAsBefore(t)
	disk, file := loopDevice(t)
	_, _ = output("udevadm", "settle") // a host with udev gives the node another owner now
	before := nodeOf(t, disk)
	zero := filepath.Join(t.TempDir(), "zero") // /dev/zero by another name
	if err := unix.Mknod(zero, unix.S_IFCHR|0o640, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	vps := boot(t, "busybox", "--device", zero+":/dev/blank", "--device", disk+":/dev/xvda:r")
	const look = "stat -c '%a %u:%g %t:%T' /dev/blank && head -c 3 /dev/blank | wc -c && head -c 1 /dev/xvda | wc -c"
	const want = "640 0:0 1:5\n3\n1"
	if got := strings.TrimSpace(sh(t, vps, look)); got != want {
		t.Errorf("inside: %q", got)
	}
	const write = "echo hello > /dev/xvda"
	if r := try("exec", vps, "--", "sh", "-c", write); r.status == 0 || !strings.Contains(r.errOut, "not permitted") {
		t.Errorf("a device that can be read was written: %s", r)
	}

	must(t, "set", vps, "--device-del", "/dev/xvda", "--device-add", disk+":/dev/xvda:rw,mode=600,gid=6", "--device-add", disk+":/dev/mapper/one:r")
	if got := strings.TrimSpace(sh(t, vps, write+" && sync && stat -c '%a %u:%g' /dev/xvda && head -c 5 /dev/mapper/one")); got != "600 0:6\nhello" {
		t.Errorf("after a change of rights: %q", got)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "hello\n") {
		t.Errorf("the disk has %.10q, %v", text, err)
	}
	refused(t, 3, "the host has no /dev/none", "set", vps, "--device-add", "/dev/none", "--device-del", "/dev/blank")
	refused(t, 2, "every VPS has its own", "set", vps, "--device-add", zero+":/dev/null")
	refused(t, 2, "has the device", "set", vps, "--device-add", zero+":/dev/xvda")
	refused(t, 3, "it has /dev/blank, /dev/xvda, /dev/mapper/one", "set", vps, "--device-del", "/dev/sda")
	sh(t, vps, "echo x > /dev/mine")
	refused(t, 5, "something else", "set", vps, "--device-add", zero+":/dev/mine")

	reboot(t, vps)
	eventually(t, "the VPS has rebooted with its devices", func() bool {
		r := try("exec", vps, "--", "sh", "-c", "head -c 5 /dev/mapper/one && test -e /dev/blank && test ! -e /dev/mine")
		return r.status == 0 && r.out == "hello"
	})

	must(t, "set", vps, "--device-del", "/dev/xvda", "--device-del", "/dev/mapper/one")
	if got := strings.TrimSpace(sh(t, vps, "ls /dev/xvda /dev/mapper/one 2>/dev/null; grep -c xvda /proc/mounts; true")); got != "0" {
		t.Errorf("after the removal: %q", got)
	}
	if after := nodeOf(t, disk); after != before {
		t.Errorf("the host's node was %s and is %s", before, after)
	}

	if err := os.Remove(zero); err != nil {
		t.Fatal(err)
	}
	must(t, "set", vps, "--device-add", disk+":/dev/other") // the one that has gone does not matter
	must(t, "stop", "--fast", vps)
	r := try("start", vps)
	checkRefusal(t, r, 8, "the host has no "+zero)
	if !strings.Contains(r.errOut, "croft set "+vps+" --device-del /dev/blank") {
		t.Errorf("no hint: %s", r)
	}
	must(t, "set", vps, "--device-del", "/dev/blank", "--device-add", "/dev/none:optional")
	must(t, "start", vps)
	sh(t, vps, "test -b /dev/other && test ! -e /dev/blank && test ! -e /dev/none")
}

func output(cmd ...string) (string, error) {
	out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
	return string(out), err
}

// nodeOf is the owner, mode and number of a device node.
func nodeOf(t *testing.T, path string) string {
	t.Helper()
	out, err := output("stat", "-c", "%a %u:%g %t:%T", path)
	if err != nil {
		t.Fatal(err, out)
	}
	return out
}

// A privileged VPS has devices too, at its start and while it runs.
func TestDevicesPrivileged(t *testing.T) {
	hostAsBefore(t)
	disk, _ := loopDevice(t)
	vps := boot(t, "busybox", "--privileged", "--device", disk+":/dev/xvda:r")
	if r := try("exec", vps, "--", "sh", "-c", "head -c 1 /dev/xvda && echo > /dev/xvda"); r.status == 0 || len(r.out) != 1 {
		t.Errorf("a read-only device: %s", r)
	}
	must(t, "set", vps, "--device-del", "/dev/xvda", "--device-add", disk+":/dev/xvdb")
	sh(t, vps, "test ! -e /dev/xvda && echo > /dev/xvdb")
	must(t, "set", vps, "--device-del", "/dev/xvdb")
	sh(t, vps, "test ! -e /dev/xvdb")
}
