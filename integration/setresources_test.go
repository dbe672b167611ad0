//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A cgroupOf reads files of the cgroup of a running VPS, on the host.
type cgroupOf struct {
	t   *testing.T
	vps string
}

// file returns the content of a file: of version 1 the controller's, or of version 2.
// It is "" if the host has no such file.
func (c cgroupOf) file(controller, version1, version2 string) string {
	c.t.Helper()
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", inspect(c.t, c.vps).PID))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		path := ""
		switch {
		case parts[1] == controller && controller != "":
			path = filepath.Join("/sys/fs/cgroup", controller, parts[2], version1)
		case parts[0] == "0" && exists("/sys/fs/cgroup/cgroup.controllers"):
			path = filepath.Join("/sys/fs/cgroup", parts[2], version2)
		}
		if text, err := os.ReadFile(path); err == nil {
			return strings.Join(strings.Fields(string(text)), " ")
		}
	}
	return ""
}

// is checks a file, if the host has it.
func (c cgroupOf) is(controller, version1, want1, version2, want2 string) {
	c.t.Helper()
	got := c.file(controller, version1, version2)
	if got != "" && got != want1 && got != want2 {
		c.t.Errorf("%s, or %s: %q, want %q or %q", version1, version2, got, want1, want2)
	}
}

// ioLimited checks whether the words are among the limits of reads in bytes and of
// writes in operations.
func (c cgroupOf) ioLimited(want bool, words ...string) {
	c.t.Helper()
	all := c.file("blkio", "blkio.throttle.read_bps_device", "io.max") + c.file("blkio", "blkio.throttle.write_iops_device", "io.max")
	for _, word := range words {
		if strings.Contains(all, word) != want {
			c.t.Errorf("limits of disks: %q, want %q: %t", all, word, want)
		}
	}
}

// Shares of what is busy, CPUs and rates of disks are in the VPS's cgroup from its
// start, change while it runs, are there after a restart, and end.
func TestSetResources(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox", "--memory-low", "16M", "--cpu-weight", "50", "--cpuset", "0", "--io-read", "10M", "--io-write", "200iops")
	c := cgroupOf{t, vps}
	const none = "9223372036854771712"
	c.is("memory", "memory.soft_limit_in_bytes", "16777216", "memory.low", "16777216")
	c.is("cpu", "cpu.shares", "421", "cpu.weight", "50")
	c.is("cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0")
	c.ioLimited(true, "10485760", "200")
	if got := in(t, vps, "nproc"); got != "1" {
		t.Errorf("%s CPUs", got)
	}
	must(t, "set", vps, "--memory-low", "32M", "--cpu-weight", "200", "--cpuset", "unlimited", "--io-read", "20M/s")
	weight := "300"
	if r := try("set", vps, "--io-weight", weight); r.status != 0 {
		if !strings.Contains(r.errOut, "this host's kernel has no I/O weights") {
			t.Error(r)
		}
		weight = "100"
	}
	changed := func(when string) {
		t.Helper()
		c.is("memory", "memory.soft_limit_in_bytes", "33554432", "memory.low", "33554432")
		c.is("cpu", "cpu.shares", "2451", "cpu.weight", "200")
		c.is("blkio", "blkio.bfq.weight", "118", "io.weight", "default "+weight)
		c.ioLimited(true, "20971520", "200")
		c.ioLimited(false, "10485760")
		if got, host := in(t, vps, "nproc"), hostCPUs(t); got != host {
			t.Errorf("%s: %s CPUs, the host has %s", when, got, host)
		}
		want := "32M 200 - " + weight + " 20M 200iops"
		if got := must(t, "list", "--no-header", "--columns", "memory-low,cpu-weight,cpuset,io-weight,io-read,io-write", "--filter", "name="+vps); strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%s: %q", when, got)
		}
	}
	changed("while it runs")
	must(t, "restart", "--wait", vps)
	changed("after a restart")
	if r := try("set", vps, "--at-restart", "--io-read", "30M", "--cpu-weight", "300"); r.status != 0 || !strings.Contains(r.errOut, "at its next start: cpu-weight, io-read") {
		t.Error(r)
	}
	c.ioLimited(false, "31457280")
	must(t, "set", vps, "--at-restart", "--io-read", "20M", "--cpu-weight", "200")
	changed("after changes for the next start were taken back")
	refused(t, 2, "does not have CPU 8000", "set", vps, "--cpuset", "0,8000", "--cpu-weight", "7")
	refused(t, 2, "it is not a disk", "set", vps, "--io-write", "/dev/null:1M", "--cpu-weight", "7")
	refused(t, 2, "does-not-exist", "set", vps, "--io-write", "/dev/does-not-exist:1M", "--cpu-weight", "7")
	changed("after refused changes")
	must(t, "set", vps, "--memory-low", "default", "--cpu-weight", "default", "--io-weight", "default", "--io-read", "unlimited", "--io-write", "unlimited")
	c.is("memory", "memory.soft_limit_in_bytes", none, "memory.low", "0")
	c.is("cpu", "cpu.shares", "1024", "cpu.weight", "100")
	c.is("blkio", "blkio.bfq.weight", "100", "io.weight", "default 100")
	c.ioLimited(false, "20971520", "200")
}

// hostCPUs is how many CPUs the host says that it has.
func hostCPUs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(strings.Count("\n"+string(text), "\nprocessor"))
}

// systemd keeps what croft set when it writes all files of the scope again, and the
// slice has the protected memory of its VPSs.
func TestSystemdKeepsResources(t *testing.T) {
	if !exists("/run/systemd/system") || !exists("/sys/fs/cgroup/cgroup.controllers") {
		t.Skip("cgroups of version 2 with systemd are needed")
	}
	hostAsBefore(t)
	vps := boot(t, "busybox", "--network", "none", "--memory-low", "16M", "--cpu-weight", "50", "--cpuset", "0", "--io-read", "10M")
	c := cgroupOf{t, vps}
	disk := c.file("", "", "io.max")
	kept := func(weight string) {
		t.Helper()
		for _, command := range []string{"systemctl set-property --runtime croft-" + vps + ".scope MemoryHigh=infinity", "systemctl daemon-reload"} {
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", command, err, out)
			}
			for file, want := range map[string]string{"memory.low": "16777216", "cpu.weight": "50", "cpuset.cpus": "0", "io.max": disk, "io.weight": weight} {
				if got := c.file("", "", file); got != want && got != "" {
					t.Errorf("after %s: %s is %q, want %q", command, file, got, want)
				}
			}
		}
	}
	kept("default 100")
	if r := try("set", vps, "--io-weight", "300"); r.status == 0 {
		kept("default 300")
		must(t, "restart", "--wait", vps)
		kept("default 300")
	}
	if below, err := strconv.Atoi(c.file("", "", "../memory.low")); err != nil || below < 16<<20 {
		t.Errorf("the slice protects %d bytes: %v", below, err)
	}
}
