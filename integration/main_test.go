//go:build integration

package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary runs three times: as itself, where it has the host's network
// and builds templates; as stage "tests", in namespaces of its own; and as
// stage "outside", the machine that VPSs reach through NAT. See also
// attackStage and listenStage.
const stageVariable = "CROFT_TEST_STAGE"

func TestMain(m *testing.M) {
	switch os.Getenv(stageVariable) {
	case "":
		os.Exit(outer())
	case "tests":
		os.Exit(inner(m))
	case "outside":
		os.Exit(serveOutside())
	case attackStage:
		os.Exit(attackInside())
	case listenStage:
		os.Exit(listenInside())
	case keysStage:
		os.Exit(keysInside())
	case overwriteStage:
		os.Exit(overwriteInside())
	case callsStage:
		os.Exit(callsInside())
	case powersStage:
		os.Exit(powersInside())
	case misleadStage:
		os.Exit(misleadInside())
	}
}

// outer prepares what needs the host's network and runs the tests below it.
func outer() int {
	croft, err := findCroft()
	if err != nil {
		fmt.Fprintf(os.Stderr, "integration: %v\nintegration: type: make test-integration\n", err)
		return 1
	}
	c, err := openCache()
	if err == nil {
		defer c.close()
		err = c.take(croft)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	flag.Parse()
	if flag.Lookup("test.run").Value.String() == "" {
		c.buildAll()
	}
	if err := c.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}

	tests := exec.Command("/proc/self/exe", os.Args[1:]...)
	tests.Env = append(os.Environ(), stageVariable+"=tests", "CROFT_BIN="+c.croft, "CROFT_TEST_ROOT="+c.root)
	tests.Stdin, tests.Stdout, tests.Stderr = os.Stdin, os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	// The terminal's Ctrl-C reaches the tests too; they end, and then we do.
	// (Ignored, it would be in every process below.)
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT)
	if err := tests.Run(); err != nil {
		if tests.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "integration: new namespaces:", err)
		}
		return 1
	}
	return 0
}

func findCroft() (string, error) {
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("these tests need root")
	}
	croft := os.Getenv("CROFT_BIN")
	if croft == "" {
		croft = "../croft"
	}
	croft, err := filepath.Abs(croft)
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath(croft); err != nil {
		return "", fmt.Errorf("no built croft: %w", err)
	}
	return croft, nil
}

// inner runs the tests, in their own namespaces, between a first VPS that
// makes what croft keeps by design (its bridge, its chains) and a last look at
// whether everything is gone.
func inner(m *testing.M) int {
	w, err := newWorld()
	if err == nil {
		world = w
		err = warmUp()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	status := m.Run()
	if err := w.close(); err != nil {
		fmt.Fprintln(os.Stderr, "integration: after all tests:", err)
		status = 1
	}
	return status
}

// A worldState is the machine that the tests run on, as far as they made it.
type worldState struct {
	croft   string // the binary
	root    string // croft's --root, with the templates in it
	run     string // croft's --run-dir
	outside *exec.Cmd

	mountsBefore map[string]bool // lines of mountinfo
}

var world *worldState

func newWorld() (*worldState, error) {
	w := &worldState{croft: os.Getenv("CROFT_BIN"), root: os.Getenv("CROFT_TEST_ROOT")}
	w.run = filepath.Join(filepath.Dir(w.root), "run")
	// What croft mounts must not be seen by the host, and what others do in
	// /tmp not by us.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	for _, dir := range []string{"/tmp", "/dev/shm"} {
		if err := unix.Mount("croft-test", dir, "tmpfs", 0, "mode=1777"); err != nil {
			return nil, fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	w.mountsBefore = map[string]bool{}
	for line := range strings.Lines(string(before)) {
		w.mountsBefore[line] = true
	}
	if err := os.RemoveAll(w.run); err != nil {
		return nil, err
	}
	if err := w.makeNetwork(); err != nil {
		return nil, err
	}
	return w, nil
}

// close ends what the world has, and says what VPSs are left.
func (w *worldState) close() error {
	w.endOutside()
	for _, dir := range []string{"vps", "trash", "volumes"} {
		left, err := os.ReadDir(filepath.Join(w.root, dir))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("%s/%s still has %v", w.root, dir, left)
		}
	}
	return nil
}

func warmUp() error {
	vps := ours() + "warm"
	for _, args := range [][]string{
		{"template", "build", "busybox"},                             // that of this program, not of the one that made the cache
		{"create", "--template", "busybox", "--publish", "1:1", vps}, // iptables leaves the hooks that it was asked to use
		{"start", "--wait", vps},
		{"destroy", "--force", vps},
	} {
		if r := croftWithin(usual, "", args...); r.status != 0 {
			return fmt.Errorf("croft does not work at all: %s", r)
		}
	}
	return nil
}
