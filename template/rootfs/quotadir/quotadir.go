// Package quotadir keeps files of a VPS in a directory of the host with a project quota:
// a project id of its own, which all files below get (FS_XFLAG_PROJINHERIT), and limits of
// that id. A limit changes at once, up and down. The kernel enforces it where the file
// system is mounted with prjquota (ext4 since Linux 4.5, xfs).
//
// Root inside a VPS cannot change project ids: that needs the host's user namespace.
package quotadir

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/rootfs/diskfile"
)

// FirstProject is the lowest project id that croft uses. The administrator's own ones
// (projid(5)) are usually lower.
const FirstProject = 1_000_000_000

// lastProject bounds the search for a free id.
const lastProject = FirstProject + 1<<24

// errOff is why a file system has no project quotas.
var errOff = errors.New("project quotas are off")

// Why is nil if the kernel enforces project quotas on the file system of the directory
// dir, and else says why it does not.
func Why(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return hostError("look at the quotas of "+dir, err)
	}
	defer f.Close()
	return why(f)
}

func why(f *os.File) error {
	enforced, err := enforces(f)
	switch {
	case err == nil && enforced:
		return nil
	case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESRCH), errors.Is(err, unix.EOPNOTSUPP):
		return fail.New(fail.Host, "the file system of %s: %w", f.Name(), errOff)
	}
	return hostError("look at the quotas of "+f.Name(), err)
}

// Create makes the directory path, which must not exist, with a project id and the limits.
// Until another size is set, all that is created below counts. After an error there is no
// directory.
func Create(path string, size diskfile.Size) (err error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		return hostError("create a disk", err)
	}
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return hostError("create a disk", err)
	}
	defer f.Close()
	if err := why(f); err != nil {
		return err
	}
	id, err := claim(kernel{f})
	if err == nil {
		err = setLimits(f, id, limitsOf(size))
	}
	if err != nil {
		return hostError("give "+path+" a quota", err)
	}
	for _, dir := range []string{path, filepath.Dir(path)} {
		if err := syncDir(dir); err != nil {
			return hostError("create a disk", err)
		}
	}
	return nil
}

// Set gives the directory path, which Create has made, other limits. No-op if it has
// them. It is fail.Host if the kernel does not enforce them.
func Set(path string, size diskfile.Size) error {
	f, id, err := open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := why(f); err != nil {
		return err
	}
	now, err := read(f, id)
	if err != nil {
		return hostError("read the quota of "+path, err)
	}
	to := limitsOf(size)
	if now.bytes == to.bytes && now.inodes == to.inodes {
		return nil
	}
	if err := setLimits(f, id, to); err != nil {
		return hostError("set the quota of "+path, err)
	}
	return nil
}

// UsageOf returns how full the directory path is.
func UsageOf(path string) (diskfile.Usage, error) {
	f, id, err := open(path)
	if err != nil {
		return diskfile.Usage{}, err
	}
	defer f.Close()
	q, err := read(f, id)
	if err != nil {
		return diskfile.Usage{}, hostError("read the quota of "+path, err)
	}
	return diskfile.Usage{Bytes: q.bytes, UsedBytes: q.usedBytes, Inodes: q.inodes, UsedInodes: q.usedInodes}, nil
}

// Fits is an error that wraps ENOSPC if more is in path than size allows. Root of the host
// can exceed a limit of ext4.
func Fits(path string, size diskfile.Size) error {
	u, err := UsageOf(path)
	if err != nil {
		return err
	}
	if limit := limitsOf(size); u.UsedBytes > limit.bytes || u.UsedInodes > limit.inodes {
		return fmt.Errorf("%d bytes in %d files: %w", u.UsedBytes, u.UsedInodes, unix.ENOSPC)
	}
	return nil
}

// open opens the directory path and returns its project id, which the caller closes.
func open(path string) (*os.File, uint32, error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, hostError("look at a disk", err)
	}
	id, err := projectOf(f)
	if err == nil && id < FirstProject {
		err = errors.New("it has no project id of croft's; was it copied from another place?")
	}
	if err != nil {
		f.Close()
		return nil, 0, fail.New(fail.Host, "the quota of %s: %w", path, err)
	}
	return f, id, nil
}

// projects are the project ids of a file system, and one new directory: kernel.
type projects interface {
	// inodes returns how many inodes have the project id.
	inodes(id uint32) (int64, error)
	// mark gives the directory the project id, with which all that is created in it is born.
	mark(id uint32) error
}

// claim gives the directory of p a project id that nothing else has. The kernel's count
// says which are free, so no lock is needed: two processes that take the same id at the
// same time both see that, and look further.
func claim(p projects) (uint32, error) {
	for id := uint32(FirstProject); id < lastProject; id++ {
		n, err := p.inodes(id)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			continue
		}
		if err := p.mark(id); err != nil {
			return 0, err
		}
		if n, err = p.inodes(id); err != nil {
			return 0, err
		}
		if n == 1 {
			return id, nil
		}
		id += rand.Uint32N(16)
	}
	return 0, errors.New("no project id is free")
}

// limitsOf returns the limits that a size means. The number of inodes is as in an image.
func limitsOf(size diskfile.Size) quota {
	return quota{bytes: size.Bytes / quotaBlock * quotaBlock, inodes: size.InodeLimit()}
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// hostError says what failed on the host.
func hostError(what string, err error) error {
	return fail.New(fail.Host, "%s: %w", what, err)
}
