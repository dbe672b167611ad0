package container

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// A limit below the memory in use is refused with the amount, in the cgroup tree
// of each version. A host without the controller refuses nothing.
func TestMakeRoom(t *testing.T) {
	for file, controller := range map[string]string{"memory.current": "", "memory.usage_in_bytes": "memory"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), []byte("8388608\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dirs := map[string]string{controller: dir}
		if err := makeRoom(dirs, 8<<20); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		err := makeRoom(dirs, 4<<20)
		if !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "8.0 MiB of memory are in use") || !strings.Contains(err.Error(), "cannot be 4.0 MiB") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, dirs := range []map[string]string{nil, {"": t.TempDir()}} {
		if err := makeRoom(dirs, 1); err != nil {
			t.Errorf("%v: %v", dirs, err)
		}
	}
}

// What cannot be freed is anonymous memory that does not fit into the free swap,
// locked memory and the kernel's own.
func TestFixedMemory(t *testing.T) {
	const version2 = "anon 100\nfile 5000\nactive_anon 40\ninactive_anon 60\nactive_file 9\nunevictable 7\nslab_unreclaimable 3\nslab_reclaimable 1000\nkernel_stack 2\npagetables 1\npercpu 4\n"
	const version1 = "cache 5000\ninactive_anon 1\nactive_anon 1\nunevictable 1\ntotal_inactive_anon 60\ntotal_active_anon 40\ntotal_unevictable 7\n"
	for _, c := range []struct {
		stat string
		swap int64
		want int64
	}{{version2, 0, 117}, {version2, 30, 87}, {version2, 1000, 17}, {version1, 0, 107}, {"", 0, 0}} {
		if got := fixedMemory(c.stat, c.swap); got != c.want {
			t.Errorf("%q, swap %d: %d, want %d", c.stat, c.swap, got, c.want)
		}
	}
	if got := freeSwap("MemFree: 1 kB\nSwapTotal: 9 kB\nSwapFree:        7 kB\n"); got != 7<<10 {
		t.Errorf("free swap: %d", got)
	}
}

// A write that blocks in the kernel is interrupted.
func TestWriteWithin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "full")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := unix.Open(file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	_ = writeWithin(file, strings.Repeat("x", 1<<20), 10*time.Millisecond) // otherwise it waits forever
	if err := writeWithin(file+"none", "", time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestEndsOfThrottles(t *testing.T) {
	files := withEnds(map[string]string{"io.max": "8:0 rbps=1 wbps=max riops=max wiops=max", "io.weight": "7"},
		"8:0 rbps=9 wbps=9 riops=max wiops=max\n8:16 rbps=max wbps=5 riops=max wiops=max\n")
	if got := files["io.max"]; got != "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=max wbps=max riops=max wiops=max" || files["io.weight"] != "7" {
		t.Errorf("%q", files)
	}
	var kept specs.LinuxThrottleDevice
	kept.Major, kept.Rate = 8, 5
	devices := withZeros([]specs.LinuxThrottleDevice{kept}, "8:0 9\n8:16 9\n")
	if len(devices) != 2 || devices[0].Rate != 5 || devices[1].Minor != 16 || devices[1].Rate != 0 {
		t.Errorf("%+v", devices)
	}
}
