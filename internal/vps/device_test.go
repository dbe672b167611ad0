package vps_test

import (
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestParseDevice(t *testing.T) {
	for text, want := range map[string]vps.Device{
		"/dev/ttyUSB0":                   {Source: "/dev/ttyUSB0"},
		"/dev/ttyUSB0:rwm":               {Source: "/dev/ttyUSB0"},
		"/dev/ttyUSB0:wr":                {Source: "/dev/ttyUSB0", Access: "rw"},
		"/dev/sdb:/dev/xvda:r":           {Source: "/dev/sdb", Path: "/dev/xvda", Access: "r"},
		"kvm":                            {Source: "/dev/kvm"},
		"kvm:mode=666,gid=36":            {Source: "/dev/kvm", Mode: "0666", GID: 36},
		"gpu:optional":                   {Source: "gpu", Optional: true},
		"usb:A50285BI":                   {Source: "usb:A50285BI"},
		"usb:rw":                         {Source: "usb:rw"},
		"usb:0001:/dev/ttyACM0:rw,uid=1": {Source: "usb:0001", Path: "/dev/ttyACM0", Access: "rw", UID: 1},
		// Names of udev have colons.
		"/dev/disk/by-id/usb-SD_MMC_2006-0:0":                       {Source: "/dev/disk/by-id/usb-SD_MMC_2006-0:0"},
		"/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0:rw": {Source: "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0", Access: "rw"},
		"/dev/serial/by-path/pci-0:1:1.0-port0:/dev/ttyS9":          {Source: "/dev/serial/by-path/pci-0:1:1.0-port0", Path: "/dev/ttyS9"},
	} {
		d, err := vps.ParseDevice(text)
		if err != nil || d != want {
			t.Errorf("%s: %+v, %v", text, d, err)
			continue
		}
		if err := d.Check(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if again, err := vps.ParseDevice(d.String()); err != nil || again != d {
			t.Errorf("%s is written %s, which is %+v, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"/dev/sdb:ro", "/dev/sdb:rw,x", "/dev/sdb:mode=9", "/dev/sdb:uid=", "/dev/sdb:rw,"} {
		if d, err := vps.ParseDevice(text); err == nil && d.Check() == nil {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

func TestCheckDevice(t *testing.T) {
	for _, d := range []vps.Device{
		{}, {Source: "ttyS0"}, {Source: "usb:"}, {Source: "gpu", Path: "/dev/dri/card0"}, {Source: "/srv/node"},
		{Source: "/dev/../etc/passwd"}, {Source: "/dev/a", Path: "/dev/../x"}, {Source: "/dev/a", Path: "/dev"}, {Source: "/dev/a", Path: "/dev/"},
		{Source: "/dev/a", Path: "/tmp/a"}, {Source: "/dev/a", Path: "/dev/a b"}, {Source: "/dev/a", Path: "/dev/a\n"},
		{Source: "/dev/null"}, {Source: "/dev/a", Path: "/dev/pts/0"}, {Source: "/dev/fuse"}, {Source: "/dev/a", Path: "/dev/.croft/proc"},
		{Source: "/dev/a", Access: "rx"}, {Source: "/dev/a", Access: "rr"}, {Source: "/dev/a", Mode: "4755"}, {Source: "/dev/a", Mode: "x"},
		{Source: "/dev/a", UID: 1 << 31},
	} {
		if err := d.Check(); !fail.Is(err, fail.Usage) {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

func TestEditDevices(t *testing.T) {
	v := vps.VPS{Name: "web", Hostname: "web", IDs: vps.IDRange{First: 1 << 16, Size: 1 << 16}}
	add := func(text string) vps.Edit {
		t.Helper()
		d, err := vps.ParseDevice(text)
		if err != nil {
			t.Fatal(err)
		}
		return vps.AddDevice{Device: d}
	}
	full, err := vps.Edited(v, add("kvm"), add("/dev/sdb:/dev/xvda:r"), add("gpu"), add("kvm"))
	if err != nil || len(full.Devices) != 3 || len(v.Devices) != 0 {
		t.Fatalf("%+v, %v", full.Devices, err)
	}
	for _, name := range []string{"kvm", "/dev/kvm", "/dev/xvda", "/dev/sdb", "gpu"} {
		if less, err := vps.Edited(full, vps.RemoveDevice{Name: name}); err != nil || len(less.Devices) != 2 || len(full.Devices) != 3 {
			t.Errorf("%s: %+v, %v", name, less.Devices, err)
		}
	}
	if _, err := vps.Edited(full, vps.RemoveDevice{Name: "/dev/sdc"}); !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "/dev/xvda") {
		t.Error(err)
	}
	for _, text := range []string{"kvm:r", "/dev/sdc:/dev/xvda", "/dev/sdc:/dev/xvda/1", "/dev/sdc:uid=65536"} {
		if _, err := vps.Edited(full, add(text)); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", text, err)
		}
	}
	changed, err := vps.Edited(full, vps.RemoveDevice{Name: "kvm"}, add("kvm:r"))
	if err != nil || len(changed.Devices) != 3 || changed.Devices[2].Access != "r" {
		t.Errorf("%+v, %v", changed.Devices, err)
	}
}
