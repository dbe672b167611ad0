//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// treeOf is the root filesystem of a VPS that does not run, a line for each
// file: type and mode, owner as the VPS sees it, size, links, attributes and
// content. Hard links show which files are one.
func treeOf(t *testing.T, croft func(args ...string) string, vps string) map[string]string {
	t.Helper()
	root := croft("mount", vps)
	defer croft("umount", vps)
	var first unix.Stat_t
	if err := unix.Stat(root, &first); err != nil {
		t.Fatal(err)
	}
	all, same := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		line := fmt.Sprintf("%o %d:%d", st.Mode, int64(st.Uid)-int64(first.Uid), int64(st.Gid)-int64(first.Gid))
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + to
		case d.Type().IsRegular():
			if st.Nlink > 1 && same[st.Ino] == "" {
				same[st.Ino] = name
			}
			sum, err := digestOf(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d bytes, %d links (%s), %d.%09d, %s", st.Size, st.Nlink, same[st.Ino], st.Mtim.Sec, st.Mtim.Nsec, sum)
		}
		if d.Type().IsRegular() || d.IsDir() {
			more, err := attributesOf(path, first.Uid)
			if err != nil {
				return err
			}
			line += more
		}
		all[name] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}

// attributesOf are the extended attributes of a file, ids in them relative to
// the root that is first on the host.
func attributesOf(path string, first uint32) (string, error) {
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return "", err
	}
	var all []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.") {
			continue
		}
		value := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", err
		}
		all = append(all, fmt.Sprintf(" %s=%s", name, words(value[:n], first)))
	}
	slices.Sort(all)
	return strings.Join(all, ""), nil
}

// words is a value in hexadecimal, with numbers of four bytes that are ids
// which the test uses as what they are inside.
func words(value []byte, first uint32) string {
	text := ""
	for len(value) >= 4 {
		word := hex.EncodeToString(value[:4])
		for id := range uint32(10) {
			if word == littleEndian(first+id) {
				word = fmt.Sprintf("<%d>", id)
			}
		}
		text, value = text+word, value[4:]
	}
	return text + hex.EncodeToString(value)
}

