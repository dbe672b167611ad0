package look

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"croft/internal/vps"
	"croft/runtime/diskuse"
)

// StatsOptions ask for numbers that cost more than reading the cgroups of a VPS.
type StatsOptions struct {
	OpenFiles bool // looks at each process
	Disk      bool // looks at each file of the VPS
}

// addCostly adds the numbers that o asks for to the usage of a VPS.
func (l Looker) addCostly(ctx context.Context, s *Stats, o StatsOptions) error {
	if s.Err != nil {
		return nil
	}
	if o.OpenFiles {
		pids, err := l.Containers.Processes(string(s.Name))
		if err != nil {
			return l.goneOr(s.Name, err)
		}
		s.OpenFiles = new(openFiles(pids))
	}
	if o.Disk {
		n, err := l.disk(ctx, s.Name)
		if err != nil {
			return err
		}
		s.Disk = new(uint64(n))
	}
	return nil
}

// disk is what the VPS uses of the disk: its own files, and its frozen layers, which it
// may share with clones and snapshots.
func (l Looker) disk(ctx context.Context, name vps.Name) (int64, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return 0, err
	}
	return diskuse.Of(ctx, l.Store.OwnDirs(v, l.Store.FSDir(name))...)
}

// openFiles counts the open file descriptors of processes. One that has ended has none.
func openFiles(pids []int) uint64 {
	var all uint64
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		// Since Linux 6.2 the size of the directory is the number of its entries
		// (fs/proc/fd.c, proc_fd_getattr). Before, it is 0.
		if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
			all += uint64(info.Size())
			continue
		}
		entries, _ := os.ReadDir(dir) // as many as can be read
		all += uint64(len(entries))
	}
	return all
}
