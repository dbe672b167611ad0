// Package qcow2 reads images of disks in the format of QEMU: it checks what an image asks for,
// and has qemu-img of the host convert it, confined.
package qcow2

import (
	"encoding/binary"

	"croft/internal/fail"
)

// Magic begins an image.
const Magic = "QFI\xfb"

// HeaderSize is how much of an image Size needs, in bytes: the header of version 3.
const HeaderSize = 104

// Where the fields of a header are (docs/interop/qcow2.txt of QEMU). All are big-endian.
const (
	versionAt      = 4
	backingAt      = 8
	clusterBitsAt  = 20
	sizeAt         = 24
	encryptionAt   = 32
	level1SizeAt   = 36
	incompatibleAt = 72 // version 3
)

// The bits of the incompatible features. A reader must know all that are set.
const (
	dirty        = 1 << 0 // the counts of references may be wrong; a reader does not use them
	corrupt      = 1 << 1
	externalData = 1 << 2
	compression  = 1 << 3 // the header says which one
	extendedL2   = 1 << 4

	harmless = dirty | compression | extendedL2
)

// maxLevel1 is the limit of QEMU for the first table of an image, in entries.
const maxLevel1 = 32 << 20 / 8

// Size returns the size of the disk in an image that begins with head. An image that needs
// another file is fail.Usage: such a file can be any file of the host. One that is encrypted,
// damaged or newer than the format that croft knows is fail.Usage too.
func Size(head []byte) (int64, error) {
	if len(head) < HeaderSize {
		return 0, fail.New(fail.Usage, "the qcow2 image is cut off")
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(head[at:]) }
	long := func(at int) uint64 { return binary.BigEndian.Uint64(head[at:]) }
	var features uint64
	switch version := number(versionAt); version {
	case 2:
	case 3:
		features = long(incompatibleAt)
	default:
		return 0, fail.New(fail.Usage, "the qcow2 image has version %d of the format, and croft knows 2 and 3", version)
	}
	switch {
	case long(backingAt) != 0:
		return 0, fail.New(fail.Usage, "the qcow2 image needs another file (a backing file), which croft does not read: convert it where that file is")
	case features&externalData != 0:
		return 0, fail.New(fail.Usage, "the qcow2 image has its data in another file, which croft does not read: convert it where that file is")
	case number(encryptionAt) != 0:
		return 0, fail.New(fail.Usage, "the qcow2 image is encrypted")
	case features&corrupt != 0:
		return 0, fail.New(fail.Usage, "the qcow2 image is marked as damaged")
	case features&^harmless != 0:
		return 0, fail.New(fail.Usage, "the qcow2 image has features that croft does not know (%#x)", features&^harmless)
	case number(clusterBitsAt) < 9 || number(clusterBitsAt) > 21 || number(level1SizeAt) > maxLevel1 || long(sizeAt) == 0 || long(sizeAt) > 1<<62:
		return 0, fail.New(fail.Usage, "the qcow2 image is damaged: its header has impossible sizes")
	}
	return int64(long(sizeAt)), nil
}
