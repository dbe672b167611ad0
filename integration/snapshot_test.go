//go:build integration

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A snapshot is everything on the machine that croft could leave behind, as
// lines that begin with what they are about.
type snapshot map[string]bool

// hostAsBefore makes the test fail if, at its end, the machine is not as it
// was before. It has to be the first that a test does, since what is
// registered first is cleaned up last.
func hostAsBefore(t *testing.T) {
	t.Helper()
	before := look(t)
	t.Cleanup(func() {
		// What ends asynchronously (a network namespace, the trash) has a
		// moment for it.
		var after snapshot
		for end := time.Now().Add(slow(time.Minute)); ; time.Sleep(100 * time.Millisecond) {
			after = look(t)
			if maps.Equal(before, after) || time.Now().After(end) {
				break
			}
		}
		for _, line := range slices.Sorted(maps.Keys(after)) {
			if !before[line] {
				t.Errorf("left behind: %s", line)
			}
		}
		for _, line := range slices.Sorted(maps.Keys(before)) {
			if !after[line] {
				t.Errorf("taken away: %s", line)
			}
		}
	})
}

func look(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{}
	for _, part := range []func(add func(format string, args ...any)) error{
		links, firewall, mounts, cgroups, loops, processes, files,
	} {
		err := part(func(format string, args ...any) { s[fmt.Sprintf(format, args...)] = true })
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func links(add func(string, ...any)) error {
	all, err := netlink.LinkList()
	if err != nil {
		return err
	}
	byIndex := map[int]string{}
	for _, l := range all {
		byIndex[l.Attrs().Index] = l.Attrs().Name
		add("link %s (%s)", l.Attrs().Name, l.Type())
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Type != unix.RTN_MULTICAST && (r.Dst == nil || !r.Dst.IP.IsLinkLocalUnicast()) {
			add("route %v via %v dev %s table %d", r.Dst, r.Gw, byIndex[r.LinkIndex], r.Table)
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_BRIDGE} {
		for _, flags := range []uint8{0, netlink.NTF_PROXY} {
			neighbours, err := netlink.NeighListExecute(netlink.Ndmsg{Family: uint8(family), Flags: flags})
			if err != nil {
				return err
			}
			for _, n := range neighbours {
				if n.State&netlink.NUD_PERMANENT != 0 || flags != 0 {
					add("neighbour %v %v dev %s", n.IP, n.HardwareAddr, byIndex[n.LinkIndex])
				}
			}
		}
	}
	return nil
}

// counters are what changes in a rule although nobody changed it.
var counters = regexp.MustCompile(`\[\d+:\d+\]|counter packets \d+ bytes \d+|# (Generated|Completed) .*`)

func firewall(add func(string, ...any)) error {
	for _, cmd := range [][]string{{"nft", "--stateless", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}} {
		out, err := exec.Command(cmd[0], cmd[1:]...).Output()
		if err != nil {
			return fmt.Errorf("%v: %w", cmd, err)
		}
		chain := ""
		for line := range bytes.Lines(out) {
			text := strings.TrimSpace(counters.ReplaceAllString(string(line), ""))
			if strings.HasSuffix(text, "{") {
				chain = text
			}
			if text != "" {
				add("%s: %s: %s", cmd[0], chain, text)
			}
		}
	}
	return nil
}

// mounts are those of the tests' namespace, where croft is run, as far as they
// were not there from the beginning (others may remove those); and those of the
// machine's first process that have to do with us.
func mounts(add func(string, ...any)) error {
	for _, who := range []string{"self", "1"} {
		text, err := os.ReadFile("/proc/" + who + "/mountinfo")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if who == "self" && !world.mountsBefore[line] || strings.Contains(line, filepath.Dir(world.root)) {
				f := strings.Fields(line)
				add("mount %s %s of %s", who, f[4], f[3])
			}
		}
	}
	return nil
}

// cgroups are those of VPSs and containers of this run; others may run croft
// meanwhile.
func cgroups(add func(string, ...any)) error {
	return filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed while we were looking
		}
		if d.IsDir() && strings.Contains(path, "/"+ours()) {
			add("cgroup %s", path)
		}
		return nil
	})
}

func loops(add func(string, ...any)) error {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, f := range files {
		if backing, err := os.ReadFile(f); err == nil {
			add("loop device %s of %s", f, backing)
		}
	}
	return err
}

// processes are those that run croft here, or its holder, and those that live
// in a root filesystem of a VPS of these tests.
func processes(add func(string, ...any)) error {
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		exe, _ := os.Readlink(p + "/exe")
		cmdline, _ := os.ReadFile(p + "/cmdline")
		mountinfo, _ := os.ReadFile(p + "/mountinfo")
		net, _ := os.Readlink(p + "/ns/net")
		if strings.HasPrefix(exe, world.root) || net == here && strings.TrimSuffix(exe, " (deleted)") == world.croft ||
			bytes.Contains(mountinfo, []byte("upperdir="+world.root)) {
			add("process %s: %s", exe, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '}))
		}
	}
	return err
}

func files(add func(string, ...any)) error {
	walk := func(top string, deep int) error {
		return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // removed meanwhile, or not there yet
			}
			if path == filepath.Join(world.run, "rules") {
				return fs.SkipDir // the notes of a network, which the second start with it makes
			}
			add("file %s", path)
			rel, _ := filepath.Rel(top, path)
			// Lock files are never deleted, by design.
			if d.IsDir() && (strings.Count(rel, "/")+1 >= deep && rel != "." || d.Name() == "locks") {
				return fs.SkipDir
			}
			return nil
		})
	}
	for top, deep := range map[string]int{
		world.run: 9, "/tmp": 1, "/dev/shm": 1, world.root: 2, filepath.Join(world.root, "templates"): 2,
	} {
		if err := walk(top, deep); err != nil {
			return err
		}
	}
	networks, err := filepath.Glob(filepath.Join(world.root, "networks", "*.json"))
	if err != nil {
		return err
	}
	for _, n := range networks {
		// The order of its claims, and the lines of their file, are another matter.
		text, err := command(context.Background(), "network", "inspect", strings.TrimSuffix(filepath.Base(n), ".json")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("look at %s: %w\n%s", n, err, text)
		}
		for line := range bytes.Lines(text) {
			add("%s: %s", n, bytes.TrimRight(bytes.TrimSpace(line), ","))
		}
	}
	return nil
}
