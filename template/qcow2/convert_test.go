package qcow2

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

// converter returns a Converter of the image that qemu-img makes with these arguments, in "image".
func converter(t *testing.T, size int64, args ...string) (Converter, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root confines a program")
	}
	path, err := exec.LookPath(Tool)
	if err != nil {
		t.Skipf("this host has no %s", Tool)
	}
	c := Converter{Dir: t.TempDir(), Size: size, First: 0x7FFE0000, Bound: func(context.Context, int) func() { return func() {} }}
	cmd := exec.Command(path, args...)
	cmd.Dir = c.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c, path
}

func TestConvert(t *testing.T) {
	raw := filepath.Join(t.TempDir(), "raw")
	text := append(make([]byte, 8<<20), "in the middle"...)
	if err := os.WriteFile(raw, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 16 << 20
	if err := os.Truncate(raw, size); err != nil {
		t.Fatal(err)
	}
	c, path := converter(t, size, "convert", "-f", "raw", "-O", "qcow2", raw, "image")
	if err := c.Convert(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(c.Disk())
	if err != nil || !bytes.Equal(got, append(text, make([]byte, size-len(text))...)) {
		t.Errorf("the disk has %d bytes, %v", len(got), err)
	}
	used, err := exec.Command("du", "-k", c.Disk()).Output()
	if err != nil || len(strings.Fields(string(used))[0]) > 3 {
		t.Errorf("the disk has no holes: %s, %v", used, err)
	}
}

// The program has no right to files of root, also if an image that names one would pass Size.
func TestConvertReadsNoFileOfRoot(t *testing.T) {
	const secret = "/etc/shadow"
	if _, err := os.Stat(secret); err != nil {
		t.Skip(err)
	}
	c, path := converter(t, 1<<20, "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", secret, "image", "1M")
	if err := c.Convert(t.Context(), path); !fail.Is(err, fail.Usage) || !strings.HasSuffix(err.Error(), "Could not open '"+secret+"': Permission denied") {
		t.Errorf("it converts: %v", err)
	}
}

// The program writes no more than the size of the disk.
func TestConvertHasLimits(t *testing.T) {
	c, path := converter(t, 1<<20, "create", "-q", "-f", "qcow2", "image", "64M")
	fill := exec.Command("qemu-io", "-f", "qcow2", "-c", "write 0 64M", c.File())
	if out, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := c.Convert(t.Context(), path); !fail.Is(err, fail.Usage) {
		t.Errorf("it converts: %v", err)
	}
	if info, err := os.Stat(c.Disk()); err != nil || info.Size() > 1<<20 {
		t.Errorf("the disk has %d bytes, %v", info.Size(), err)
	}
}

func TestConvertEndsWithItsContext(t *testing.T) {
	c, path := converter(t, 1<<20, "create", "-q", "-f", "qcow2", "image", "1M")
	ctx, cancel := context.WithCancel(t.Context())
	c.Bound = func(context.Context, int) func() {
		cancel() // before it begins
		return func() {}
	}
	if err := c.Convert(ctx, path); err != context.Canceled {
		t.Errorf("it ends with %v", err)
	}
}
