package look

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/cli/display"
	"croft/cli/options"
	"croft/cli/values"
	"croft/internal/sizes"
	"croft/internal/vps"
	"croft/runtime"
)

// usualColumns are the default columns of list. They need no statistics.
const usualColumns = "name,status,uptime,addresses,template"

// A column is one fact about a VPS, as text. It has either value or usage.
type column struct {
	name   string
	value  func(vpsRow) string
	usage  func(runtime.Stats) (string, int64) // of a running VPS: the text, and a number to sort by
	number func(vpsRow) int64                  // to sort by; nil sorts by the value
	also   func(vpsRow) string                 // another text that filters match
}

// text returns the fact about v; "" if it is unknown.
func (c column) text(v vpsRow) string {
	if c.usage == nil {
		return c.value(v)
	}
	if v.used == nil {
		return ""
	}
	text, _ := c.usage(*v.used)
	return text
}

// order returns the number to sort v by.
func (c column) order(v vpsRow) int64 {
	switch {
	case c.number != nil:
		return c.number(v)
	case v.used == nil:
		return -1
	}
	_, n := c.usage(*v.used)
	return n
}

// compare orders two VPSs by the column: by its number where it has one.
func (c column) compare(a, b vpsRow) int {
	if c.number != nil || c.usage != nil {
		return cmp.Compare(c.order(a), c.order(b))
	}
	return strings.Compare(c.value(a), c.value(b))
}

// columns returns all facts that list can show and filter by, in the order of
// help.
func columns() []column {
	return slices.Concat(stateColumns(), networkColumns(), limitColumns(), usageColumns(), []column{
		{name: "pending", value: func(v vpsRow) string { return strings.Join(v.Pending, ",") }},
		{name: "labels", value: func(v vpsRow) string { return labels(v.Info) }},
		{name: "description", value: func(v vpsRow) string { return v.Description }},
		{name: "ephemeral", value: func(v vpsRow) string { return strconv.FormatBool(v.Ephemeral) }},
		{name: "protected", value: func(v vpsRow) string { return strconv.FormatBool(v.Protected) }},
		{name: "restart", value: func(v vpsRow) string { return v.Restart.String() }},
		{name: "restarts", value: func(v vpsRow) string { return strconv.Itoa(v.Restarts.Count) }, number: func(v vpsRow) int64 { return int64(v.Restarts.Count) }},
		{name: "ended", value: func(v vpsRow) string { return EndText(v.LastEnd) }, also: func(v vpsRow) string {
			if v.LastEnd == nil {
				return ""
			}
			return v.LastEnd.Reason
		}},
		{name: "move", value: func(v vpsRow) string { return v.Move.String() }},
		{name: "files", value: func(v vpsRow) string { return v.Files }},
		{name: "error", value: func(v vpsRow) string { return v.Error }},
	})
}

func stateColumns() []column {
	return []column{
		{name: "name", value: func(v vpsRow) string { return string(v.Name) }},
		{name: "status", value: func(v vpsRow) string { return string(v.Status) }},
		{name: "uptime", value: func(v vpsRow) string { return UptimeText(v.uptime()) }, number: func(v vpsRow) int64 { return int64(v.uptime()) }},
		{name: "booted", value: func(v vpsRow) string { return strconv.FormatBool(v.Booted) }},
		{name: "addresses", value: func(v vpsRow) string { return addresses(v.Info) }},
		{name: "template", value: func(v vpsRow) string { return v.Template }},
		{name: "digest", value: func(v vpsRow) string { return v.Digest }, also: func(v vpsRow) string { return display.ShortDigests(v.Digest) }},
		{name: "outdated", value: func(v vpsRow) string { return strconv.FormatBool(v.Outdated) }},
		{name: "uuid", value: func(v vpsRow) string { return v.UUID }},
		{name: "hostname", value: func(v vpsRow) string { return v.Hostname }},
		{name: "created", value: func(v vpsRow) string { return display.Time(v.Created) }},
		{name: "started", value: func(v vpsRow) string {
			if v.Started == nil {
				return ""
			}
			return display.Time(*v.Started)
		}},
		{name: "boot", value: func(v vpsRow) string { return positive(v.Boot) }, number: func(v vpsRow) int64 { return int64(v.Boot) }},
		{name: "pid", value: func(v vpsRow) string { return positive(v.PID) }, number: func(v vpsRow) int64 { return int64(v.PID) }},
		{name: "monitor", value: func(v vpsRow) string { return positive(v.MonitorPID) }, number: func(v vpsRow) int64 { return int64(v.MonitorPID) }},
		{name: "ids", value: func(v vpsRow) string {
			if v.IDs.Size == 0 {
				return "" // a broken VPS
			}
			return fmt.Sprintf("%d+%d", v.IDs.First, v.IDs.Size)
		}},
		{name: "mounts", value: func(v vpsRow) string {
			var all []string
			for _, m := range v.Mounts {
				all = append(all, m.String())
			}
			return strings.Join(all, " ")
		}},
	}
}

