package look

import (
	"fmt"
	"path/filepath"

	"croft/internal/vps"
	"croft/template/rootfs/diskfile"
	"croft/template/rootfs/quotadir"
)

// A DiskInfo is the limit of the VPS's own files, and how full that is.
type DiskInfo struct {
	Kind       vps.DiskKind `json:"kind"`      // image, quota, or empty without a limit
	Bytes      int64        `json:"bytes"`     // 0: unlimited
	UsedBytes  *int64       `json:"usedBytes"` // with the tables of its file system; nil if it is not known, and so is UsedInodes
	Inodes     int64        `json:"inodes"`
	UsedInodes *int64       `json:"usedInodes"`
	Image      string       `json:"image,omitempty"` // the file, or with a quota the directory, on the host
}

// diskInfo describes the disk of v. monitor is the process that has it mounted, if any.
func (l Looker) diskInfo(v vps.VPS, monitor int) DiskInfo {
	d := DiskInfo{Kind: v.Disk.Kind, Bytes: v.Disk.Bytes, Inodes: v.Disk.Inodes, Image: l.Store.DiskImage(v)}
	if d.Image == "" {
		return d
	}
	if d.Kind == vps.DiskQuota {
		if u, err := quotadir.UsageOf(d.Image); err == nil {
			d.UsedBytes, d.UsedInodes, d.Inodes = new(u.UsedBytes), new(u.UsedInodes), u.Inodes
		}
		return d
	}
	var u diskfile.Usage
	seen := false
	if monitor > 0 {
		u, seen = diskfile.UsageMounted(filepath.Join(fmt.Sprintf("/proc/%d/root", monitor), l.Store.FSDir(v.Name)))
	}
	if !seen {
		var err error
		if u, err = diskfile.UsageOf(d.Image); err != nil {
			return d // a start says what is wrong
		}
	}
	d.UsedBytes, d.UsedInodes, d.Inodes = new(v.Disk.Bytes-u.Bytes+u.UsedBytes), new(u.UsedInodes), u.Inodes
	return d
}
