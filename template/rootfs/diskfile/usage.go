package diskfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// A Usage is how full a file system is.
type Usage struct {
	Bytes, UsedBytes   int64
	Inodes, UsedInodes int64
}

// UsageOf returns how full the image path is. It mounts nothing that is not mounted
// already.
func UsageOf(path string) (Usage, error) {
	inUse, err := InUse(path)
	if err != nil {
		return Usage{}, err
	}
	if !inUse {
		return readUsage(path)
	}
	var u Usage
	if perr := privately(path, func(dir string, _ *os.File) { u, err = UsageAt(dir) }); perr != nil {
		return Usage{}, perr
	}
	return u, err
}

// UsageAt is statfs(2) of a directory: of its file system, or of its project quota if it
// has one.
func UsageAt(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, hostError("look at the disk", err)
	}
	return Usage{
		Bytes: int64(st.Blocks) * st.Bsize, UsedBytes: int64(st.Blocks-st.Bfree) * st.Bsize,
		Inodes: int64(st.Files), UsedInodes: int64(st.Files - st.Ffree),
	}, nil
}

// UsageMounted is UsageAt if a file system is mounted at dir; dir may lead into another
// mount namespace.
func UsageMounted(dir string) (Usage, bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	if err != nil || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return Usage{}, false
	}
	u, err := UsageAt(dir)
	return u, err == nil
}

// superblockAt is where an ext4 file system has its superblock.
const superblockAt, superblockSize = 1024, 1024

// readUsage reads the superblock of a file system that is not mounted.
func readUsage(path string) (Usage, error) {
	f, err := os.Open(path)
	if err != nil {
		return Usage{}, hostError("look at an image", err)
	}
	defer f.Close()
	block := make([]byte, superblockSize)
	if _, err := io.ReadFull(io.NewSectionReader(f, superblockAt, superblockSize), block); err != nil {
		return Usage{}, fail.New(fail.State, "%s has no file system: %w", path, err)
	}
	u, err := usageIn(block)
	if err != nil {
		return Usage{}, fail.New(fail.State, "%s: %w", path, err)
	}
	return u, nil
}

// usageIn reads a superblock: "The Super Block" of the kernel's ext4 documentation.
func usageIn(block []byte) (Usage, error) {
	at := func(offset int) int64 { return int64(binary.LittleEndian.Uint32(block[offset:])) }
	if binary.LittleEndian.Uint16(block[0x38:]) != 0xEF53 {
		return Usage{}, fmt.Errorf("it has no ext4 file system")
	}
	const use64Bit = 0x80 // INCOMPAT_64BIT
	blocks, free := at(0x4), at(0xC)
	if at(0x60)&use64Bit != 0 {
		blocks, free = blocks|at(0x150)<<32, free|at(0x158)<<32
	}
	blocks -= at(0x248) // its own tables, as statfs(2) leaves them out
	size := int64(1024) << at(0x18)
	return Usage{Bytes: blocks * size, UsedBytes: (blocks - free) * size, Inodes: at(0x0), UsedInodes: at(0x0) - at(0x10)}, nil
}