func littleEndian(n uint32) string {
	return hex.EncodeToString([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

func sameTree(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	names := maps.Clone(got)
	maps.Copy(names, want)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if got[name] != want[name] {
			t.Errorf("%s: %s is\n%s\nand was\n%s", what, name, got[name], want[name])
		}
	}
	if len(want) < 20 {
		t.Errorf("there are only %d files", len(want))
	}
}

// changeMuch changes a VPS of busybox in every way that an image can tell of.
const changeMuch = `set -e
cd /root
mkdir -p deep/er; echo one >deep/er/file; ln deep/er/file deep/hard; ln deep/er/file /etc/hard; ln -s /nowhere soft
chmod 4755 deep/er/file; touch owned; chown 5:6 owned; mkfifo pipe; chmod 1777 deep
rm /etc/inittab; rm -r /var; mkdir /var; echo new >/var/only; mv /etc/passwd /etc/passwd-; cp /etc/passwd- /etc/passwd
chown -h 7:8 soft; dd if=/dev/zero of=holes bs=1 count=1 seek=3000000 2>/dev/null
mkdir "odd
name"; echo x >"odd
name/ü"`

// A VPS becomes a template, goes through a registry to another host, and there
// becomes a VPS that is the same.
func TestVPSRoundTrip(t *testing.T) {
	hostAsBefore(t)
	r := startRegistry(t)
	vps := boot(t, "busybox")
	if got := try("exec", vps, "--", "sh", "-c", changeMuch); got.status != 0 {
		t.Fatal(got)
	}
	must(t, "stop", "--fast", vps)
	// What busybox has no tool for is done on the host.
	root := must(t, "mount", vps)
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	bytes := func(text string) []byte { b, _ := hex.DecodeString(text); return b }
	for name, value := range map[string][]byte{
		"user.note":               []byte("kept\x00"),
		"security.capability":     bytes("010000030020000000000000" + "0000000000000000" + littleEndian(st.Uid)),
		"system.posix_acl_access": bytes("02000000" + "01000700ffffffff" + "02000400" + littleEndian(st.Uid+5) + "04000500ffffffff" + "10000500ffffffff" + "20000500ffffffff"),
	} {
		if err := unix.Setxattr(filepath.Join(root, "root/deep/er/file"), name, value, 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	must(t, "umount", vps)
	here := func(args ...string) string { return must(t, args...) }
	want := treeOf(t, here, vps)
	if line := want["/root/deep/er/file"]; !strings.Contains(line, "3 links") || !strings.Contains(line, "security.capability") || !strings.Contains(line, "<5>") {
		t.Errorf("the test has not made what it means to: %s", line)
	}

	template := name(t, "of-a-vps")
	made := must(t, "template", "create", "--keep-identity", template, "--from", vps)
	refused(t, 4, template, "template", "create", template, "--from", vps)
	defer must(t, "template", "remove", template)
	second := create(t, template, "--network", "none")
	sameTree(t, "a VPS made from it", treeOf(t, here, second), want)
	must(t, "destroy", second)

	ref := r.host + "/team/vps:1"
	r.must(world.root, "template", "push", template, ref)
	there := newSite(t)
	got := r.must(there.root, "template", "pull", ref, "pulled")
	if _, d, _ := strings.Cut(got, "@"); !strings.HasSuffix(made, "@"+d) {
		t.Errorf("pushed %s, pulled %s", made, got)
	}
	there.must("create", "--template", "pulled", "--network", "none", "same")
	sameTree(t, "elsewhere", treeOf(t, func(args ...string) string { return strings.TrimSpace(there.must(args...).out) }, "same"), want)
	there.must("start", "same")
	there.must("destroy", "--force", "same")
}

// A running VPS stands still while it becomes a template, and goes on.
func TestTemplateOfARunningVPS(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	sh(t, vps, `echo kept >/root/file; (while :; do date >>/root/log; done) >/dev/null 2>&1 & echo`)
	template := name(t, "of-a-running-vps")
	must(t, "template", "create", template, "--from", vps)
	defer must(t, "template", "remove", template)
	wantStatus(t, vps, "running")
	if got := in(t, vps, "cat", "/root/file"); got != "kept" {
		t.Errorf("afterwards: %q", got)
	}
	second := boot(t, template, "--network", "none")
	if got := in(t, second, "cat", "/root/file"); got != "kept" {
		t.Errorf("in a VPS made from it: %q", got)
	}
	must(t, "destroy", "--force", second)
	must(t, "pause", vps)
	must(t, "template", "create", template, "--from", vps, "--replace")
	wantStatus(t, vps, "paused")
	must(t, "resume", vps)
	must(t, "destroy", "--force", vps)
}

// With SOURCE_DATE_EPOCH a template of the same files is the same one.
func TestSourceDateOfATemplate(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--network", "none")
	template := name(t, "of-a-date")
	t.Cleanup(func() { try("template", "remove", template) })
	file, day := filepath.Join(t.TempDir(), "word"), int64(2)
	made := func(epoch string) string {
		t.Helper()
		day++
		if err := errors.Join(os.WriteFile(file, []byte("word"), 0o644), os.Chtimes(file, time.Time{}, time.Unix(day*86400, 0))); err != nil {
			t.Fatal(err)
		}
		must(t, "cp", file, vps+":/etc/word")
		ctx, cancel := context.WithTimeout(context.Background(), usual)
		defer cancel()
		args := []string{"template", "create", template, "--from", vps, "--replace"}
		cmd := command(ctx, args...)
		cmd.Env = append(cmd.Env, "SOURCE_DATE_EPOCH="+epoch)
		r := finish(cmd, args)
		if r.status != 0 {
			return r.errOut
		}
		return r.out
	}
	first, second := made("86400"), made("86400")
	if first != second || !strings.HasPrefix(first, template+"@sha256:") {
		t.Errorf("the first is %s, the second %s", first, second)
	}
	if other := made(""); other == first || !strings.HasPrefix(other, template+"@") {
		t.Errorf("without a date it is %s", other)
	}
	if says := made("never"); !strings.Contains(says, `invalid SOURCE_DATE_EPOCH "never"`) {
		t.Errorf("an invalid date: %s", says)
	}
}

// A file that is all hole costs nothing on the way into a template and out of it.
func TestHolesInATemplate(t *testing.T) {
	hostAsBefore(t)
	const size = "53687091200" // 50 GiB
	vps := boot(t, "busybox", "--network", "none")
	sh(t, vps, "truncate -s "+size+" /root/disk; echo kept | dd of=/root/disk bs=1M seek=1000 conv=notrunc 2>/dev/null")
	template := name(t, "holes")
	must(t, "template", "create", template, "--from", vps)
	t.Cleanup(func() { try("template", "remove", "--if-exists", template) })
	for _, format := range []string{"oci-archive", "docker-archive", "rootfs"} {
		file := filepath.Join(t.TempDir(), format)
		must(t, "template", "export", "--format", format, template, file)
		var st unix.Stat_t
		if err := unix.Stat(file, &st); err != nil {
			t.Fatal(err)
		}
		if st.Size > 64<<20 {
			t.Errorf("%s has %d bytes", format, st.Size)
		}
		again := name(t, "again")
		must(t, "template", "import", again, file)
		copied := create(t, again, "--network", "none")
		must(t, "start", copied)
		if got := sh(t, copied, "stat -c %s /root/disk; du -m /root/disk | cut -f 1; dd if=/root/disk bs=1M skip=1000 count=1 2>/dev/null | head -c 5"); !strings.HasPrefix(got, size+"\n") || !strings.HasSuffix(got, "\nkept") || len(got) > len(size)+9 {
			t.Errorf("%s: the copy has size, MiB on the disk, and content\n%s", format, got)
		}
		destroy(t, copied)
		must(t, "template", "remove", again)
	}
	destroy(t, vps)
}
