package hostdevices

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/vps"
)

// files makes a host whose files have these contents; a content "->x" makes a
// link to x.
func files(t *testing.T, contents map[string]string) Host {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.WriteFile(name, []byte(text), 0o644)
		if to, link := strings.CutPrefix(text, "->"); link {
			_ = os.Remove(name)
			err = os.Symlink(to, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Host{Dev: filepath.Join(dir, "dev"), Sys: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc")}
}

func parsed(t *testing.T, text string) vps.Device {
	t.Helper()
	d, err := vps.ParseDevice(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFindPath(t *testing.T) {
	h := files(t, map[string]string{"dev/by-id/card": "->/dev/zero", "dev/file": "", "dev/gone": "->nowhere"})
	got, err := Real().Find(parsed(t, h.Dev+"/by-id/card:/dev/card:rw,mode=0640,gid=5"))
	want := bundles.Device{Path: "/dev/card", Source: h.Dev + "/by-id/card", Type: "c", Major: 1, Minor: 5, Mode: 0o640, GID: 5, Access: "rw"}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = h.Find(vps.Device{Source: h.Dev + "/by-id/card"})
	if err != nil || len(got) != 1 || got[0].Path != "/dev/by-id/card" || got[0].Mode != 0o666 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, kind := range map[string]fail.Kind{"gone": fail.NotFound, "none": fail.NotFound, "file/x": fail.NotFound, "file": fail.Usage, "by-id": fail.Usage} {
		if _, err := h.Find(vps.Device{Source: h.Dev + "/" + name, Path: "/dev/x"}); !fail.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindClasses(t *testing.T) {
	h := files(t, map[string]string{
		"dev/dri/card0": "->/dev/null", "dev/dri/renderD128": "->/dev/null", "dev/dri/renderD129": "->/dev/zero",
		"dev/bus/usb/001/004": "->/dev/null", "dev/ttyUSB0": "->/dev/zero", "dev/ttyUSB1": "->/dev/full",
		"sys/bus/usb/devices/1-2":                                 "->../../../devices/usb1/1-2",
		"sys/bus/usb/devices/1-2.1":                               "->../../../devices/usb1/1-2/1-2.1",
		"sys/bus/usb/devices/1-2.2":                               "->../../../devices/usb1/1-2/1-2.2",
		"sys/devices/usb1/1-2/busnum":                             "1",
		"sys/devices/usb1/1-2/serial":                             "HUB\n",
		"sys/devices/usb1/1-2/uevent":                             "MAJOR=189\nMINOR=3\nDEVNAME=bus/usb/001/004\nDEVTYPE=usb_device\n",
		"sys/devices/usb1/1-2/1-2.1/busnum":                       "1",
		"sys/devices/usb1/1-2/1-2.1/serial":                       "A50285BI\n",
		"sys/devices/usb1/1-2/1-2.1/uevent":                       "DEVTYPE=usb_device\n",
		"sys/devices/usb1/1-2/1-2.1/1-2.1:1.0/uevent":             "DEVTYPE=usb_interface\n",
		"sys/devices/usb1/1-2/1-2.1/1-2.1:1.0/ttyUSB0/tty/uevent": "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0\n",
		"sys/devices/usb1/1-2/1-2.2/busnum":                       "1",
		"sys/devices/usb1/1-2/1-2.2/serial":                       "TWO\n",
		"sys/devices/usb1/1-2/1-2.2/a/uevent":                     "MAJOR=188\nDEVNAME=ttyUSB0\n",
		"sys/devices/usb1/1-2/1-2.2/b/uevent":                     "MAJOR=188\nDEVNAME=ttyUSB1\n",
		"sys/devices/usb1/1-2/1-2.2/c/uevent":                     "MAJOR=188\nDEVNAME=../etc/passwd\n",
	})
	for text, want := range map[string]string{
		"gpu":                       "/dev/dri/renderD128 /dev/dri/renderD129",
		"usb:HUB":                   "/dev/bus/usb/001/004",
		"usb:A50285BI":              "/dev/ttyUSB0",
		"usb:A50285BI:/dev/modem:r": "/dev/modem",
		"usb:TWO":                   "/dev/ttyUSB0 /dev/ttyUSB1",
	} {
		got, err := h.Find(parsed(t, text))
		var names []string
		for _, d := range got {
			names = append(names, d.Path)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v, %v", text, names, err)
		}
	}
	for text, kind := range map[string]fail.Kind{"usb:NONE": fail.NotFound, "usb:TWO:/dev/x": fail.State, "usb:HUB:/dev/x": fail.State} {
		if _, err := h.Find(parsed(t, text)); !fail.Is(err, kind) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := files(t, nil).Find(parsed(t, "gpu")); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for minor, refused := range map[int64]bool{1: true, 2: true, 4: true, 3: false, 5: false, 11: false} {
		d := bundles.Device{Source: "/srv/any", Type: "c", Major: 1, Minor: minor}
		if err := Check(d, false); refused != fail.Is(err, fail.Usage) {
			t.Errorf("1:%d: %v", minor, err)
		}
		d.Type = "b"
		if err := Check(d, false); err != nil {
			t.Error(err)
		}
	}
	if err := Check(bundles.Device{Type: "c", Major: 1, Minor: 1}, true); err != nil {
		t.Error(err)
	}
}

func TestUses(t *testing.T) {
	h := files(t, map[string]string{
		"proc/self/mountinfo": "1 0 254:1 / / rw - ext4 /dev/none rw\n" +
			"2 1 254:9 / /srv\\040new rw,relatime shared:1 master:2 - xfs /dev/none rw\n" +
			"3 1 254:9 / /srv\\040new rw - xfs /dev/none rw\n" +
			"4 1 0:40 / /btrfs rw - btrfs /dev/null rw\nodd\n",
		"proc/swaps":                             "Filename Type Size\n/dev/none partition 5\n",
		"sys/dev/block/8:0/sda1/partition":       "1\n",
		"sys/dev/block/8:0/sda1/dev":             "8:1\n",
		"sys/dev/block/8:0/queue/x":              "",
		"sys/dev/block/8:1/holders/dm-0/dev":     "254:9\n",
		"sys/dev/block/254:9/holders/dm-0/dev":   "254:9\n",
		"sys/dev/block/8:16/holders/nothing/dev": "8:99",
	})
	for device, want := range map[bundles.Device][]string{
		{Source: "/dev/sda", Type: "b", Major: 8, Access: "rw"}:           {"/srv new: what it writes"},
		{Source: "/dev/sda1", Type: "b", Major: 8, Minor: 1, Access: "r"}: {"/srv new: it can read"},
		{Source: "/dev/sdb", Type: "b", Major: 8, Minor: 16}:              nil,
		{Source: "/dev/vda", Type: "b", Major: 254, Minor: 1}:             {"on /: what"},
		{Source: "/dev/tty1", Type: "c", Major: 254, Minor: 1}:            nil,
	} {
		got := h.Uses([]bundles.Device{device})
		if len(got) != len(want) || !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("%s: %q", device.Source, got)
		}
	}
	var st unix.Stat_t
	if unix.Stat("/dev/loop0", &st) == nil {
		if got := numberOf("/dev/loop0"); got != "7:0" {
			t.Errorf("/dev/loop0 is %q", got)
		}
	}
	if got := numberOf("/dev/null"); got != "" {
		t.Errorf("/dev/null is %q", got)
	}
}