func networkColumns() []column {
	return []column{
		{name: "networks", value: func(v vpsRow) string {
			return joined(v.Info, func(i runtime.InterfaceInfo) string { return i.Network })
		}},
		{name: "macs", value: func(v vpsRow) string { return joined(v.Info, func(i runtime.InterfaceInfo) string { return i.MAC }) }},
		{name: "links", value: func(v vpsRow) string {
			return joined(v.Info, func(i runtime.InterfaceInfo) string { return i.HostLink })
		}},
		{name: "ports", value: func(v vpsRow) string {
			var all []string
			for _, p := range v.Published {
				all = append(all, options.PublicationText(p))
			}
			return strings.Join(all, ",")
		}},
	}
}

func limitColumns() []column {
	return []column{
		{name: "memory", value: func(v vpsRow) string { return limit(max(v.Limits.Memory, 0), sizes.Text) }, number: func(v vpsRow) int64 { return unlimitedLast(max(v.Limits.Memory, 0)) }},
		{name: "swap", value: func(v vpsRow) string {
			return limit(v.Limits.Swap, func(n int64) string { return sizes.Text(max(n, 0)) }) // -1 means no swap
		}, number: func(v vpsRow) int64 { return unlimitedLast(v.Limits.Swap) }},
		{name: "cpus", value: func(v vpsRow) string {
			return limit(v.Limits.MilliCPUs, func(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) })
		}, number: func(v vpsRow) int64 { return unlimitedLast(v.Limits.MilliCPUs) }},
		{name: "pids", value: func(v vpsRow) string {
			return limit(max(v.Limits.PIDs, 0), func(n int64) string { return strconv.FormatInt(n, 10) })
		}, number: func(v vpsRow) int64 { return unlimitedLast(max(v.Limits.PIDs, 0)) }},
		{name: "disk", value: func(v vpsRow) string { return diskText(v.Disk) }, number: func(v vpsRow) int64 { return unlimitedLast(v.Disk.Bytes) }},
		{name: "inodes", value: func(v vpsRow) string { return inodesText(v.Disk) }, number: func(v vpsRow) int64 { return unlimitedLast(v.Disk.Inodes) }},
		{name: "memory-low", value: func(v vpsRow) string { return strings.TrimSuffix(sizes.Text(v.Limits.MemoryLow), "B") }, number: func(v vpsRow) int64 { return v.Limits.MemoryLow }},
		{name: "cpu-weight", value: func(v vpsRow) string { return strconv.FormatInt(weight(v.Limits.CPUWeight), 10) }, number: func(v vpsRow) int64 { return weight(v.Limits.CPUWeight) }},
		{name: "cpuset", value: func(v vpsRow) string { return v.Limits.CPUSet }},
		{name: "pinned-cpus", value: func(v vpsRow) string { return v.PinnedCPUs }},
		{name: "io-weight", value: func(v vpsRow) string { return strconv.FormatInt(weight(v.Limits.IOWeight), 10) }, number: func(v vpsRow) int64 { return weight(v.Limits.IOWeight) }},
		{name: "io-read", value: func(v vpsRow) string { return ioText(v.Limits.IORead) }},
		{name: "io-write", value: func(v vpsRow) string { return ioText(v.Limits.IOWrite) }},
	}
}

