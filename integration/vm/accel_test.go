//go:build vm

package vm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// An accelerator is what executes the machine's instructions.
type accelerator string

const (
	kvm accelerator = "KVM"
	tcg accelerator = "software emulation"
)

// arguments tell QEMU to use this accelerator.
func (a accelerator) arguments() []string {
	smp := strconv.Itoa(a.processors())
	if a == kvm {
		return []string{"-accel", "kvm", "-cpu", "host", "-smp", smp}
	}
	return []string{"-accel", "tcg", "-cpu", "max", "-smp", smp}
}

// processors is how many a machine has. QEMU 7.2 emulates several incorrectly: a
// processor that executes an instruction while another one patches it finds an
// unexpected breakpoint ("Oops: int3"), once in a few boots. Linux patches its own
// code all the time. One processor is about as fast, as it needs no atomic
// instructions.
func (a accelerator) processors() int {
	if a == kvm {
		return 2
	}
	return 1
}

// chooseAccelerator tries whether KVM boots the kernel of the image as far as
// the panic that comes of having no disk. That /dev/kvm is there, and even that
// it executes a few instructions, says nothing: on a machine that is a virtual
// one itself it may fail at the first instruction that it has to emulate.
func chooseAccelerator(i image) accelerator {
	dir, err := os.MkdirTemp("", "croft-kvm-")
	if err != nil {
		return tcg
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	log := filepath.Join(dir, "console")
	args := append(kvm.arguments(), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "512",
		"-kernel", i.kernel, "-append", "console=ttyS0 panic=-1", "-serial", "file:"+log)
	if exec.CommandContext(ctx, "qemu-system-x86_64", args...).Run() != nil {
		return tcg
	}
	if text, err := os.ReadFile(log); err != nil || !bytes.Contains(text, []byte("Kernel panic")) {
		return tcg
	}
	return kvm
}
