package rootfs

import (
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
120 22 0:40 / /var/lib/my\040croft/vps/web/bundle/rootfs rw,nodev - overlay overlay rw
121 22 0:41 / /var/lib/my\040croft/vps/db/bundle/rootfs rw,nodev shared:7 - overlay overlay rw
122 121 0:42 / /var/lib/my\040croft/vps/db/bundle/rootfs/mnt rw - tmpfs tmpfs rw
123 22 0:43 / /var/lib/my\040croft/vps2 rw - tmpfs tmpfs rw
`
	got := mountsBelow(mountinfo, "/var/lib/my croft/vps")
	want := []string{"/var/lib/my croft/vps/db/bundle/rootfs/mnt", "/var/lib/my croft/vps/db/bundle/rootfs", "/var/lib/my croft/vps/web/bundle/rootfs"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
