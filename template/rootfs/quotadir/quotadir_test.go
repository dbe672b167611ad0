package quotadir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
	"croft/template/rootfs/diskfile"
)

// disk is a file system with the inodes of each project id, and a directory.
type disk struct {
	used  map[uint32]int64
	taken []uint32 // by another process just before the directory is marked
	at    uint32
	err   error
}

func (d *disk) inodes(id uint32) (int64, error) { return d.used[id], d.err }

func (d *disk) mark(id uint32) error {
	if len(d.taken) > 0 && d.taken[0] == id {
		d.used[id]++
		d.taken = d.taken[1:]
	}
	if d.used[d.at] > 0 {
		d.used[d.at]--
	}
	d.at = id
	d.used[id]++
	return nil
}

func TestClaim(t *testing.T) {
	d := &disk{used: map[uint32]int64{FirstProject: 3, FirstProject + 1: 1}}
	if id, err := claim(d); err != nil || id != FirstProject+2 || d.at != id {
		t.Errorf("%d, %v; the directory has %d", id, err, d.at)
	}
	// Files that were deleted leave their id to others.
	delete(d.used, FirstProject)
	if id, err := claim(d); err != nil || id != FirstProject {
		t.Errorf("%d, %v", id, err)
	}
	// Another process takes the same id at the same time.
	d = &disk{used: map[uint32]int64{}, taken: []uint32{FirstProject}}
	if id, err := claim(d); err != nil || id == FirstProject || d.used[id] != 1 || d.used[FirstProject] != 1 {
		t.Errorf("%d, %v: %v", id, err, d.used)
	}
	d.err = errors.New("no")
	if _, err := claim(d); err == nil {
		t.Error("it claims what cannot be read")
	}
}

func TestLimitsOf(t *testing.T) {
	if got, want := limitsOf(diskfile.Size{Bytes: 64<<20 + 5}), (quota{bytes: 64 << 20, inodes: 4096}); got != want {
		t.Errorf("%+v", got)
	}
	if got := limitsOf(diskfile.Size{Bytes: 16 << 20, Inodes: 5000}); got.inodes != 5000 {
		t.Errorf("%+v", got)
	}
}

// Without project quotas nothing is created. The integration tests have a file system with
// them.
func TestWithoutQuotas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.x.dir")
	if Why(filepath.Dir(path)) == nil {
		t.Skip("the file system of temporary files has project quotas")
	}
	if err := Create(path, diskfile.Size{Bytes: 16 << 20}); !fail.Is(err, fail.Host) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
	if _, err := UsageOf(filepath.Dir(path)); err == nil {
		t.Error("a directory without a project has a usage")
	}
}
