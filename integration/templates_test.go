//go:build integration

package integration

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/integration/guests"

	"golang.org/x/sys/unix"
)

// The templates that the tests boot, beside busybox, which needs no building.
var debians = []string{"debian-12", "debian-13", "debian-12-sysvinit", "debian-12-openrc", "debian-12-containers", "debian-13-containers", "debian-sid-tests", "plain-trixie"}

// A cache is a root directory of croft that is kept between runs for the
// templates in it. It is named after the code and the recipes that made them.
type cache struct {
	croft, root string
	lock        *os.File

	mu     sync.Mutex
	builds map[string]func() error
}

// openCache locks the cache for this run, takes the VPSs of a run that was
// killed out of it, and removes the caches of older code.
func openCache() (*cache, error) {
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
	c := &cache{croft: filepath.Join(dir, "bin", "croft"), root: filepath.Join(dir, "root"), builds: map[string]func() error{}}
	if c.lock, err = lockDir(dir, unix.LOCK_NB); err == unix.EWOULDBLOCK {
		fmt.Fprintf(os.Stderr, "integration: waiting for another run of these tests, which uses %s\n", dir)
		c.lock, err = lockDir(dir, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	for _, stale := range []string{"root/vps", "root/networks", "root/trash", "run", "sites"} {
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
		if lock, err := lockDir(filepath.Join(top, o.Name()), unix.LOCK_NB); err == nil {
			os.RemoveAll(filepath.Join(top, o.Name()))
			lock.Close()
		}
	}
	return c, nil
}

// take copies the croft to be tested to where the tests see it: what is in
// /tmp they do not.
func (c *cache) take(croft string) error {
	program, err := os.ReadFile(croft)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.croft), 0o755); err != nil {
		return err
	}
	os.Remove(c.croft) // a run that was killed may have left it running
	return os.WriteFile(c.croft, program, 0o755)
}

func (c *cache) close() { c.lock.Close() }

func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// templateCode is a digest of all that decides what a built template is.
func templateCode() (string, error) {
	sum := sha256.New()
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") ||
			!strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	}
	err := filepath.WalkDir("../template", add)
	if err == nil {
		err = filepath.WalkDir("recipes", add)
	}
	fmt.Fprint(sum, plainOptions())
	return hex.EncodeToString(sum.Sum(nil)[:6]), err
}

// build makes a template that is not there, once, and says why it could not.
func (c *cache) build(name string) error {
	c.mu.Lock()
	if c.builds[name] == nil {
		c.builds[name] = sync.OnceValue(func() error { return c.buildNow(name) })
	}
	build := c.builds[name]
	c.mu.Unlock()
	return build()
}

func (c *cache) buildNow(name string) error {
	if name == criuBuild {
		return getCRIU(criuDir(c.root))
	}
	if _, err := c.run("template", "inspect", name); err == nil {
		return nil
	}
	start := time.Now()
	fmt.Fprintf(os.Stderr, "integration: building %s, kept in %s for later runs\n", name, c.root)
	if name == likeUbuntu {
		return c.buildLikeUbuntu()
	}
	if suite, plain := strings.CutPrefix(name, plainPrefix); plain {
		return c.importPlain(name, suite)
	}
	args := []string{"template", "build", name}
	recipe := filepath.Join("recipes", name+".yaml") // of the tests' own
	if guest, text := guests.Template(guestPrograms()); guest == name {
		recipe = filepath.Join(filepath.Dir(c.root), name+".yaml")
		if err := os.WriteFile(recipe, []byte(text), 0o644); err != nil {
			return err
		}
		if err := c.removeOldGuests(); err != nil {
			return err
		}
	}
	if exists(recipe) {
		args = append(args, "--recipe", recipe)
	}
	if out, err := c.run(args...); err != nil {
		return fmt.Errorf("croft template build %s: %w\n%s", name, err, out)
	}
	fmt.Fprintf(os.Stderr, "integration: built %s in %v\n", name, time.Since(start).Round(time.Second))
	return nil
}

// removeOldGuests removes the templates for TestGuests of former lists of programs.
func (c *cache) removeOldGuests() error {
	all, err := c.run("template", "list", "--quiet")
	if err != nil {
		return fmt.Errorf("croft template list: %w\n%s", err, all)
	}
	few, _ := guests.Template(guests.Few())
	for name := range strings.FieldsSeq(string(all)) {
		if strings.HasPrefix(name, "debian-13-guests-") && name != few {
			if out, err := c.run("template", "remove", name); err != nil {
				return fmt.Errorf("croft template remove %s: %w\n%s", name, err, out)
			}
		}
	}
	return nil
}

// buildAll builds the templates that all tests together need, two at a time.
func (c *cache) buildAll() {
	var building sync.WaitGroup
	slots := make(chan struct{}, 2)
	guest, _ := guests.Template(guestPrograms())
	for _, name := range append(slices.Clone(debians), guest, nginxTemplate) {
		building.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c.build(name) // what fails is said by the tests that need it
		})
	}
	building.Wait()
}

// serve builds what the tests ask for, who cannot: they have no network. They
// connect and write a name, and read why it could not be built, or nothing.
func (c *cache) serve() error {
	os.Remove(builderSocket(c.root))
	l, err := net.Listen("unix", builderSocket(c.root))
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				name, _ := bufio.NewReader(conn).ReadString('\n')
				if err := c.build(strings.TrimSpace(name)); err != nil {
					fmt.Fprint(conn, err)
				}
			}()
		}
	}()
	return nil
}

func builderSocket(root string) string { return filepath.Join(filepath.Dir(root), "builder") }

func (c *cache) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	all := append(where(c.root, filepath.Join(filepath.Dir(c.root), "run")), args...)
	return exec.CommandContext(ctx, c.croft, all...).CombinedOutput()
}

// needs makes sure that a template is there, or fails the test.
func needs(t *testing.T, template string) {
	t.Helper()
	if why := unbuilt(t, template); why != "" {
		t.Fatalf("template %s could not be built: %s", template, why)
	}
}

// unbuilt makes sure that a template is there, or says why it could not be built.
func unbuilt(t *testing.T, template string) string {
	t.Helper()
	conn, err := net.Dial("unix", builderSocket(world.root))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, template)
	why, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(why)
}
