package rootfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/userns"
	"croft/template/layer"
	"croft/template/roottest"
)

func TestOverlayOptions(t *testing.T) {
	o := overlay{lowers: []string{"/a", `/b:c,d\e`}, upper: "/up:1", work: "/work,2"}
	got := o.options()
	want := `lowerdir=/a:/b\:c\,d\\e,upperdir=/up:1,workdir=/work\,2,metacopy=off,index=off`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o.volatile = true
	if got := o.options(); got != want+",volatile" {
		t.Errorf("volatile: %s", got)
	}
}

// A volatile root filesystem can be mounted again, as at a reboot, and says what it is.
func TestVolatile(t *testing.T) {
	for _, n := range []int{1, 130} {
		top := filepath.Join(t.TempDir(), strings.Repeat("long", 10))
		roottest.InMountNamespace(t, func() {
			r := Rootfs{Layers: layers(t, top, n), Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"),
				Scratch: filepath.Join(top, "lower"), First: 700000, Size: 65536, Volatile: true}
			roottest.Must(t, r.Make())
			for range 2 {
				roottest.Must(t, r.Mount())
				mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
				roottest.Must(t, err)
				if !strings.Contains(string(mounts), "volatile\n") {
					t.Errorf("%d layers: not mounted volatile", n)
				}
				roottest.Must(t, r.Unmount())
			}
		})
	}
}

// layers creates lower directories. Each has a file of its own, and all have
// /etc/which.
func layers(t *testing.T, top string, n int) []string {
	t.Helper()
	var dirs []string
	for i := range n {
		d := filepath.Join(top, fmt.Sprintf("layer%d", i))
		roottest.Must(t, os.MkdirAll(filepath.Join(d, "etc"), 0o755))
		roottest.Must(t, os.WriteFile(filepath.Join(d, fmt.Sprintf("only%d", i)), []byte("low"), 0o644))
		roottest.Must(t, os.WriteFile(filepath.Join(d, "etc", "which"), fmt.Append(nil, i), 0o640))
		roottest.Must(t, os.Chown(filepath.Join(d, "etc", "which"), 0, 42))
		dirs = append(dirs, d)
	}
	return dirs
}

func TestRootfs(t *testing.T) {
	for _, c := range []struct {
		name        string
		n           int
		first, size uint32
		top         string
	}{
		{"one layer", 1, 700000, 65536, "top"},
		{"three layers", 3, 700000, 131072, "top"},
		{"no user namespace", 2, 0, 0, "top"},
		{"an odd path", 2, 700000, 65536, `o:d,d\ path`},
		{"more than a page of options", 130, 700000, 65536, strings.Repeat("long", 10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), c.top)
			roottest.InMountNamespace(t, func() {
				r := Rootfs{Layers: layers(t, top, c.n), Dir: filepath.Join(top, "fs"), Target: filepath.Join(top, "root"),
					Scratch: filepath.Join(top, "lower"), First: c.first, Size: c.size}
				roottest.Must(t, r.Make())
				roottest.Must(t, r.Make()) // the second call is a no-op
				if err := r.Mount(); err != nil {
					t.Errorf("mount: %v", err)
					return
				}
				checkMounted(t, r)
				roottest.Must(t, r.Unmount())
				roottest.Must(t, r.Unmount()) // nothing is mounted: no-op
				if left, _ := os.ReadDir(r.Scratch); len(left) != 0 {
					t.Errorf("left in scratch: %v", left)
				}
				if strings.Contains(threadMounts(t), top) {
					t.Errorf("left mounted:\n%s", threadMounts(t))
				}
				// Mounted again, with the changes.
				roottest.Must(t, r.Mount())
				if b, err := os.ReadFile(filepath.Join(r.Target, "only0")); string(b) != "changed" {
					t.Errorf("only0 is %q (%v)", b, err)
				}
				roottest.Must(t, r.Unmount())
			})
		})
	}
}

func threadMounts(t *testing.T) string {
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	roottest.Must(t, err)
	return string(b)
}

// checkMounted checks a mounted r and changes a file in it.
func checkMounted(t *testing.T, r Rootfs) {
	t.Helper()
	which := filepath.Join(r.Target, "etc", "which")
	if b, err := os.ReadFile(which); string(b) != "0" {
		t.Errorf("the topmost layer is %q (%v)", b, err)
	}
	for i := range r.Layers {
		if _, err := os.Stat(filepath.Join(r.Target, fmt.Sprintf("only%d", i))); err != nil {
			t.Error(err)
		}
	}
	shifted := fmt.Sprintf("%d:%d", r.First, r.First+42)
	if got := roottest.Owner(t, which); got != shifted {
		t.Errorf("which belongs to %s, want %s", got, shifted)
	}
	if got, want := roottest.Owner(t, r.Target), fmt.Sprintf("%d:%d", r.First, r.First); got != want {
		t.Errorf("the root belongs to %s, want %s", got, want)
	}
	roottest.Must(t, os.WriteFile(filepath.Join(r.Target, "only0"), []byte("changed"), 0o644))
	if b, err := os.ReadFile(filepath.Join(r.Layers[0], "only0")); string(b) != "low" {
		t.Errorf("the layer's file is %q (%v)", b, err)
	}
	if got := roottest.Owner(t, filepath.Join(r.Dir, "upper", "only0")); got != fmt.Sprintf("%d:%d", r.First, r.First) {
		t.Errorf("the file that was copied up belongs to %s", got)
	}
	roottest.Must(t, os.Chmod(which, 0o600)) // copies up with its owner
	if got := roottest.Owner(t, filepath.Join(r.Dir, "upper", "etc", "which")); got != shifted {
		t.Errorf("which was copied up for %s, want %s", got, shifted)
	}
	roottest.Must(t, os.Remove(which))
	if _, err := os.Stat(filepath.Join(r.Layers[0], "etc", "which")); err != nil {
		t.Error(err)
	}
	nodev := strings.Contains(mountOptions(t, r.Target), "nodev")
	if nodev != (r.Size != 0) {
		t.Errorf("nodev is %v", nodev)
	}
}

