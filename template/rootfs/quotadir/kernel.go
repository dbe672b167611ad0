package quotadir

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quotaBlock is the unit of limits of bytes: QIF_DQBLKSIZE of include/uapi/linux/quota.h.
const quotaBlock = 1024

// A quota is what a project id may use and uses. 0 is no limit.
type quota struct {
	bytes, inodes         int64
	usedBytes, usedInodes int64
}

// kernel is projects of the file system of an open directory.
type kernel struct{ dir *os.File }

func (k kernel) inodes(id uint32) (int64, error) {
	q, err := read(k.dir, id)
	return q.usedInodes, err
}

func (k kernel) mark(id uint32) error {
	var attr fsxattr
	if err := ioctl(k.dir, fsGetXattr, &attr); err != nil {
		return err
	}
	attr.project = id
	attr.flags |= projectInherit
	return ioctl(k.dir, fsSetXattr, &attr)
}

// projectOf returns the project id of an open file or directory.
func projectOf(f *os.File) (uint32, error) {
	var attr fsxattr
	err := ioctl(f, fsGetXattr, &attr)
	return attr.project, err
}

// fsxattr is struct fsxattr of include/uapi/linux/fs.h.
type fsxattr struct {
	flags, extentSize, extents, project, cowExtentSize uint32
	_                                                  [8]byte
}

const (
	fsGetXattr     = 0x801c581f // FS_IOC_FSGETXATTR, _IOR('X', 31, struct fsxattr)
	fsSetXattr     = 0x401c5820 // FS_IOC_FSSETXATTR, _IOW('X', 32, struct fsxattr)
	projectInherit = 0x200      // FS_XFLAG_PROJINHERIT
)

func ioctl(f *os.File, request uintptr, attr *fsxattr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(attr))); errno != 0 {
		return errno
	}
	return nil
}

// dqblk is struct if_dqblk of include/uapi/linux/quota.h.
type dqblk struct {
	hardBlocks, softBlocks, space  uint64
	hardInodes, softInodes, inodes uint64
	blockGrace, inodeGrace         uint64
	valid                          uint32
	_                              uint32
}

// Commands of quotactl(2), and what they need.
const (
	getQuota    = 0x800007   // Q_GETQUOTA
	setQuota    = 0x800008   // Q_SETQUOTA
	getState    = 'X'<<8 + 8 // Q_XGETQSTATV
	project     = 2          // PRJQUOTA
	limitsValid = 1 | 4      // QIF_BLIMITS, QIF_ILIMITS
	isEnforced  = 1 << 5     // FS_QUOTA_PDQ_ENFD
	stateFormat = 1          // FS_QSTATV_VERSION1
)

// read returns what the project id may use and uses.
func read(f *os.File, id uint32) (quota, error) {
	var q dqblk
	err := quotactl(f, getQuota, id, unsafe.Pointer(&q))
	if errors.Is(err, unix.ENOENT) { // xfs knows only ids that were used
		return quota{}, nil
	}
	return quota{
		bytes: int64(q.hardBlocks * quotaBlock), inodes: int64(q.hardInodes), usedBytes: int64(q.space), usedInodes: int64(q.inodes),
	}, err
}

// setLimits sets the limits of the project id. The soft ones, which statfs(2) and so df(1)
// prefer, are the same.
func setLimits(f *os.File, id uint32, to quota) error {
	blocks, inodes := uint64(to.bytes/quotaBlock), uint64(to.inodes)
	q := dqblk{hardBlocks: blocks, softBlocks: blocks, hardInodes: inodes, softInodes: inodes, valid: limitsValid}
	return quotactl(f, setQuota, id, unsafe.Pointer(&q))
}

// enforces reports whether the file system of f enforces project quotas.
func enforces(f *os.File) (bool, error) {
	// struct fs_quota_statv of include/uapi/linux/dqblk_xfs.h begins with the version, a
	// byte, and the flags, 16 bits from byte 2 on. It is shorter than this.
	var state [64]uint32
	bytes := (*[256]byte)(unsafe.Pointer(&state))
	bytes[0] = stateFormat
	if err := quotactl(f, getState, 0, unsafe.Pointer(&state)); err != nil {
		return false, err
	}
	return *(*uint16)(unsafe.Pointer(&bytes[2]))&isEnforced != 0, nil
}

// quotactl is quotactl_fd(2), Linux 5.14, for project quotas of the file system of f.
func quotactl(f *os.File, command, id uint32, data unsafe.Pointer) error {
	if _, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(command<<8|project), uintptr(id), uintptr(data), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
