//go:build vm

package vm

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// The machine's disks, as all tests of this run have them before they write.
var world struct {
	cache              string
	image              image
	payload, templates string
	accel              accelerator
}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		os.Exit(agent())
	}
	os.Exit(outside(m))
}

// outside prepares the disks and runs the tests.
func outside(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "vm: these tests need root\nvm: type: make test-vm")
		return 1
	}
	unlock, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 1
	}
	defer unlock()
	// A default, which -test.parallel overrides.
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce(runtime.NumCPU(), availableMemory(), world.accel))); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 1
	}
	return m.Run()
}

// atOnce is how many machines run at the same time on a host with so many
// processors and so much memory that is available, in bytes.
func atOnce(cpus int, memory uint64, accel accelerator) int {
	const machineMemory = 3 << 30 // what it has, and what QEMU needs beside it
	return max(1, min(cpus/accel.processors(), int(memory/machineMemory)))
}

// availableMemory is what programs can have without swapping; 0 if the kernel
// does not tell.
func availableMemory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var kib uint64
	fmt.Sscan(rest, &kib)
	return kib << 10
}

func TestAtOnce(t *testing.T) {
	for _, c := range []struct {
		cpus   int
		memory uint64
		accel  accelerator
		want   int
	}{
		{1, 1 << 40, tcg, 1}, {2, 24 << 30, tcg, 2}, {8, 4 << 30, tcg, 1}, {8, 24 << 30, kvm, 4}, {1, 0, kvm, 1},
	} {
		if got := atOnce(c.cpus, c.memory, c.accel); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// prepare makes what world has, and keeps other runs away from it.
func prepare() (unlock func(), err error) {
	world.cache = os.Getenv("CROFT_VM_CACHE")
	if world.cache == "" {
		world.cache = "/var/cache/croft-test-vm"
	}
	if err := os.MkdirAll(world.cache, 0o755); err != nil {
		return nil, err
	}
	held, err := lock(world.cache)
	if err != nil {
		return nil, err
	}
	unlock = func() { held.Close() }
	if world.image, err = openImage(world.cache); err != nil {
		unlock()
		return nil, err
	}
	if world.templates, err = openTemplates(world.cache); err != nil {
		unlock()
		return nil, err
	}
	world.payload = filepath.Join(world.cache, "payload.img")
	if err := makePayload(world.payload); err != nil {
		unlock()
		return nil, err
	}
	world.accel = chooseAccelerator(world.image)
	return unlock, nil
}