func mountOptions(t *testing.T, target string) string {
	t.Helper()
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`).Replace(target)
	for line := range strings.Lines(threadMounts(t)) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == escaped {
			return f[5]
		}
	}
	t.Errorf("%s is not mounted", target)
	return ""
}

func TestMountFailsWhole(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	roottest.InMountNamespace(t, func() {
		r := Rootfs{Layers: append(layers(t, top, 2), filepath.Join(top, "gone")), Dir: filepath.Join(top, "fs"),
			Target: filepath.Join(top, "root"), Scratch: filepath.Join(top, "lower"), First: 700000, Size: 65536}
		roottest.Must(t, r.Make())
		if err := r.Mount(); err == nil {
			t.Error("mounted without a layer")
		}
		r.Layers = layers(t, top, 1)
		roottest.Must(t, os.RemoveAll(r.Dir)) // never made
		if err := r.Mount(); err == nil {
			t.Error("mounted without an upper directory")
		}
		r.Layers = nil
		if err := r.Mount(); !fail.Is(err, fail.State) {
			t.Errorf("no layers: %v", err)
		}
		if strings.Contains(threadMounts(t), top) {
			t.Errorf("left mounted:\n%s", threadMounts(t))
		}
	})
}

// Two VPSs over one layer: each has its own ids, and neither sees the other's
// changes.
func TestTwoVPSsOverOneLayer(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	roottest.InMountNamespace(t, func() {
		low := layers(t, top, 1)
		var all []Rootfs
		for i, first := range []uint32{700000, 800000} {
			d := filepath.Join(top, fmt.Sprintf("vps%d", i))
			r := Rootfs{Layers: low, Dir: d + "/fs", Target: d + "/root", Scratch: d + "/lower", First: first, Size: 65536}
			roottest.Must(t, r.Make())
			if err := r.Mount(); err != nil {
				t.Error(err)
				return
			}
			all = append(all, r)
		}
		roottest.Must(t, os.WriteFile(all[0].Target+"/new", nil, 0o644))
		if _, err := os.Stat(all[1].Target + "/new"); !os.IsNotExist(err) {
			t.Errorf("the other sees it: %v", err)
		}
		for _, r := range all {
			if got, want := roottest.Owner(t, r.Target+"/etc/which"), fmt.Sprintf("%d:%d", r.First, r.First+42); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			roottest.Must(t, r.Unmount())
		}
	})
}

// Whiteouts of a layer hide files of lower layers, also through idmapped mounts.
func TestWhiteouts(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	roottest.InMountNamespace(t, func() {
		var dirs []string
		for i, entries := range [][]byte{
			roottest.Archive(t, roottest.File("d/.wh.gone", ""), roottest.Dir("o"), roottest.File("o/.wh..wh..opq", ""), roottest.File("o/new", "")),
			roottest.Archive(t, roottest.Dir("d"), roottest.File("d/gone", ""), roottest.File("d/kept", ""), roottest.Dir("o"), roottest.File("o/old", "")),
		} {
			d := filepath.Join(top, fmt.Sprint(i))
			roottest.Must(t, os.MkdirAll(d, 0o755))
			_, err := layer.Unpack(t.Context(), d, nil, strings.NewReader(string(entries)), nil)
			roottest.Must(t, err)
			dirs = append(dirs, d)
		}
		r := Rootfs{Layers: dirs, Dir: top + "/fs", Target: top + "/root", Scratch: top + "/lower", First: 700000, Size: 65536}
		roottest.Must(t, r.Make())
		if err := r.Mount(); err != nil {
			t.Error(err)
			return
		}
		want := "drwxr-xr-x d\n-rw-r--r-- d/kept \"\"\ndrwxr-xr-x o\n-rw-r--r-- o/new \"\"\n"
		if got := roottest.List(t, r.Target); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		roottest.Must(t, r.Unmount())
	})
}

func TestUserNamespaceLeavesNoProcess(t *testing.T) {
	roottest.NeedRoot(t)
	ns, err := userns.New(0, 700000, 65536)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err == nil && len(strings.TrimSpace(string(children))) != 0 {
		t.Errorf("children: %s", children)
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		t.Skip("nsenter is not installed: the map cannot be read from outside")
	}
	cmd := exec.Command(nsenter, "--user=/proc/self/fd/3", "cat", "/proc/self/uid_map", "/proc/self/gid_map")
	cmd.ExtraFiles = []*os.File{ns}
	out, err := cmd.CombinedOutput()
	if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != "0 700000 65536 0 700000 65536" {
		t.Errorf("maps are %q (%v)", got, err)
	}
}
