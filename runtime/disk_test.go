package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Wherever a change of the disk fails, the VPS has its files, and the next command
// removes what is not used.
func TestDiskKeepsFiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		create   func(*faulty) error
		dir      string
		was, now int64
	}{
		{"first limit", createWeb, "upper", 0, 64 << 20}, {"smaller", createWeb, "upper", 64 << 20, 32 << 20},
		{"larger", createWeb, "upper", 32 << 20, 64 << 20}, {"no limit", createWeb, "upper", 64 << 20, 0},
		{"first limit of a plain tree", createPlainWeb, "tree", 0, 64 << 20}, {"smaller plain tree", createPlainWeb, "tree", 64 << 20, 32 << 20},
		{"plain tree without a limit", createPlainWeb, "tree", 64 << 20, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, more := 1, true; more; n++ {
				f := newFaulty(t, memoryDir(t))
				f.w.cannotGrow = true
				must(t, c.create(f))
				must(t, changeWeb(vps.SetDisk{Bytes: c.was})(f))
				must(t, writeFile(f))
				f.w.effects, f.w.failAt = 0, n
				err := changeWeb(vps.SetDisk{Bytes: c.now})(f)
				f.w.failAt = 0
				more = f.w.effects >= n
				if err == nil == more || err != nil && !errors.Is(err, errWorld) {
					t.Errorf("effect %d (%s): %v", n, f.w.last, err)
				}
				must(t, changeWeb(vps.SetDescription{Text: "x"})(f))
				v, err := f.m.store.Get("web")
				must(t, err)
				want := c.was
				if !more {
					want = c.now
				}
				if v.Disk.Bytes != want || v.Disk.Limited() != (v.Disk.Image != "") {
					t.Errorf("effect %d (%s): its disk is %+v", n, f.w.last, v.Disk)
				}
				if _, err := os.Stat(filepath.Join(upperOfWeb(f), "own")); err != nil {
					t.Errorf("effect %d (%s): %v", n, f.w.last, err)
				}
				images, _ := filepath.Glob(f.m.store.VPSDir("web") + "/disk.*")
				if _, err := os.Stat(f.m.store.NewFSDir("web")); len(images) > 1 || len(images) == 1 != v.Disk.Limited() || err == nil {
					t.Errorf("effect %d (%s): there are images %v; fs.new: %v", n, f.w.last, images, err)
				}
				if _, err := os.Stat(filepath.Join(f.m.store.FSDir("web"), c.dir)); (err == nil) == v.Disk.Limited() {
					t.Errorf("effect %d (%s): below the image: %v", n, f.w.last, err)
				}
				f.end()
			}
		})
	}
}

// The limits of a VPS with a quota change while it runs, unless it has more files.
func TestQuotaOfRunningVPS(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	must(t, withQuotas(f))
	must(t, createWithDisk(f))
	must(t, startWeb(f))
	for _, e := range []vps.Edit{vps.SetDisk{Bytes: 128 << 20}, vps.SetDisk{Bytes: 32 << 20}, vps.SetInodes{Inodes: 5000}} {
		must(t, changeWeb(e)(f))
	}
	v, err := f.m.store.Get("web")
	must(t, err)
	dir := f.m.store.DiskImage(v)
	quota := func() string {
		text, err := os.ReadFile(filepath.Join(dir, "quota"))
		must(t, err)
		return string(text)
	}
	if got := quota(); v.Disk.Kind != vps.DiskQuota || v.Disk.Bytes != 32<<20 || got != "{33554432 5000}" {
		t.Errorf("%+v, and the kernel has %s", v.Disk, got)
	}
	f.w.filled = 20 << 20
	if err := changeWeb(vps.SetDisk{Bytes: 16 << 20})(f); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("less than it uses: %v", err)
	}
	if err := changeWeb(vps.SetDisk{})(f); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("no limit: %v", err)
	}
	// A command that was killed has changed the quota alone.
	must(t, os.WriteFile(filepath.Join(dir, "quota"), nil, 0o600))
	must(t, changeWeb(vps.SetDescription{Text: "x"})(f))
	if got := quota(); got != "{33554432 5000}" {
		t.Errorf("afterwards the kernel has %s", got)
	}
}

