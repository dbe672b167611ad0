//go:build integration

package integration

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk image in the format of QEMU becomes a template that boots.
func TestQcow2Image(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	qemuImg := tool(t, "qemu-img")
	dir := makeDiskImage(t)
	shell(t, "cd "+dir+" && "+qemuImg+" convert -f raw -O qcow2 disk.img plain.qcow2 && "+
		qemuImg+" convert -f raw -O qcow2 -c -o compat=0.10 disk.img named-otherwise && xz -k plain.qcow2")
	for _, file := range []string{"plain.qcow2", "named-otherwise", "plain.qcow2.xz"} {
		importsDisk(t, filepath.Join(dir, file))
	}
	made := filepath.Join(dir, name(t, "by-create")+".qcow2")
	if err := os.Rename(filepath.Join(dir, "plain.qcow2"), made); err != nil {
		t.Fatal(err)
	}
	template := strings.TrimSuffix(filepath.Base(made), ".qcow2")
	t.Cleanup(func() { try("template", "remove", template) })
	if r := try("run", "--rm", "--network", "none", "--template", made, "--", "cat", "/srv/text"); r.status != 0 || r.out != "from a disk\n" || !strings.Contains(r.errOut, "importing it as "+template) {
		t.Error(r)
	}
}

// An image that names another file of the host is refused, and the file is not opened. So are
// images of disks that are too large, and damaged ones.
func TestHostileQcow2Image(t *testing.T) {
	hostAsBefore(t)
	qemuImg := tool(t, "qemu-img")
	dir := makeDiskImage(t)
	secret := filepath.Join(dir, "disk.img") // which could be imported
	shell(t, "cd "+dir+" && "+qemuImg+" create -q -f qcow2 -F raw -b "+secret+" backed.qcow2 && "+
		qemuImg+" create -q -f qcow2 -o data_file=disk2.img,data_file_raw=on outside.qcow2 50M && cp disk.img disk2.img && "+
		qemuImg+" create -q -f qcow2 huge.qcow2 100T && "+
		qemuImg+" convert -f raw -O qcow2 disk.img damaged.qcow2 && "+
		qemuImg+" convert -f raw -O qcow2 disk.img json.qcow2 && "+
		qemuImg+" rebase -u -f qcow2 -F raw -b 'json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\""+secret+"\"}}' json.qcow2")
	f, err := os.OpenFile(filepath.Join(dir, "damaged.qcow2"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, 7), 40); err != nil { // where the first table is
		t.Fatal(err)
	}
	opened := watchOpens(t, secret, filepath.Join(dir, "disk2.img"))
	for _, c := range []struct {
		status      int
		words, file string
		more        []string
	}{
		{2, "a backing file", "backed.qcow2", nil},
		{2, "a backing file", "json.qcow2", nil},
		{2, "its data in another file", "outside.qcow2", nil},
		{2, "the image is too large", "huge.qcow2", nil},
		{8, "are free for its files", "huge.qcow2", []string{"--max-size", "unlimited"}},
		{2, "the qcow2 image is damaged: qemu-img:", "damaged.qcow2", nil},
	} {
		refused(t, c.status, c.words, append([]string{"template", "import", name(t, "hostile"), filepath.Join(dir, c.file)}, c.more...)...)
	}
	refused(t, 2, "a backing file", "create", "--template", filepath.Join(dir, "backed.qcow2"), name(t, "hostile"))
	if opened() {
		t.Error("a file that an image names was opened")
	}
	shell(t, qemuImg+" convert -f qcow2 -O raw "+filepath.Join(dir, "backed.qcow2")+" "+filepath.Join(dir, "out"))
	if !opened() {
		t.Error("this test does not see that a file is opened")
	}

	tools := t.TempDir() // a host without the program
	if err := os.Symlink("/bin/true", filepath.Join(tools, "apt-get")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	args := []string{"template", "import", name(t, "no-tool"), filepath.Join(dir, "damaged.qcow2")}
	cmd := command(ctx, args...)
	cmd.Env = append(cmd.Env, "PATH="+tools)
	r := finish(cmd, args)
	checkRefusal(t, r, 8, "this host has no qemu-img")
	if !strings.Contains(r.errOut, "hint: apt-get install qemu-utils\n") {
		t.Error(r)
	}
}

// watchOpens returns a function that reports whether one of the files was opened since.
func watchOpens(t *testing.T, files ...string) func() bool {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, file := range files {
		if _, err := unix.InotifyAddWatch(fd, file, unix.IN_OPEN|unix.IN_ACCESS); err != nil {
			t.Fatal(err)
		}
	}
	return func() bool {
		n, _ := unix.Read(fd, make([]byte, 4096)) // an error means that there is no event
		return n > 0
	}
}
