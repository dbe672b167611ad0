//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newQuotaSite is newSite on a new file system with project quotas. A test is skipped where
// the kernel can mount it without quotas alone.
func newQuotaSite(t *testing.T, mkfs ...string) *site {
	t.Helper()
	image := newImage(t, "quota-"+filepath.Base(mkfs[0]), mkfs...)
	if !image.mount("loop,prjquota") {
		if !image.mount("loop,ro") && !image.mount("loop") {
			t.Fatal("the file system cannot be mounted at all")
		}
		t.Skip("this kernel has no quotas")
	}
	return image.site()
}

// sh runs a script in a VPS of the site.
func (s *site) sh(vps, script string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must("exec", vps, "--", "sh", "-c", script).out)
}

// isFull sees that the disk of a VPS has no room for so many MiB.
func (s *site) isFull(vps string, mib string) {
	s.t.Helper()
	s.refusesSpace(vps, "fallocate -l "+mib+"M /full")
}

// refusesSpace sees that a script inside fails because the disk is full.
func (s *site) refusesSpace(vps, script string) {
	s.t.Helper()
	r := s.try("exec", vps, "--", "sh", "-c", script)
	if message := strings.ToLower(r.errOut); r.status == 0 || !strings.Contains(message, "quota exceeded") && !strings.Contains(message, "no space left") {
		s.t.Errorf("%s has room for %s: %v", vps, script, r)
	}
	s.sh(vps, "rm -f /full")
}

func (s *site) disk(vps string) diskInfo {
	s.t.Helper()
	var i diskInfo
	if err := json.Unmarshal([]byte(s.must("inspect", vps).out), &i); err != nil {
		s.t.Fatal(err)
	}
	return i
}

// With project quotas a limit changes while the VPS runs, up and down. It is full for the
// VPS alone, and df inside shows it. Snapshots, clones, conversions and other kinds of
// limits keep its files.
func TestDiskQuota(t *testing.T) {
	for kind, mkfs := range map[string][]string{
		"ext4": {"mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"},
		"xfs":  {"mkfs.xfs", "-q"},
	} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath(mkfs[0]); err != nil {
				t.Skip("no ", mkfs[0], ": ", err)
			}
			hostAsBefore(t)
			testDiskQuota(t, newQuotaSite(t, mkfs...))
		})
	}
}

