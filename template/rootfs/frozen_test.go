package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/roottest"
)

// owner returns the owner of a file.
func owner(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	roottest.Must(t, unix.Lstat(path, &st))
	return st.Uid
}

// mounted calls do while r is mounted.
func mounted(t *testing.T, r Rootfs, do func(root string)) {
	t.Helper()
	roottest.InMountNamespace(t, func() {
		if err := r.Mount(); err != nil {
			t.Errorf("mount: %v", err)
			return
		}
		do(r.Target)
		if err := r.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

func write(t *testing.T, path, text string, uid uint32) {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o640)
	if err == nil {
		err = os.Chown(path, int(uid), int(uid))
	}
	if err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return "none"
	}
	return string(b)
}

// The files of a VPS become a layer that VPSs with other ids share: its owners follow
// the ids of each, and what it has removed stays removed.
func TestFreezeAndShare(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second [2]uint32
	}{
		{"other ids", [2]uint32{700000, 65536}, [2]uint32{900000, 65536}},
		{"more ids", [2]uint32{700000, 65536}, [2]uint32{900000, 131072}},
		{"from one without a user namespace", [2]uint32{0, 0}, [2]uint32{900000, 65536}},
		{"to one without a user namespace", [2]uint32{700000, 65536}, [2]uint32{0, 0}},
		{"the same ids", [2]uint32{700000, 65536}, [2]uint32{700000, 65536}},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := t.TempDir()
			low := layers(t, top, 2)
			a := Rootfs{Layers: low, Dir: filepath.Join(top, "a"), Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: c.first[0], Size: c.first[1]}
			roottest.Must(t, a.Make())
			mounted(t, a, func(root string) {
				write(t, filepath.Join(root, "own"), "from a", a.First+1000)
				if err := os.Remove(filepath.Join(root, "only1")); err != nil {
					t.Error(err)
				}
				if err := os.Chmod(root, 0o711); err != nil {
					t.Error(err)
				}
			})
			if changed, err := a.Changed(); !changed || err != nil {
				t.Errorf("changed %t, %v", changed, err)
			}
			frozen := Frozen{Dir: filepath.Join(top, "frozen"), First: a.First, Size: a.Size}
			roottest.Must(t, a.Freeze(frozen.Dir))
			roottest.Must(t, a.Freeze(frozen.Dir)) // a second time changes nothing
			a.Frozen = []Frozen{frozen}
			if changed, err := a.Changed(); changed || err != nil {
				t.Errorf("after the freeze: changed %t, %v", changed, err)
			}
			b := a
			b.Dir, b.First, b.Size = filepath.Join(top, "b"), c.second[0], c.second[1]
			roottest.Must(t, b.MakeOver())
			for _, r := range []Rootfs{a, b} {
				mounted(t, r, func(root string) {
					var st unix.Stat_t
					if err := unix.Lstat(root, &st); err != nil || st.Uid != r.First || st.Mode&0o7777 != 0o711 {
						t.Errorf("/ of %s: owner %d, mode %o, %v", r.Dir, st.Uid, st.Mode, err)
					}
					if got := read(t, filepath.Join(root, "own")); got != "from a" || owner(t, filepath.Join(root, "own")) != r.First+1000 {
						t.Errorf("%s: own is %q of %d", r.Dir, got, owner(t, filepath.Join(root, "own")))
					}
					if got := read(t, filepath.Join(root, "only1")) + read(t, filepath.Join(root, "only0")); got != "nonelow" {
						t.Errorf("%s: only1 and only0 are %s", r.Dir, got)
					}
					write(t, filepath.Join(root, "own"), "changed in "+filepath.Base(r.Dir), r.First)
				})
			}
			for _, r := range []Rootfs{a, b} {
				mounted(t, r, func(root string) {
					if got := read(t, filepath.Join(root, "own")); got != "changed in "+filepath.Base(r.Dir) {
						t.Errorf("%s: own is %q", r.Dir, got)
					}
				})
			}
			if got := read(t, filepath.Join(frozen.Dir, "own")); got != "from a" {
				t.Errorf("the frozen file is %q", got)
			}
		})
	}
}

// A Freeze that ended between its two steps is completed by the next one.
func TestFreezeInterrupted(t *testing.T) {
	top := t.TempDir()
	r := Rootfs{Layers: layers(t, top, 1), Dir: filepath.Join(top, "fs"), First: 700000, Size: 65536}
	roottest.Must(t, r.Make())
	to := filepath.Join(top, "frozen")
	roottest.Must(t, os.Rename(r.Upper(), to))
	roottest.Must(t, r.Freeze(to))
	if owner(t, r.Upper()) != 700000 {
		t.Errorf("the upper directory belongs to %d", owner(t, r.Upper()))
	}
}
