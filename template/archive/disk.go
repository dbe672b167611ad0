package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/qcow2"
	"croft/template/rootfs/diskfile"
)

const (
	sector = 512 // bytes; images with sectors of 4096 bytes are not recognized

	// DiskPeek is how much of an image IsDisk looks at, in bytes.
	DiskPeek = btrfsAt + 8

	extAt   = 1024 + 56  // s_magic of struct ext4_super_block
	btrfsAt = 65536 + 64 // magic of struct btrfs_super_block
	mbrAt   = 446        // the first of four partitions
	mbrEnd  = "\x55\xaa" // the end of the first sector
	gptText = "EFI PART" // the beginning of the second (UEFI 2.10, section 5.3.2)
	linux   = 0x83       // a partition of Linux in the first sector
	gptType = 0xee       // there: the partitions are in the second sector

	// A table of partitions has 128 entries of 128 bytes in practice. More, or larger
	// ones, are not read.
	mostEntries, mostEntrySize = 1024, 512
)

// A FileSystem is a part of an image of a disk.
type FileSystem struct {
	Kind           string // as mount(8) names it
	Offset, Length int64  // bytes
}

// IsDisk reports whether r has an image of a disk, or of one file system of ext4, xfs or
// btrfs.
func IsDisk(r *bufio.Reader) bool {
	const magicAt, magic = 257, "ustar" // of a tar, which may come slowly: read no more of it than its first header
	if first, _ := r.Peek(sector); len(first) == sector && string(first[magicAt:magicAt+len(magic)]) == magic {
		return false
	}
	head, _ := r.Peek(DiskPeek) // an error means that the archive is shorter
	return IsQcow2(r) || kindAt(bytes.NewReader(head), 0) != "" || hasTable(head)
}

// IsQcow2 reports whether r has an image in the format of QEMU.
func IsQcow2(r *bufio.Reader) bool {
	magic, _ := r.Peek(len(qcow2.Magic))
	return string(magic) == qcow2.Magic
}

func hasTable(head []byte) bool {
	if len(head) < 2*sector || string(head[sector-2:sector]) != mbrEnd {
		return false
	}
	if string(head[sector:sector+len(gptText)]) == gptText {
		return true
	}
	for i := range 4 {
		if head[mbrAt+16*i+4] == linux {
			return true
		}
	}
	return false
}

// RootOf returns the file system of the root of an image of a disk of size bytes: the whole
// image, a partition whose type is that of a root, or else the largest partition with a
// file system of Linux. An image without one is fail.Usage.
func RootOf(image io.ReaderAt, size int64) (FileSystem, error) {
	if kind := kindAt(image, 0); kind != "" {
		return FileSystem{kind, 0, size}, nil
	}
	head := make([]byte, 2*sector)
	if _, err := image.ReadAt(head, 0); err != nil {
		return FileSystem{}, fail.New(fail.Usage, "the image of a disk is too short")
	}
	parts := partitionsOf(head)
	if string(head[sector:sector+len(gptText)]) == gptText {
		var err error
		if parts, err = gptPartitions(image, head[sector:]); err != nil {
			return FileSystem{}, err
		}
	}
	best, isRoot := FileSystem{}, false
	for _, p := range parts {
		if p.Offset <= 0 || p.Length <= 0 || p.Offset > size || p.Length > size-p.Offset {
			continue
		}
		if p.Kind = kindAt(image, p.Offset); p.Kind == "" {
			continue
		}
		if p.root && !isRoot || p.root == isRoot && p.Length > best.Length {
			best, isRoot = p.FileSystem, p.root
		}
	}
	if best.Kind == "" {
		return FileSystem{}, fail.New(fail.Usage, "the image of a disk has no partition with ext4, xfs or btrfs")
	}
	return best, nil
}

// kindAt returns the kind of the file system that begins at an offset; "" if croft does
// not know it.
func kindAt(image io.ReaderAt, offset int64) string {
	magic := make([]byte, 8)
	at := func(where int64, text string) bool {
		n, _ := image.ReadAt(magic, offset+where)
		return bytes.HasPrefix(magic[:n], []byte(text))
	}
	switch {
	case at(extAt, "\x53\xef"):
		return "ext4" // which reads ext2 and ext3, too
	case at(0, "XFSB"):
		return "xfs"
	case at(btrfsAt, "_BHRfS_M"):
		return "btrfs"
	}
	return ""
}

// A partition is one that may have a file system.
type partition struct {
	FileSystem
	root bool // its type says that it is the root of Linux
}

// partitionsOf returns the partitions of Linux in the first sector of a disk.
func partitionsOf(head []byte) (all []partition) {
	for i := range 4 {
		e := head[mbrAt+16*i:]
		if e[4] == linux {
			first, count := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
			all = append(all, partition{FileSystem: FileSystem{Offset: int64(first) * sector, Length: int64(count) * sector}})
		}
	}
	return all
}

// The types of partitions for the root of Linux, as they are on the disk
// (Discoverable Partitions Specification of the UAPI group).
var rootTypes = []string{
	"\xe3\xbc\x68\x4f\xcd\xe8\xb1\x4d\x96\xe7\xfb\xca\xf9\x84\xb7\x09", // x86-64
	"\x45\xb0\x21\xb9\xf0\x1d\xc3\x41\xaf\x44\x4c\x6f\x28\x0d\x3f\xae", // arm64
}

// gptPartitions returns the partitions of a GPT. header is its header, in the second
// sector.
func gptPartitions(image io.ReaderAt, header []byte) (all []partition, err error) {
	table := binary.LittleEndian.Uint64(header[72:])
	count, size := binary.LittleEndian.Uint32(header[80:]), binary.LittleEndian.Uint32(header[84:])
	if size < 128 || size > mostEntrySize || count > mostEntries || table > 1<<40 {
		return nil, fail.New(fail.Usage, "the table of partitions in the image of a disk is invalid")
	}
	entry := make([]byte, size)
	for i := range int64(count) {
		if _, err := image.ReadAt(entry, int64(table)*sector+i*int64(size)); err != nil {
			return nil, fail.New(fail.Usage, "the table of partitions in the image of a disk is cut off")
		}
		first, last := binary.LittleEndian.Uint64(entry[32:]), binary.LittleEndian.Uint64(entry[40:])
		if first == 0 || last < first || last > 1<<50 {
			continue
		}
		p := partition{FileSystem: FileSystem{Offset: int64(first) * sector, Length: int64(last-first+1) * sector}}
		for _, t := range rootTypes {
			p.root = p.root || string(entry[:16]) == t
		}
		all = append(all, p)
	}
	return all, nil
}

// PackDisk writes a tar with the files of the root file system in an image of a disk to w. The
// kernel reads it, mounted read-only and nowhere; it does not replay a journal.
func PackDisk(ctx context.Context, w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return layer.HostError(err)
	}
	root, err := RootOf(f, info.Size())
	if err != nil {
		return err
	}
	fd, err := diskfile.OpenPart(file, root.Kind, root.Offset, root.Length)
	if err != nil {
		return err
	}
	p := layer.NewPacker(ctx, w, layer.IDs{})
	p.Standalone = true
	return p.Pack(fd)
}
