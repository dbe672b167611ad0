package rootfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

func TestMountsBelow(t *testing.T) {
	const text = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
120 22 0:40 / /var/lib/my\040croft/vps/web/bundle/rootfs rw,nodev - overlay overlay rw
121 22 0:41 / /var/lib/my\040croft/vps/db/bundle/rootfs rw,nodev shared:7 - overlay overlay rw
122 121 0:42 / /var/lib/my\040croft/vps/db/bundle/rootfs/mnt rw - tmpfs tmpfs rw
123 22 0:43 / /var/lib/my\040croft/vps2 rw - tmpfs tmpfs rw
`
	all, err := mountinfo.GetMountsFromReader(strings.NewReader(text), below("/var/lib/my croft/vps"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.Mountpoint)
	}
	want := []string{"/var/lib/my croft/vps/web/bundle/rootfs", "/var/lib/my croft/vps/db/bundle/rootfs", "/var/lib/my croft/vps/db/bundle/rootfs/mnt"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
