//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMount(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	dir := must(t, "mount", vps)
	if got := must(t, "mount", vps); got != dir || filepath.Base(dir) != "rootfs" {
		t.Fatalf("mounted at %s, and then at %s", dir, got)
	}
	if err := os.WriteFile(filepath.Join(dir, "from-the-host"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, 5, "mounted umount", "start", vps)
	used, err := os.Open(filepath.Join(dir, "from-the-host"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, 6, "in use", "umount", vps)
	refused(t, 6, "in use", "destroy", "--force", vps)
	used.Close()
	must(t, "umount", vps)
	must(t, "umount", vps)
	must(t, "start", vps)
	if got := in(t, vps, "cat", "/from-the-host"); got != "hello" {
		t.Errorf("inside: %q", got)
	}
	refused(t, 5, "running", "mount", vps)
	refused(t, 5, "running", "umount", vps)
	must(t, "stop", "--fast", vps)
	must(t, "mount", vps)

	// The monitor of one that is started meanwhile does not keep it mounted.
	other := boot(t, "busybox")
	pid := inspect(t, other).MonitorPID
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil || strings.Contains(string(mounts), dir) || !strings.Contains(string(mounts), other) {
		t.Errorf("%v, mounts of the monitor of another:\n%s", err, mounts)
	}
	must(t, "destroy", vps)
}

// reachable mounts a bundle where the root of its VPS, host user first, and no
// other user of the host can reach it. The test unmounts it.
func reachable(t *testing.T, bundle string, first uint32) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "bundle")
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, "bundle")
	if err := errors.Join(os.Mkdir(place, 0o755), os.Chown(dir, 0, int(first)), os.Chmod(dir, 0o710),
		unix.Mount(bundle, place, "", unix.MS_BIND|unix.MS_REC, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(place, unix.MNT_DETACH) // a test that failed has left it
		if err := errors.Join(os.Remove(place), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return place
}

// The bundle of a stopped VPS is one that other runtimes run as it is.
func TestBundleInOtherRuntimes(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--memory", "64M", "--pids", "100")
	config := must(t, "inspect", "--bundle", vps)
	bundle := reachable(t, filepath.Dir(must(t, "mount", vps)), inspect(t, vps).IDs.First)
	if text, err := os.ReadFile(filepath.Join(bundle, "config.json")); err != nil || strings.TrimSpace(string(text)) != config {
		t.Errorf("config.json is\n%s\n%v, and what is shown\n%s", text, err, config)
	}
	ran := ""
	for _, name := range []string{"runc", "crun"} {
		t.Run(name, func(t *testing.T) {
			program := tool(t, name)
			if name == "crun" {
				hideHybrid(t)
			}
			before := ownerOfNull(t)
			runElsewhere(t, program, bundle, vps)
			if after := ownerOfNull(t); after != before {
				t.Errorf("/dev/null was %v, and is %v", before, after)
			}
			ran += name + "\n"
		})
	}
	if err := unix.Unmount(bundle, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	must(t, "umount", vps)
	must(t, "start", "--wait", vps)
	if got := in(t, vps, "sh", "-c", "touch /runs; cat /runs"); got != strings.TrimSpace(ran) {
		t.Errorf("it was run by %q, and says %q", ran, got)
	}
}

// hideHybrid covers the second hierarchy of a hybrid host, on which crun
// refuses to work if it has controllers.
func hideHybrid(t *testing.T) {
	t.Helper()
	const unified = "/sys/fs/cgroup/unified"
	if !exists(unified) {
		return
	}
	if err := unix.Mount("covered", unified, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(unified, 0); err != nil {
			t.Error(err)
		}
	})
}

// runElsewhere runs a bundle of a VPS with another runtime, and looks at it
// from the inside.
func runElsewhere(t *testing.T, program, bundle, id string) {
	t.Helper()
	o := &oci{t: t, program: []string{program}, root: filepath.Join(t.TempDir(), "root"), bundle: bundle}
	if exists("/run/systemd/system") { // sd_booted(3): then the bundle's cgroup is systemd's
		o.program = append(o.program, "--systemd-cgroup")
	}
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	elsewhere(o, "create", "--console-socket", path, id)
	defer elsewhere(o, "delete", "--force", id)
	master := receiveDescriptor(t, listener)
	defer master.Close()
	elsewhere(o, "start", id)
	if got := o.state(id).Status; got != "running" {
		t.Errorf("it is %s", got)
	}
	// A process that is just being executed cannot be looked into, and crun
	// does not wait for that: setns(2) is refused.
	eventually(t, id+" can be entered", func() bool { _, err := tryElsewhere(o, "exec", id, "true"); return err == nil })
	elsewhere(o, "exec", id, "sh", "-c", "echo "+filepath.Base(program)+" >>/runs")
	if got := elsewhere(o, "exec", id, "hostname"); got != id {
		t.Errorf("its name is %q", got)
	}
	if got := elsewhere(o, "exec", id, "cat", "/proc/self/uid_map"); len(strings.Fields(got)) != 3 || strings.Fields(got)[1] == "0" {
		t.Errorf("root inside is the host's: %s", got)
	}
}

// elsewhere runs another runtime, which has to succeed.
func elsewhere(o *oci, args ...string) string {
	o.t.Helper()
	said, err := tryElsewhere(o, args...)
	if err != nil {
		o.t.Fatalf("%v: %v\n%s", args, err, said)
	}
	return said
}

// tryElsewhere runs another runtime with files for its stdio and returns what
// it printed, without the last newline. crun before 1.9 gives what it has as stdio
// to root inside, and would do so with the host's /dev/null.
func tryElsewhere(o *oci, args ...string) (string, error) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := o.command(ctx, args...)
	file, err := os.OpenFile(filepath.Join(o.t.TempDir(), "stdio"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		o.t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, file
	err = cmd.Run()
	said, _ := os.ReadFile(file.Name())
	return strings.TrimSuffix(string(said), "\n"), err
}

// ownerOfNull is who owns /dev/null.
func ownerOfNull(t *testing.T) [2]uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/dev/null", &st); err != nil {
		t.Fatal(err)
	}
	return [2]uint32{st.Uid, st.Gid}
}
