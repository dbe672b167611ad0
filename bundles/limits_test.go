package bundles

import (
	"fmt"
	"strings"
	"testing"

	"croft/internal/vps"
)

func TestDefaultPIDs(t *testing.T) {
	for tasks, want := range map[int64]int64{0: 16384, 100: 64, 32768: 4915, 4194304: 16384} {
		if got := (Capacity{Tasks: tasks}).DefaultPIDs(); got != want {
			t.Errorf("%d tasks: %d, not %d", tasks, got, want)
		}
	}
}

func TestDefaultMemory(t *testing.T) {
	for host, want := range map[int64]int64{0: -1, 256 << 20: 128 << 20, 1 << 30: 768 << 20, 8 << 30: 7 << 30, 24<<30 + 4097: 21 << 30} {
		if got := (Capacity{Memory: host, LimitMemory: true}).DefaultMemory(); got != want {
			t.Errorf("%d bytes: %d, not %d", host, got, want)
		}
	}
	if got := (Capacity{Memory: 8 << 30}).DefaultMemory(); got != -1 {
		t.Errorf("without the controller: %d", got)
	}
}

func TestTmpfs(t *testing.T) {
	for _, c := range []struct {
		memory, host int64
		want         string
	}{
		{64 << 20, 24 << 30, "size=32768k nr_inodes=2048"},
		{0, 24 << 30, "size=3145728k nr_inodes=196608"},
		{0, 1 << 40, "size=4194304k nr_inodes=262144"},
		{4 << 20, 0, "size=2048k nr_inodes=1024"},
		{0, 0, "size=1024k nr_inodes=1024"},
	} {
		s := Settings{Limits: vps.Limits{Memory: c.memory}, Capacity: Capacity{Memory: c.host}}
		if got := strings.Join(s.tmpfs(2, 8), " "); got != c.want {
			t.Errorf("%d of %d: %s, not %s", c.memory, c.host, got, c.want)
		}
	}
}

func TestTmpSize(t *testing.T) {
	if got := TmpSize(vps.Limits{Memory: 512 << 20}, Capacity{Memory: 24 << 30}); got != "size=131072k,nr_inodes=8192" {
		t.Error(got)
	}
}

// A VPS's limits never exceed what its host can give, and name all that there
// are.
func TestRlimits(t *testing.T) {
	s := settings()
	s.Capacity = Capacity{Tasks: 32768, Memory: 8 << 30, Hard: map[string]uint64{"RLIMIT_MEMLOCK": 64 << 10, "RLIMIT_CORE": 7}}
	seen := map[string]string{}
	for _, r := range rlimits(s) {
		if r.Soft > r.Hard {
			t.Errorf("%+v", r)
		}
		seen[r.Type] = fmt.Sprint(r.Soft, " ", r.Hard)
	}
	if len(seen) != 16 { // RLIM_NLIMITS
		t.Errorf("%d limits: %v", len(seen), seen)
	}
	for name, want := range map[string]string{"RLIMIT_MEMLOCK": "65536 65536", "RLIMIT_CORE": "0 7", "RLIMIT_NPROC": "4915 4915"} {
		if seen[name] != want {
			t.Errorf("%s: %s, not %s", name, seen[name], want)
		}
	}
}

// Where the cgroup can refuse processes, it does before RLIMIT_NPROC: that is not
// counted, and stays when the limit is raised.
func TestLimitOfUsersProcesses(t *testing.T) {
	for _, c := range []struct {
		limit      int64
		controller bool
		want       uint64
	}{
		{200, true, 32768}, {200, false, 200}, {0, true, 32768}, {0, false, 4915}, {-1, true, 32768}, {-1, false, 32768}, {40000, true, 40000},
	} {
		s := settings()
		s.Limits.PIDs = c.limit
		s.Capacity = Capacity{Tasks: 32768, LimitPIDs: c.controller}
		for _, r := range rlimits(s) {
			if r.Type == "RLIMIT_NPROC" && (r.Hard != c.want || r.Soft != c.want) {
				t.Errorf("limit %d, controller %v: %+v", c.limit, c.controller, r)
			}
		}
	}
}
