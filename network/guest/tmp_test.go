package guest

import (
	"strings"
	"testing"
	"testing/fstest"
)

const vendorTmp = "[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=mode=1777,strictatime,nosuid,nodev,size=50%%,nr_inodes=1m\n"

// The tmpfs on /tmp has a size that follows the memory of the VPS, unless the user has
// chosen one.
func TestTmp(t *testing.T) {
	const dropIn = "etc/systemd/system/tmp.mount.d/10-croft.conf"
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"Debian 13":             {map[string]string{"usr/lib/systemd/system/tmp.mount": vendorTmp}, true},
		"Debian 12":             {map[string]string{"usr/share/systemd/tmp.mount": vendorTmp}, false},
		"Debian 12, copied":     {map[string]string{"etc/systemd/system/tmp.mount": vendorTmp}, true},
		"with a size":           {map[string]string{"etc/systemd/system/tmp.mount": strings.Replace(vendorTmp, "50%%", "1G", 1)}, false},
		"not a tmpfs":           {map[string]string{"etc/systemd/system/tmp.mount": "[Mount]\nWhat=/data/tmp\nOptions=bind\n"}, false},
		"fstab":                 {map[string]string{"etc/fstab": "tmpfs /tmp tmpfs defaults 0 0\n"}, true},
		"fstab with a size":     {map[string]string{"etc/fstab": "tmpfs /tmp tmpfs nosuid,size=10% 0 0\n", "usr/lib/systemd/system/tmp.mount": vendorTmp}, false},
		"fstab, another kind":   {map[string]string{"etc/fstab": "/data /tmp none bind 0 0\n", "usr/lib/systemd/system/tmp.mount": vendorTmp}, false},
		"fstab, another target": {map[string]string{"etc/fstab": "#t /tmp tmpfs\ntmpfs /var/tmp tmpfs\n"}, false},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = file(text)
		}
		s := settings()
		s.TmpSize = "size=131072k,nr_inodes=8192"
		for range 2 {
			changes, err := Files(root, s)
			if err != nil {
				t.Fatal(err)
			}
			apply(root, changes)
			if got := root[dropIn] != nil; got != c.want {
				t.Errorf("%s: there is a drop-in: %v", name, got)
			}
		}
		if c.want && !strings.Contains(string(root[dropIn].Data), "\nOptions=mode=1777,strictatime,nosuid,nodev,size=131072k,nr_inodes=8192\n") {
			t.Errorf("%s: %s", name, root[dropIn].Data)
		}
	}
}