// diskText is how much of the disk is used, and its size.
func diskText(d runtime.DiskInfo) string {
	if d.Bytes == 0 || d.UsedBytes == nil {
		return limit(d.Bytes, sizes.Text)
	}
	return sizes.Text(*d.UsedBytes) + "/" + sizes.Text(d.Bytes)
}

// inodesText is diskText for inodes.
func inodesText(d runtime.DiskInfo) string {
	decimal := func(n int64) string { return strconv.FormatInt(n, 10) }
	if d.Inodes == 0 || d.UsedInodes == nil {
		return limit(d.Inodes, decimal)
	}
	return decimal(*d.UsedInodes) + "/" + decimal(d.Inodes)
}

// weight is the weight in effect.
func weight(n int64) int64 { return cmp.Or(n, vps.DefaultWeight) }

// ioText is all limits of reads or writes in one word.
func ioText(all []vps.IOLimit) string {
	var words []string
	for _, l := range all {
		words = append(words, l.Words(sizes.Text)...)
	}
	return strings.Join(words, ",")
}

func usageColumns() []column {
	return []column{
		{name: "memory-used", usage: func(s runtime.Stats) (string, int64) { return sizes.Text(int64(s.Memory.Used)), int64(s.Memory.Used) }},
		{name: "cpu-time", usage: func(s runtime.Stats) (string, int64) { return cpuTime(s.CPU.Used), int64(s.CPU.Used) }},
		{name: "pids-used", usage: func(s runtime.Stats) (string, int64) {
			return strconv.FormatUint(s.PIDs.Current, 10), int64(s.PIDs.Current)
		}},
	}
}

// uptime returns how long a VPS has been up; -1 if it does not run.
func (v vpsRow) uptime() time.Duration {
	if v.Started == nil || v.PID == 0 {
		return -1
	}
	return max(0, v.now.Sub(*v.Started))
}

// UptimeText writes a duration in its two largest units: 45s, 12m, 3h12m,
// 12d4h. It returns "" for less than 0.
func UptimeText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
}

// EndText returns how a VPS ended, in a few words; "" if it runs or never ran.
func EndText(e *runtime.End) string {
	switch {
	case e == nil:
		return ""
	case e.OutOfMemory:
		return "killed: out of memory"
	}
	switch e.Reason {
	case "halted":
		return "powered off"
	case "exited":
		return fmt.Sprintf("exited: status %d", e.Status)
	case "killed":
		return fmt.Sprintf("killed: signal %d", e.Status-128)
	case "failed":
		return "failed to start: " + e.Detail
	}
	return e.Reason // rebooted, unknown
}

// unlimitedLast returns a limit as a number to sort by.
func unlimitedLast(n int64) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return n
}

// ColumnNames returns the names of the columns of list.
func ColumnNames() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	return names
}

// addresses returns all addresses of a VPS, each with its interface: 10.1.2.3 (eth0).
func addresses(v runtime.Info) string {
	var all []string
	for _, i := range v.Interfaces {
		for _, a := range i.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil {
				a = p.Addr().String()
			}
			all = append(all, fmt.Sprintf("%s (%s)", a, i.Name))
		}
	}
	return strings.Join(all, ", ")
}

func joined(v runtime.Info, fact func(runtime.InterfaceInfo) string) string {
	var all []string
	for _, i := range v.Interfaces {
		if text := fact(i); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, ",")
}

func labels(v runtime.Info) string {
	var all []string
	for key, value := range v.Labels {
		all = append(all, key+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func limit(n int64, text func(int64) string) string {
	if n == 0 {
		return values.Unlimited
	}
	return text(n)
}

// parseColumns reads names of columns, separated by commas.
func parseColumns(s string) ([]column, error) {
	all := columns()
	var chosen []column
	for name := range strings.SplitSeq(s, ",") {
		i := slices.IndexFunc(all, func(c column) bool { return c.name == strings.ToLower(name) })
		if i < 0 {
			return nil, fmt.Errorf("unknown column %q: use %s", name, strings.Join(ColumnNames(), ","))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
