//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The templates that the tests boot, beside busybox, which needs no building.
var debians = []string{"debian-12", "debian-13", "debian-12-sysvinit", "debian-12-openrc"}

// A cache is a root directory of croft that is kept between runs for the
// templates in it. It is named after the code and the recipes that made them.
type cache struct {
	croft, root string
	lock        *os.File
}

// openCache locks the cache for this run, takes the VPSs of a run that was
// killed out of it, and removes the caches of older code.
func openCache(croft string) (*cache, error) {
	top := os.Getenv("CROFT_TEST_CACHE")
	if top == "" {
		top = "/var/tmp/croft-test"
	}
	key, err := templateCode()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(top, key)
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o755); err != nil {
		return nil, err
	}
	c := &cache{croft: croft, root: filepath.Join(dir, "root")}
	if c.lock, err = lockDir(dir); err != nil {
		return nil, fmt.Errorf("another run of these tests is using %s: %w", dir, err)
	}
	for _, stale := range []string{"root/vps", "root/networks", "root/trash", "run"} {
		if err := os.RemoveAll(filepath.Join(dir, stale)); err != nil {
			return nil, err
		}
	}
	others, err := os.ReadDir(top)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if o.Name() == key {
			continue
		}
		if lock, err := lockDir(filepath.Join(top, o.Name())); err == nil {
			os.RemoveAll(filepath.Join(top, o.Name()))
			lock.Close()
		}
	}
	return c, nil
}

func (c *cache) close() { c.lock.Close() }

func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// templateCode is a digest of all that decides what a built template is.
func templateCode() (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir("../template", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") ||
			!strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6]), err
}

// buildAll builds the Debian templates that are not there. One that fails has
// the reason in a file, for the tests that want it.
func (c *cache) buildAll() {
	var building sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, name := range debians {
		os.Remove(c.failure(name))
		if c.has(name) {
			continue
		}
		building.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			start := time.Now()
			fmt.Fprintf(os.Stderr, "integration: building %s, kept in %s for later runs\n", name, c.root)
			if out, err := c.run("template", "build", name); err != nil {
				os.WriteFile(c.failure(name), fmt.Appendf(out, "%v", err), 0o644)
				fmt.Fprintf(os.Stderr, "integration: %s cannot be built: %v\n", name, err)
				return
			}
			fmt.Fprintf(os.Stderr, "integration: built %s in %v\n", name, time.Since(start).Round(time.Second))
		})
	}
	building.Wait()
}

func (c *cache) failure(template string) string {
	return filepath.Join(filepath.Dir(c.root), template+".failed")
}

func (c *cache) has(template string) bool {
	_, err := c.run("template", "inspect", template)
	return err == nil
}

func (c *cache) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	all := append(where(c.root, filepath.Join(filepath.Dir(c.root), "run")), args...)
	return exec.CommandContext(ctx, c.croft, all...).CombinedOutput()
}

// needs fails the test if the template could not be built.
func needs(t *testing.T, template string) {
	t.Helper()
	why, err := os.ReadFile((&cache{root: world.root}).failure(template))
	if err == nil {
		t.Fatalf("template %s could not be built:\n%s", template, why)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
