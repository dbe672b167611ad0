//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func monitorDir(pid int) string { return fmt.Sprintf("/proc/%d", pid) }

// A running VPS has one process of croft's, which costs little memory and no
// time.
func TestMonitorIsSmall(t *testing.T) {
	hostAsBefore(t)
	vps := boot(t, "busybox")
	monitor := monitorDir(inspect(t, vps).MonitorPID)
	ours := 0
	for line := range look(t) {
		if strings.HasPrefix(line, "process ") && (strings.Contains(line, "holder-") || strings.Contains(line, world.croft)) {
			ours++
			t.Log(line)
		}
	}
	if ours != 1 {
		t.Errorf("it has %d processes of croft's", ours)
	}
	// Time in which nothing happens is what is measured, so some has to pass;
	// the VPS itself may still have something to say at first.
	woke := 0
	quiet := func() bool {
		before := switches(t, monitor)
		time.Sleep(3 * time.Second)
		woke = switches(t, monitor) - before
		return woke <= 6
	}
	tries := 3
	for tries > 0 && !quiet() {
		tries--
	}
	if tries == 0 {
		t.Errorf("it woke up %d times in three seconds of nothing", woke)
	}
	const limit = 2048 // KiB
	pss := field(t, monitor+"/smaps_rollup", "Pss:")
	if t.Logf("PSS while idle: %d KiB", pss); pss > limit {
		t.Errorf("more than %d KiB", limit)
	}
}

// field returns the number that follows name in a file of /proc.
func field(t *testing.T, path, name string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return 0
}

func switches(t *testing.T, process string) (n int) {
	t.Helper()
	tasks, err := filepath.Glob(process + "/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(err, tasks)
	}
	for _, task := range tasks {
		n += field(t, task, "voluntary_ctxt_switches:")
	}
	return n
}
