package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A bench is what sides measure with, in the box.
type bench struct {
	plan
	env   []string
	names int // that next has made
}

// hostAddress is the address of the box's way out.
const hostAddress = "192.0.2.1"

// newBench makes what all rows share: a way out for croft's network, and a first VPS,
// so that no row pays for the bridge and the rules that croft keeps.
func newBench(ctx context.Context, p plan) (*bench, error) {
	b := &bench{plan: p, env: []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + p.Dir, "LANG=C.UTF-8", "CROFT_CONFIG_DIR=" + filepath.Join(p.Dir, "etc"),
	}}
	for _, line := range []string{
		"ip link add up0 type veth peer name up1",
		"ip addr add " + hostAddress + "/24 dev up0",
		"ip link set up1 up",
		"ip link set up0 up",
		"ip route add default via 192.0.2.2",
	} {
		if _, err := b.run(ctx, strings.Fields(line)...); err != nil {
			return b, err
		}
	}
	if why := p.Missing[busybox]; why != "" {
		return b, fmt.Errorf("croft does not work at all: %s", why)
	}
	vps := b.next("warm")
	for _, args := range [][]string{
		{"create", "--template", busybox, vps}, {"start", "--wait", vps}, {"destroy", "--force", vps},
	} {
		if _, err := b.run(ctx, b.croftArgs(args...)...); err != nil {
			return b, fmt.Errorf("croft does not work at all: %w", err)
		}
	}
	return b, nil
}

// next returns a name that nothing else in the box has.
func (b *bench) next(base string) string {
	b.names++
	return fmt.Sprintf("bench-%s-%d", base, b.names)
}

// at is a path in the directory of the box.
func (b *bench) at(name string) string { return filepath.Join(b.Dir, name) }

// croftArgs is croft with arguments.
func (b *bench) croftArgs(args ...string) []string {
	return append([]string{b.Croft, "--root", b.Root, "--run-dir", "/run/croft"}, args...)
}

// files returns a root filesystem that was unpacked.
func (b *bench) files(name string) (string, error) {
	if why := b.Missing[strings.TrimSuffix(name, shifted)]; why != "" {
		return "", errors.New(why)
	}
	return filepath.Join(b.Files, name), nil
}

// needs fails if a program is not installed.
func needs(program, pkg string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is not installed: scripts/install-needs bench, or the package %s", program, pkg)
	}
	return nil
}

// write writes a file in the directory of the box, and returns its path.
func (b *bench) write(name, text string) (string, error) {
	path := b.at(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}