func testDiskQuota(t *testing.T, s *site) {
	if got := s.try("host", "check").out; !strings.Contains(got, "by project quotas") {
		t.Errorf("host check: %s", got)
	}
	s.must("create", "web", "--template", "busybox", "--network", "none", "--disk", "64M", "--inodes", "2000")
	s.must("create", "other", "--template", "busybox", "--network", "none", "--disk", "32M", "--storage", "plain")
	s.must("start", "--wait", "web", "other")
	const df = "df -P / | awk 'NR==2 {print $2}'; df -Pi / | awk 'NR==2 {print $2}'"
	if got := s.sh("web", df); got != "65536\n2000" {
		t.Errorf("df inside: %q", got)
	}
	if got := s.sh("other", df); got != "32768\n2048" {
		t.Errorf("df inside the plain one: %q", got)
	}
	if d := s.disk("web").Disk; d.Kind != "quota" || d.UsedBytes == nil || *d.UsedBytes > 1<<20 || *d.UsedInodes < 3 {
		t.Errorf("inspect: %+v", d)
	}
	s.refusesSpace("web", "cat /dev/zero >/full")
	s.isFull("other", "40")
	s.sh("web", "echo one >/root/f; chown 7:8 /root/f; ln -s f /root/l; mkdir -p /var/lib/docker; rm /etc/issue; dd if=/dev/zero of=/var/lib/docker/big bs=1M count=40 2>/dev/null; sync")
	s.isFull("web", "30") // these count too
	s.must("set", "web", "--disk", "128M", "--inodes", "default")
	if got := s.sh("web", df+"; dd if=/dev/zero of=/more bs=1M count=60 2>/dev/null && rm /more && echo fits"); got != "131072\n8192\nfits" {
		t.Errorf("with more: %q", got)
	}
	if r := s.try("set", "web", "--disk", "32M"); r.status != 5 || !strings.Contains(r.errOut, "do not fit") {
		t.Errorf("less than it uses: %v", r)
	}
	s.sh("web", "rm /var/lib/docker/big; sync")
	s.must("set", "web", "--disk", "20M")
	s.isFull("web", "24")
	if r := s.try("exec", "web", "--", "sh", "-c", "for n in $(seq 1500); do : >/root/n$n || exit; done"); r.status == 0 {
		t.Errorf("it has no limit of inodes: %v", r)
	}
	s.sh("web", "rm /root/n*")

	const files = "cat /root/f; stat -c '%u:%g' /root/f; readlink /root/l; ls /etc/issue"
	want := s.try("exec", "web", "--", "sh", "-c", files).out
	is := func(what, vps string, kind string, kib string) {
		t.Helper()
		s.must("start", "--wait", vps)
		if got := s.try("exec", vps, "--", "sh", "-c", files).out; got != want {
			t.Errorf("%s it has\n%s\nand not\n%s", what, got, want)
		}
		if got := s.disk(vps).Disk.Kind; got != kind {
			t.Errorf("%s its disk has the kind %q", what, got)
		}
		if got, _, _ := strings.Cut(s.sh(vps, df), "\n"); kib != "" && got != kib {
			t.Errorf("%s df says %s", what, got)
		}
	}
	s.must("snapshot", "create", "web", "live")
	s.must("clone", "web", "copy")
	s.must("stop", "web")
	s.must("snapshot", "create", "web", "stopped")
	is("the clone", "copy", "quota", "20480")
	s.isFull("copy", "24")
	s.must("destroy", "--force", "copy")
	s.must("snapshot", "restore", "web", "live")
	is("restored", "web", "quota", "20480")
	s.isFull("web", "24")
	s.must("stop", "web")
	s.must("convert", "web", "--storage", "plain")
	is("as a plain tree", "web", "quota", "20480")
	s.isFull("web", "24")
	s.must("stop", "web")
	s.must("set", "web", "--disk", "unlimited")
	is("without a limit", "web", "", "")
	s.must("stop", "web")
	s.must("convert", "web", "--storage", "overlay")
	s.must("set", "web", "--disk", "24M")
	is("with a limit again", "web", "quota", "24576")
	s.isFull("web", "28")
	s.must("stop", "web")
	s.must("rename", "web", "www")
	is("renamed", "www", "quota", "24576")
	if r := s.try("create", "big", "--template", "busybox", "--network", "none", "--disk", "16M", "--storage", "plain", "--inodes", "1024"); r.status != 0 {
		t.Errorf("a small one: %v", r)
	}
}

// A limit of an image grows while the VPS runs, where croft may do that.
func TestDiskImageGrowsLive(t *testing.T) {
	hostAsBefore(t)
	needLoopDevices(t)
	web := boot(t, "busybox", "--network", "none", "--disk", "32M")
	if kind := diskOf(t, web).Disk.Kind; kind != "image" {
		t.Skipf("limits are of the kind %s here", kind)
	}
	if r := try("exec", web, "--", "sh", "-c", "dd if=/dev/zero of=/a bs=1M count=40"); r.status == 0 {
		t.Errorf("it is not full: %v", r)
	}
	if !mayGrow(t) {
		refused(t, 5, "only while it is stopped", "set", web, "--disk", "96M")
		return
	}
	must(t, "set", web, "--disk", "96M")
	if got := sh(t, web, "rm /a; dd if=/dev/zero of=/b bs=1M count=70 2>/dev/null && df -P / | awk 'NR==2 {print ($2 > 80000 && $2 <= 98304)}'"); got != "1" {
		t.Errorf("with more: %q", got)
	}
	must(t, "restart", web)
	if got := sh(t, web, "wc -c </b"); strings.TrimSpace(got) != "73400320" {
		t.Errorf("after a restart the file has %s bytes", got)
	}
	refused(t, 5, "only while it is stopped", "set", web, "--disk", "80M")
}

// mayGrow reports whether this process has CAP_SYS_RESOURCE, which a mounted file system of
// ext4 needs to grow.
func mayGrow(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n&(1<<unix.CAP_SYS_RESOURCE) != 0
		}
	}
	t.Fatal("no CapEff in /proc/self/status")
	return false
}
