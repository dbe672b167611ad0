package prometheus

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"croft/runtime"
)

func known(n uint64) *uint64 { return &n }

// everything is a VPS of which the host counts all.
func everything() runtime.Stats {
	p := &runtime.Pressure{Some: runtime.Stall{Nanoseconds: 2e9}, Full: &runtime.Stall{Nanoseconds: 5e8}}
	return runtime.Stats{
		Name:      "web",
		CPU:       runtime.CPUStats{Used: 3e9, User: 2e9, System: 1e9, Limit: 1500, Throttles: known(4), Throttled: known(25e8), Pressure: p},
		Memory:    runtime.MemoryStats{Used: 1, Total: 2, Peak: 3, Limit: 1 << 40, Swap: known(0), LimitHits: known(0), OOMKills: known(1), Pressure: p},
		PIDs:      runtime.PIDStats{Current: 7, Limit: 9, LimitHits: known(11)},
		IO:        runtime.IOStats{ReadBytes: 1, WrittenBytes: 2, Reads: 3, Writes: 4, Counted: true, Pressure: p},
		OpenFiles: known(8), Disk: known(9), DiskLimit: runtime.DiskInfo{Bytes: 64, UsedBytes: new(int64(12)), Inodes: 5, UsedInodes: new(int64(3))},
		Interfaces: []runtime.InterfaceStats{
			{Name: "eth0", Network: "croft0", ReceivedBytes: 10, ReceivedPackets: 1, SentBytes: 20, SentPackets: 2, Dropped: map[string]uint64{"source": 2, "mac": 1}},
		},
	}
}

// Each metric that is documented is written, in lines of the format.
func TestText(t *testing.T) {
	text := Text([]runtime.Stats{everything()})
	for _, line := range []string{
		"# HELP croft_cpu_seconds_total CPU time since the VPS was started.\n# TYPE croft_cpu_seconds_total counter\n",
		"# TYPE croft_pids gauge\n",
		`croft_cpu_seconds_total{vps="web"} 3` + "\n", `croft_cpu_limit_cpus{vps="web"} 1.5` + "\n",
		`croft_cpu_throttled_seconds_total{vps="web"} 2.5` + "\n", `croft_memory_limit_bytes{vps="web"} 1.099511627776e+12` + "\n",
		`croft_memory_limit_hits_total{vps="web"} 0` + "\n", `croft_oom_kills_total{vps="web"} 1` + "\n",
		`croft_pids_limit_hits_total{vps="web"} 11` + "\n", `croft_pressure_waiting_seconds_total{vps="web",resource="io"} 2` + "\n",
		`croft_pressure_stalled_seconds_total{vps="web",resource="cpu"} 0.5` + "\n",
		`croft_network_sent_bytes_total{vps="web",network="croft0",interface="eth0"} 20` + "\n",
		`croft_network_dropped_packets_total{vps="web",network="croft0",interface="eth0",reason="mac"} 1` + "\n",
		`croft_disk_charged_bytes{vps="web"} 12` + "\n", `croft_inodes_limit{vps="web"} 5` + "\n",
		"croft_unreadable_vpss 0\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("there is no %q in:\n%s", line, text)
		}
	}
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+]+\n$`)
	written := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("a line that is not in the format: %q", line)
			continue
		}
		written[parts[1]] = true
		if !slices.ContainsFunc(metrics, func(m metric) bool { return m.name == parts[1] }) {
			t.Errorf("%s is not listed", parts[1])
		}
	}
	for _, m := range metrics {
		if !written[m.name] {
			t.Errorf("%s is listed and not written", m.name)
		}
	}
}

// What the host does not count, and a limit that is not set, have no line. A VPS
// that cannot be read is counted.
func TestTextOfWhatIsNotKnown(t *testing.T) {
	text := Text([]runtime.Stats{{Name: "web"}, {Name: "db", Err: errors.New("broken")}})
	for _, word := range []string{"limit", "throttled", "oom", "swap", "hits", "pressure", "block", "network", `"db"`} {
		if regexp.MustCompile("(?m)^croft.*" + word).MatchString(text) {
			t.Errorf("%q is in:\n%s", word, text)
		}
	}
	if !strings.HasSuffix(text, "\ncroft_unreadable_vpss 1\n") {
		t.Errorf("the broken VPS is not counted:\n%s", text)
	}
	var p runtime.Stats
	p.CPU.Pressure = &runtime.Pressure{}
	if text := Text([]runtime.Stats{p}); !strings.Contains(text, "waiting") || strings.Contains(text, "stalled") {
		t.Errorf("only some pressure:\n%s", text)
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	s := runtime.Stats{Interfaces: []runtime.InterfaceStats{{Name: "a\\b\"c\nd"}}}
	if text := Text([]runtime.Stats{s}); !strings.Contains(text, `interface="a\\b\"c\nd"`) {
		t.Errorf("not escaped:\n%s", text)
	}
}

// docs/metrics.md lists each metric, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var named, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(croft_[a-z_]+)`").FindAllStringSubmatch(string(doc), -1) {
		named = append(named, m[1])
	}
	for _, m := range metrics {
		want = append(want, m.name)
	}
	if !slices.Equal(named, want) {
		t.Errorf("documented: %q\nwritten: %q", named, want)
	}
}
