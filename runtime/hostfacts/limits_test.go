package hostfacts

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/vps"
)

func TestCheckCPUs(t *testing.T) {
	c := bundles.Capacity{CPUList: "0-1,4"}
	for list, want := range map[string]string{"": "", "0-1": "", "4": "", "0-4": "2-3", "7": "7"} {
		err := CheckCPUs(list, c)
		if (want == "") != (err == nil) || err != nil && (!fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "CPU "+want+",")) {
			t.Errorf("%s: %v", list, err)
		}
	}
	for _, list := range []string{"99", "any:99"} {
		if err := CheckCPUs(list, bundles.Capacity{}); err != nil {
			t.Errorf("not known: %s: %v", list, err)
		}
	}
	c.CPUs = 3
	for list, want := range map[string]string{"any:3": "", "any:4": "does not have 4 CPUs, it has 3", "2": "(any:2 is a number of CPUs)", "2-3": "CPU 2-3, it has 0-1,4"} {
		if err := CheckCPUs(list, c); (want == "") != (err == nil) || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// Each limit that a host does not have is named, and no other.
func TestUnmet(t *testing.T) {
	all := vps.Limits{MemoryLow: 1, CPUWeight: 1, CPUSet: "0-1", IOWeight: 1, IORead: []vps.IOLimit{{Bytes: 1}, {Device: "/dev/b", Bytes: 1}}}
	has := bundles.Capacity{LimitMemory: true, LimitCPU: true, LimitCPUSet: true, LimitIO: true, BFQ: true, CPUList: "0-1"}
	disks := bundles.Disks{"": {Name: "vda", Weighs: true}, "/dev/b": {Name: "b"}}
	for _, c := range []struct {
		name  string
		limit vps.Limits
		host  func(*bundles.Capacity)
		disks bundles.Disks
		want  []string // words of each warning
	}{
		{"nothing is asked for", vps.Limits{}, func(c *bundles.Capacity) { *c = bundles.Capacity{} }, nil, nil},
		{"everything is there", all, func(*bundles.Capacity) {}, disks, nil},
		{"no controllers", all, func(c *bundles.Capacity) { *c = bundles.Capacity{} }, nil, []string{"of memory", "of CPU time", "of CPU sets", "its I/O weight", "reads have no effect"}},
		{"no weights", all, func(c *bundles.Capacity) { c.BFQ = false }, disks, []string{"no I/O weights"}},
		{"fewer CPUs", all, func(c *bundles.Capacity) { c.CPUList = "0" }, disks, []string{"CPUs has 1, which"}},
		{"fewer CPUs than it should have", vps.Limits{CPUSet: "any:3"}, func(c *bundles.Capacity) { c.CPUs = 2 }, nil, []string{"has 2: it should have 3"}},
		{"no disk", all, func(*bundles.Capacity) {}, bundles.Disks{"/dev/b": {}}, []string{"the disk under its files"}},
		{"another scheduler", all, func(*bundles.Capacity) {}, bundles.Disks{"": {Name: "sdx"}, "/dev/b": {}}, []string{"/sys/block/sdx/queue/scheduler"}},
	} {
		host := has
		c.host(&host)
		got := Unmet(vps.Limits{}, c.limit, host, c.disks)
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// Only limits that a command changes are named.
func TestUnmetOfAChange(t *testing.T) {
	has := bundles.Capacity{LimitIO: true, LimitCPUSet: true, BFQ: true, CPUList: "0", CPUs: 1}
	io := func(device string, bytes int64) []vps.IOLimit {
		return []vps.IOLimit{{Device: device, Bytes: bytes}}
	}
	was := vps.Limits{IOWeight: 7, CPUSet: "0-1", IORead: io("", 1), IOWrite: io("/dev/a", 1)}
	for _, c := range []struct {
		name   string
		change func(*vps.Limits)
		disks  bundles.Disks
		want   []string
	}{
		{"nothing", func(*vps.Limits) {}, nil, nil},
		{"reads", func(l *vps.Limits) { l.IORead = io("", 2) }, bundles.Disks{"": {Name: "vda"}}, nil},
		{"the weight", func(l *vps.Limits) { l.IOWeight = 8 }, bundles.Disks{"": {Name: "vda"}}, []string{"/sys/block/vda/queue/scheduler"}},
		{"the weight of an unknown disk", func(l *vps.Limits) { l.IOWeight = 8 }, nil, []string{"under its files"}},
		{"the end of the weight", func(l *vps.Limits) { l.IOWeight = 0 }, nil, nil},
		{"writes of one disk", func(l *vps.Limits) { l.IOWrite = io("/dev/a", 2) }, nil, []string{"disk /dev/a:"}},
		{"reads of another disk", func(l *vps.Limits) { l.IORead = append(io("", 1), io("/dev/b", 1)...) }, nil, []string{"disk /dev/b:"}},
		{"CPUs", func(l *vps.Limits) { l.CPUSet = "any:3" }, nil, []string{"it should have 3"}},
	} {
		now := was
		c.change(&now)
		got := Unmet(was, now, has, c.disks)
		if len(got) != len(c.want) || !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// What the kernel does not have is refused when it is set, not when it stays or ends.
func TestCheckSupported(t *testing.T) {
	all := vps.Limits{MemoryLow: 1, CPUWeight: 1, CPUSet: "0-1", IOWeight: 1, IORead: []vps.IOLimit{{Bytes: 1}}, IOWrite: []vps.IOLimit{{Bytes: 1}}}
	none, has := bundles.Capacity{}, bundles.Capacity{LimitMemory: true, LimitCPU: true, LimitCPUSet: true, LimitIO: true, BFQ: true}
	for _, c := range []struct {
		now  vps.Limits
		host bundles.Capacity
		want string
	}{
		{all, has, ""},
		{vps.Limits{Memory: -1, PIDs: 1}, none, ""},
		{vps.Limits{Memory: 1}, none, "--memory: this host's kernel has no cgroup controller of memory"},
		{vps.Limits{Swap: -1}, none, "--swap: this host's kernel has no cgroup controller of memory"},
		{vps.Limits{MilliCPUs: 1}, none, "--cpus: this host's kernel has no cgroup controller of CPU time"},
		{vps.Limits{MemoryLow: 2}, none, "--memory-low: this host's kernel has no cgroup controller of memory"},
		{vps.Limits{CPUWeight: 2}, none, "--cpu-weight: this host's kernel has no cgroup controller of CPU time"},
		{vps.Limits{CPUSet: "0"}, none, "--cpuset: this host's kernel has no cgroup controller of CPU sets"},
		{vps.Limits{IOWeight: 2}, none, "--io-weight: this host's kernel has no cgroup controller of I/O"},
		{vps.Limits{IOWeight: 2}, bundles.Capacity{LimitIO: true}, "--io-weight: this host's kernel has no I/O weights"},
		{vps.Limits{IORead: []vps.IOLimit{{Bytes: 2}}}, none, "--io-read: this host's kernel has no cgroup controller of I/O"},
		{vps.Limits{IOWrite: []vps.IOLimit{{Bytes: 2}}}, none, "--io-write: this host's kernel has no cgroup controller of I/O"},
	} {
		err := CheckSupported(all, c.now, c.host)
		if (err == nil) != (c.want == "") || err != nil && (!fail.Is(err, fail.Host) || !strings.HasSuffix(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.now, err)
		}
	}
	if err := CheckSupported(all, all, none); err != nil {
		t.Errorf("limits that stay: %v", err)
	}
}

func TestFindDisks(t *testing.T) {
	l := vps.Limits{IORead: []vps.IOLimit{{Bytes: 1}, {Device: "/dev/a", Bytes: 1}}, IOWrite: []vps.IOLimit{{Device: "/dev/a", Bytes: 1}}, IOWeight: 7}
	var asked []string
	disks, err := FindDisks(l, func(device string) (bundles.Disk, error) {
		if asked = append(asked, device); device == "" {
			return bundles.Disk{}, errors.New("none")
		}
		return bundles.Disk{Name: "a"}, nil
	})
	if err == nil || !slices.Equal(asked, []string{"", "/dev/a"}) || len(disks) != 1 || disks["/dev/a"].Name != "a" {
		t.Errorf("%v, %v, asked %q", disks, err, asked)
	}
}

func TestFindDisk(t *testing.T) {
	for _, path := range []string{"/dev/null", "/dev/does-not-exist"} {
		if d, err := FindDisk(path, ""); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
	d, err := FindDisk("", t.TempDir())
	if err != nil {
		t.Skip("the temporary directory is on no disk")
	}
	if _, err := os.Stat("/sys/block/" + d.Name); err != nil {
		t.Errorf("%+v is not a whole disk: %v", d, err)
	}
}

func TestCostEnabled(t *testing.T) {
	const qos = "8:0 enable=1 ctrl=auto rpct=0.00\n254:0 enable=0 ctrl=auto\n"
	for d, want := range map[bundles.Disk]bool{{Major: 8}: true, {Major: 254}: false, {Major: 8, Minor: 16}: false} {
		if got := costEnabled(qos, d); got != want {
			t.Errorf("%+v: %v", d, got)
		}
	}
}
