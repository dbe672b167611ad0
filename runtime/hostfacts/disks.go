package hostfacts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/fail"
)

// FindDisk returns the whole disk that the kernel can limit for device, the path of
// a disk or of a partition. With device "" it is the disk with the file system of the
// directory dir; of a file system on several disks it is the first. The error is
// fail.Usage for another path, and fail.Host if there is no disk under dir.
func FindDisk(device, dir string) (bundles.Disk, error) {
	if device == "" {
		return diskUnder(dir)
	}
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return bundles.Disk{}, fail.New(fail.Usage, "cannot limit disk %s: %w", device, err).WithHint("lsblk --paths")
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return bundles.Disk{}, fail.New(fail.Usage, "cannot limit disk %s: it is not a disk", device).WithHint("lsblk --paths")
	}
	return wholeDisk(st.Rdev)
}

func diskUnder(dir string) (bundles.Disk, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return bundles.Disk{}, fmt.Errorf("find the disk of %s: %w", dir, err)
	}
	if unix.Major(st.Dev) != 0 {
		return wholeDisk(st.Dev)
	}
	// The number is of no disk: btrfs, for one, has its own numbers.
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return bundles.Disk{}, fmt.Errorf("find the disk of %s: %w", dir, err)
	}
	var last *mountinfo.Info
	for _, m := range mounts {
		if last == nil || len(m.Mountpoint) >= len(last.Mountpoint) {
			last = m
		}
	}
	none := fail.New(fail.Host, "the files of VPSs (%s) are on no disk that can be limited", dir)
	if last == nil || !strings.HasPrefix(last.Source, "/dev/") || unix.Stat(last.Source, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return bundles.Disk{}, none
	}
	return wholeDisk(st.Rdev)
}

// wholeDisk returns the disk that has the number, or the partition with the number.
func wholeDisk(number uint64) (bundles.Disk, error) {
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(number), unix.Minor(number)))
	if err != nil {
		return bundles.Disk{}, fmt.Errorf("find disk: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	d := bundles.Disk{Name: filepath.Base(dir)}
	text, err := os.ReadFile(filepath.Join(dir, "dev"))
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d:%d", &d.Major, &d.Minor)
	}
	if err != nil {
		return bundles.Disk{}, fmt.Errorf("find disk: %w", err)
	}
	d.Weighs = weighs(dir, d)
	return d, nil
}

// weighs reports whether the kernel shares disk d, with the directory dir in sysfs, by
// weight. Of a disk that is made of others, one of them has to be.
func weighs(dir string, d bundles.Disk) bool {
	scheduler, err := os.ReadFile(filepath.Join(dir, "queue/scheduler"))
	if err == nil && strings.Contains(string(scheduler), "[bfq]") {
		return true
	}
	costs, err := os.ReadFile("/sys/fs/cgroup/io.cost.qos")
	if err == nil && costEnabled(string(costs), d) {
		return true
	}
	below, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil {
		return false
	}
	for _, entry := range below {
		var st unix.Stat_t
		if unix.Stat("/dev/"+entry.Name(), &st) != nil {
			continue
		}
		if d, err := wholeDisk(st.Rdev); err == nil && d.Weighs {
			return true
		}
	}
	return false
}

// costEnabled reports whether io.cost.qos has a line that turns it on for d.
func costEnabled(qos string, d bundles.Disk) bool {
	for line := range strings.Lines(qos) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == fmt.Sprintf("%d:%d", d.Major, d.Minor) && words[1] == "enable=1" {
			return true
		}
	}
	return false
}

// hasBFQ reports whether the kernel has the I/O scheduler BFQ: it is built in, or its
// module is loaded.
func hasBFQ() bool {
	const blocks = "/sys/block"
	disks, _ := os.ReadDir(blocks) // a host without it has no disks
	for _, disk := range disks {
		if text, err := os.ReadFile(filepath.Join(blocks, disk.Name(), "queue/scheduler")); err == nil && strings.Contains(string(text), "bfq") {
			return true
		}
	}
	return false
}

// hasIOCost reports whether the kernel has weights of cgroup version 2 that work with
// each I/O scheduler (CONFIG_BLK_CGROUP_IOCOST).
func hasIOCost() bool {
	_, err := os.Stat("/sys/fs/cgroup/io.cost.qos")
	return !errors.Is(err, os.ErrNotExist)
}
