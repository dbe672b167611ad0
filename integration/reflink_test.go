//go:build integration

package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// On xfs and btrfs copies of files share their blocks: a clone, a snapshot and a conversion of
// a VPS with a plain tree need next to no space.
func TestReflinks(t *testing.T) {
	for kind, mkfs := range map[string][]string{"xfs": {"mkfs.xfs", "-q"}, "btrfs": {"mkfs.btrfs", "-q"}} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath(mkfs[0]); err != nil {
				t.Skip("no ", mkfs[0], ": ", err)
			}
			hostAsBefore(t)
			known, err := os.ReadFile("/proc/filesystems")
			if err != nil {
				t.Fatal(err)
			}
			image := newImage(t, kind, mkfs...)
			if !image.mount("loop") {
				if strings.Contains(string(known), "\t"+kind+"\n") {
					t.Fatal("the kernel knows the file system and cannot mount it")
				}
				t.Skip("this kernel has no ", kind)
			}
			s := image.site()
			plain, overlay := name(t, "plain"), name(t, "overlay")
			cloned := name(t, "cloned")
			t.Cleanup(func() { s.try("destroy", "--force", "--if-exists", plain, overlay, cloned) })
			s.must("create", plain, "--template", "busybox", "--network", "none", "--storage", "plain")
			s.must("create", overlay, "--template", "busybox", "--network", "none")
			s.must("start", "--wait", plain, overlay)
			const size = 64 << 20
			for _, vps := range []string{plain, overlay} {
				s.sh(vps, "head -c 67108864 /dev/urandom >/srv/data && sync")
			}
			before := used(t, image.at)
			s.must("snapshot", "create", plain, "first")
			s.must("stop", "--fast", plain, overlay)
			s.must("clone", plain, cloned)
			s.must("convert", overlay, "--storage", "plain")
			if now := used(t, image.at); now > before+size/2 {
				t.Errorf("a snapshot, a clone and a conversion of %d bytes need %d", size, now-before)
			}
			s.must("start", "--wait", plain, cloned, overlay)
			sums := map[string]bool{}
			s.sh(plain, "echo changed >>/srv/data")
			for _, vps := range []string{plain, cloned} {
				sums[s.sh(vps, "md5sum </srv/data")] = true
			}
			if len(sums) != 2 {
				t.Error("a change of one file is in its clone, too")
			}
			s.must("stop", "--fast", plain)
			s.must("snapshot", "restore", plain, "first")
			s.must("start", "--wait", plain)
			if sums[s.sh(plain, "md5sum </srv/data")] = true; len(sums) != 2 {
				t.Error("the snapshot has not the files of before")
			}
		})
	}
}

// used returns how many bytes of the file system are in use.
func used(t *testing.T, at string) int64 {
	t.Helper()
	unix.Sync()
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}
