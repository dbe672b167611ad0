//go:build vm

package vm

import (
	"fmt"
	"os"
	"path/filepath"
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
	return m.Run()
}

// prepare makes what world has, and keeps other runs away from it: there is
// one machine at a time.
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