// A new VPS whose template has more than its quota is refused.
func TestQuotaOfNewVPS(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	must(t, withQuotas(f))
	f.w.filled = 65 << 20
	if err := createWithDisk(f); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "do not fit") {
		t.Error(err)
	}
	if _, err := f.m.store.Get("web"); !fail.Is(err, fail.NotFound) {
		t.Errorf("it exists: %v", err)
	}
}

// Root of a privileged VPS is root of the host, whom a quota does not hold.
func TestNoQuotaOfPrivilegedVPS(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	must(t, withQuotas(f))
	_, err := f.m.Create(background, "web", CreateOptions{Template: "t", Privileged: true, DiskBytes: 64 << 20})
	must(t, err)
	if v, err := f.m.store.Get("web"); err != nil || v.Disk.Kind != vps.DiskImage {
		t.Errorf("%+v, %v", v.Disk, err)
	}
}

// Wherever a conversion of a VPS with an image fails, it has its files, and one image.
func TestConversionOfDiskKeepsFiles(t *testing.T) {
	for _, c := range []struct {
		was, now vps.Storage
	}{{vps.StorageOverlay, vps.StoragePlain}, {vps.StoragePlain, vps.StorageOverlay}} {
		for n, more := 1, true; more; n++ {
			f := newFaulty(t, memoryDir(t))
			_, err := f.m.Create(background, "web", CreateOptions{Template: "t", Storage: c.was, DiskBytes: 64 << 20})
			must(t, err)
			must(t, writeFile(f))
			f.w.effects, f.w.failAt = 0, n
			err = convertWeb(c.now)(f)
			f.w.failAt = 0
			more = f.w.effects >= n
			if err != nil && !errors.Is(err, errWorld) {
				t.Errorf("to %q, effect %d (%s): %v", c.now, n, f.w.last, err)
			}
			want := c.now
			if err != nil {
				want = c.was
			}
			must(t, changeWeb(vps.SetDescription{Text: "x"})(f))
			v, err := f.m.store.Get("web")
			must(t, err)
			if v.Storage != want || v.Disk.Bytes != 64<<20 {
				t.Errorf("to %q, effect %d (%s): it has storage %q and disk %+v", c.now, n, f.w.last, v.Storage, v.Disk)
			}
			if _, err := os.Stat(filepath.Join(upperOfWeb(f), "own")); err != nil {
				t.Errorf("to %q, effect %d (%s): %v", c.now, n, f.w.last, err)
			}
			images, _ := filepath.Glob(f.m.store.VPSDir("web") + "/disk.*")
			if _, err := os.Stat(f.m.store.NewFSDir("web")); len(images) != 1 || err == nil {
				t.Errorf("to %q, effect %d (%s): there are images %v; fs.new: %v", c.now, n, f.w.last, images, err)
			}
			f.end()
		}
	}
}

func TestDiskOfRunningVPS(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	must(t, createWithDisk(f))
	must(t, startWeb(f))
	must(t, changeWeb(vps.SetDisk{Bytes: 128 << 20})(f))
	if v, err := f.m.store.Get("web"); err != nil || v.Disk.Bytes != 128<<20 {
		t.Errorf("%+v, %v", v.Disk, err)
	}
	for _, e := range []vps.Edit{vps.SetDisk{Bytes: 64 << 20}, vps.SetDisk{}, vps.SetInodes{Inodes: 5000}} {
		if err := changeWeb(e)(f); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("%s: %v", e, err)
		}
	}
	f.w.cannotGrow = true
	if err := changeWeb(vps.SetDisk{Bytes: 256 << 20})(f); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "no capability") {
		t.Errorf("grow without a capability: %v", err)
	}
	if err := f.m.Stop(context.Background(), "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	must(t, changeWeb(vps.SetDisk{Bytes: 256 << 20})(f))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
