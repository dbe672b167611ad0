package vps

import (
	"testing"

	"croft/internal/fail"
)

func TestDiskEdits(t *testing.T) {
	v := VPS{Name: "web", Hostname: "web"}
	for _, c := range []struct {
		edits []Edit
		want  Disk
		ok    bool
	}{
		{[]Edit{SetDisk{1 << 30}}, Disk{Bytes: 1 << 30}, true},
		{[]Edit{SetDisk{1 << 30}, SetInodes{5000}}, Disk{Bytes: 1 << 30, Inodes: 5000}, true},
		{[]Edit{SetInodes{5000}, SetDisk{1 << 30}}, Disk{Bytes: 1 << 30, Inodes: 5000}, true},
		{[]Edit{SetDisk{1 << 30}, SetInodes{5000}, SetInodes{0}}, Disk{Bytes: 1 << 30}, true},
		{[]Edit{SetDisk{1 << 30}, SetInodes{5000}, SetDisk{0}}, Disk{}, true},
		{[]Edit{SetInodes{5000}}, Disk{}, false},
		{[]Edit{SetDisk{1 << 20}}, Disk{}, false},
		{[]Edit{SetDisk{MaxDisk + 1}}, Disk{}, false},
		{[]Edit{SetDisk{1 << 30}, SetInodes{5}}, Disk{}, false},
		{[]Edit{AtRestart{SetDisk{1 << 30}}}, Disk{}, false},
	} {
		got, err := Edited(v, c.edits...)
		if c.ok && (err != nil || got.Disk != c.want) || !c.ok && !fail.Is(err, fail.Usage) {
			t.Errorf("%v: %+v, %v", c.edits, got.Disk, err)
		}
	}
}

func TestDiskSteps(t *testing.T) {
	for _, c := range []struct {
		was, now Disk
		want     DiskStep
	}{
		{Disk{}, Disk{}, DiskStays},
		{Disk{Bytes: 5, Kind: DiskImage, Image: "x"}, Disk{Bytes: 5}, DiskStays},
		{Disk{Bytes: 5}, Disk{Bytes: 6}, DiskGrows},
		{Disk{Bytes: 5}, Disk{Bytes: 4}, DiskMoves},
		{Disk{}, Disk{Bytes: 6}, DiskMoves},
		{Disk{Bytes: 5}, Disk{}, DiskMoves},
		{Disk{Bytes: 5, Inodes: 9}, Disk{Bytes: 6, Inodes: 9}, DiskMoves},
		{Disk{Bytes: 5}, Disk{Bytes: 6, Inodes: 9}, DiskMoves},
		{Disk{Bytes: 5, Inodes: 9}, Disk{Bytes: 6}, DiskMoves},
	} {
		if got := c.was.Step(c.now); got != c.want {
			t.Errorf("%+v to %+v: %d, want %d", c.was, c.now, got, c.want)
		}
	}
}
