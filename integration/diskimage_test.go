//go:build integration

package integration

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An image of a disk with a table of partitions, as of cloud images and machinectl, becomes a
// template that boots. One of a file system does, too.
func TestDiskImage(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := makeDiskImage(t)
	shell(t, "cd "+dir+" && gzip -k disk.img")
	for _, file := range []string{"part.img", "disk.img", "disk.img.gz"} {
		importsDisk(t, filepath.Join(dir, file))
	}
	none := filepath.Join(dir, "none.img")
	shell(t, "head -c 1048576 "+filepath.Join(dir, "disk.img")+" >"+none)
	refused(t, 2, "no partition", "template", "import", "none", none)
}

// importsDisk imports an image of makeDiskImage, and boots a VPS of it.
func importsDisk(t *testing.T, file string) {
	t.Helper()
	template := strings.ToLower(name(t, strings.ReplaceAll(filepath.Base(file), ".", "-")))
	t.Cleanup(func() { try("template", "remove", template) })
	must(t, "template", "import", template, file)
	vps := boot(t, template)
	if got := sh(t, vps, "cat /srv/link; stat -c %h /srv/text; ls -d /lost+found"); strings.Join(strings.Fields(got), " ") != "from a disk 2 /lost+found" {
		t.Errorf("%s: it has %q", file, got)
	}
}

// makeDiskImage returns a new directory with a file system of busybox, part.img, and a disk with
// a table of partitions that has it, disk.img.
func makeDiskImage(t *testing.T) (dir string) {
	t.Helper()
	const first = 2048 // sectors
	dir = t.TempDir()
	shell(t, "cd "+dir+" && mkdir root && "+world.croft+" --root "+world.root+" template export busybox - --format rootfs | tar -C root -xf - && "+
		"mkdir -p root/srv && echo from a disk >root/srv/text && ln root/srv/text root/srv/link && "+
		"mkfs.ext4 -q -d root part.img 48M && truncate -s 1M disk.img && cat part.img >>disk.img")
	table := make([]byte, 1<<10+512)
	copy(table[510:], "\x55\xaa")
	copy(table[512:], "EFI PART")
	binary.LittleEndian.PutUint64(table[512+72:], 2)
	binary.LittleEndian.PutUint32(table[512+80:], 1)
	binary.LittleEndian.PutUint32(table[512+84:], 128)
	copy(table[1024:], "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4") // a file system of Linux
	binary.LittleEndian.PutUint64(table[1024+32:], first)
	binary.LittleEndian.PutUint64(table[1024+40:], first+48<<11-1)
	f, err := os.OpenFile(filepath.Join(dir, "disk.img"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(table, 0)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
