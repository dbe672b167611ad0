package guest

import (
	"testing"
	"testing/fstest"
)

// A machine's fstab has a line for /, which a VPS cannot remount.
func TestFstab(t *testing.T) {
	const dropIn = "etc/systemd/system/systemd-remount-fs.service.d/croft.conf"
	root := fstest.MapFS{"lib/systemd/systemd-remount-fs": file("")}
	for _, c := range []struct {
		text string
		want bool
	}{
		{"", false},
		{"# / is gone\nproc /proc proc hidepid=2 0 0\n", false},
		{"UUID=1 /boot vfat defaults 0 2\n  /dev/sda1\t/\text4 errors=remount-ro 0 1", true},
		{"/dev/sda1 /usr", true},
		{"#/dev/sda1 / ext4 ro 0 1\n/\n", false},
	} {
		root["etc/fstab"] = file(c.text)
		for range 2 {
			changes, err := Files(root, settings())
			if err != nil {
				t.Fatal(err)
			}
			apply(root, changes)
			if got := root[dropIn] != nil; got != c.want {
				t.Errorf("%q: there is a drop-in: %v", c.text, got)
			}
		}
		if c.want && string(root["etc/fstab"].Data) != c.text {
			t.Errorf("%q became %q", c.text, root["etc/fstab"].Data)
		}
	}
	delete(root, "lib/systemd/systemd-remount-fs")
	root["etc/fstab"] = file("/dev/sda1 / ext4")
	if changes, err := Files(root, settings()); err != nil {
		t.Error(err)
	} else if apply(root, changes); root[dropIn] != nil {
		t.Error("without systemd there is a drop-in")
	}
}
