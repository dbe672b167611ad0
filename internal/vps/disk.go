package vps

import (
	"fmt"

	"croft/internal/fail"
)

// A Disk limits the files that are the VPS's own: what it writes. The zero Disk limits
// nothing.
type Disk struct {
	Bytes  int64 `json:"bytes,omitempty"`
	Inodes int64 `json:"inodes,omitempty"` // how many files and directories; 0: as Bytes says
	// Kind and Image say how it is limited; no edit sets them.
	Kind  DiskKind `json:"kind,omitempty"`
	Image string   `json:"image,omitempty"` // the file of DiskImage, or the directory of DiskQuota
}

// A DiskKind is a way to limit the files of a VPS.
type DiskKind string

// The kinds.
const (
	DiskUnlimited DiskKind = ""
	DiskImage     DiskKind = "image" // they are in a file system of their own, which is a file of the host
	DiskQuota     DiskKind = "quota" // they are in a directory with a project quota
)

// The smallest and the greatest limits: those of ext4 with blocks of 4096 bytes.
const (
	MinDisk   = 16 << 20
	MaxDisk   = 16 << 40
	MinInodes = 1024
	MaxInodes = 1<<32 - 1
)

// Limited reports whether there is a limit.
func (d Disk) Limited() bool { return d.Bytes > 0 }

// Check is fail.Usage for a limit that cannot be.
func (d Disk) Check() error {
	switch {
	case d.Bytes == 0 && d.Inodes != 0:
		return fail.New(fail.Usage, "a limit of inodes needs a limit of the disk too")
	case d.Bytes != 0 && (d.Bytes < MinDisk || d.Bytes > MaxDisk):
		return fail.New(fail.Usage, "disk: %d bytes are not from %dM to %dT", d.Bytes, MinDisk>>20, MaxDisk>>40)
	case d.Inodes != 0 && (d.Inodes < MinInodes || d.Inodes > MaxInodes):
		return fail.New(fail.Usage, "inodes: %d is not from %d to %d", d.Inodes, MinInodes, MaxInodes)
	}
	return nil
}

// A DiskStep is how a VPS gets another limit of its disk.
type DiskStep int

// The steps.
const (
	DiskStays DiskStep = iota
	DiskGrows          // its file system becomes larger; it may run
	DiskMoves          // its files are copied; it does not run
	DiskSets           // its quota changes; it may run
)

// Step returns how d becomes to, whose kind and image do not count.
func (d Disk) Step(to Disk) DiskStep {
	switch {
	case d.Bytes == to.Bytes && d.Inodes == to.Inodes:
		return DiskStays
	case d.Kind == DiskQuota && to.Limited():
		return DiskSets
	case d.Limited() && to.Bytes > d.Bytes && d.Inodes == 0 && to.Inodes == 0: // the number of inodes grows along
		return DiskGrows
	}
	return DiskMoves
}

// SetDisk sets the limit of the disk in bytes; with 0 nothing is limited, inodes neither.
type SetDisk struct{ Bytes int64 }

// Apply sets it.
func (e SetDisk) Apply(v *VPS) error {
	if v.Disk.Bytes = e.Bytes; e.Bytes == 0 {
		v.Disk.Inodes = 0
	}
	return nil
}

// Part is the disk.
func (SetDisk) Part() Part { return PartDisk }

func (e SetDisk) String() string { return fmt.Sprintf("disk %d", e.Bytes) }

// SetInodes sets the limit of inodes; 0 is as many as the disk has.
type SetInodes struct{ Inodes int64 }

// Apply sets it.
func (e SetInodes) Apply(v *VPS) error {
	v.Disk.Inodes = e.Inodes
	return nil
}

// Part is the disk.
func (SetInodes) Part() Part { return PartDisk }

func (e SetInodes) String() string { return fmt.Sprintf("inodes %d", e.Inodes) }
