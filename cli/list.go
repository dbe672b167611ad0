package cli

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/internal/vps"
	"croft/runtime"
)

func (a *app) listVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Group: groupLook, Args: "[NAME...]", Words: vpsNames,
		Query:   true,
		Summary: "list VPSs",
		Examples: []string{
			"croft list --filter status=running --sort memory",
			"croft list --columns name,memory-used,memory --filter 'name=web-*'",
			"croft list --format '{{.name}} {{.status}}'",
		},
		About: `Lists the named VPSs, or all VPSs.

The columns are ` + strings.Join(columnNames(), ", ") + `.

memory-used, cpu-time and pids-used are what a running VPS uses now, or has used
since it was started. memory, cpus and pids are its limits. ended is how a
stopped VPS ended.

On a terminal, long lists, digests and names are shortened where a line would not
fit. In a file or a pipe, and with --wide, nothing is shortened.

A filter is KEY=VALUE, where KEY is a column, or label=KEY or label=KEY=VALUE.
VALUE may be a pattern with * and ?. A VPS must match every filter; of several
filters with the same KEY it must match one.`,
		Options: append(tableOptions("print everything about each VPS as a JSON array"), []cmdline.Option{
			{Name: "columns", Short: "c", Placeholder: "NAMES", Kind: listColumns, Usage: "columns to print, separated by commas (default: " + usualColumns + ")"},
			{Name: "filter", Short: "f", Placeholder: "KEY=VALUE", Many: true, Kind: listFilters, Usage: "list only VPSs that match; may be repeated"},
			{Name: "sort", Placeholder: "COLUMN", Usage: "sort by this column (default: name)", Choices: columnNames()},
			quietOption(),
		}...),
		Aliases: []string{"ls", "ps"},
		Run:     a.run(list),
	}
}

func list(ctx context.Context, i *invocation) error {
	for _, name := range i.Words {
		if _, err := vps.ParseName(name); err != nil {
			return usageError("%w", err)
		}
	}
	columns := get(i, "columns", parseColumns)
	if len(columns) == 0 {
		columns, _ = parseColumns(usualColumns)
	}
	filters := getMany(i, "filter", parseFilter)
	order := get(i, "sort", parseColumns)
	if i.Err == nil && len(order) > 1 {
		i.Err = usageError("--sort: one column")
	}
	i.NotBoth("columns", "quiet")
	o := outputOf[runtime.Info](i)
	m, err := i.manager()
	if err != nil {
		return err
	}
	infos, err := m.List(ctx)
	if err != nil {
		return err
	}
	infos, missing := named(i, infos)
	if missing != nil && len(infos) == 0 {
		return missing // without an empty table
	}
	shown := columns
	if o.Name == display.FormatJSON || o.Name == "" || i.Is("quiet") {
		shown = nil
	}
	all, err := rows(ctx, m, infos, i.now(), needUsage(shown, order, filters))
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(v vpsRow) bool { return !matches(v, filters) })
	for _, by := range order {
		slices.SortStableFunc(all, by.compare)
	}
	infos = nil
	for _, v := range all {
		if infos = append(infos, v.Info); v.Error != "" {
			i.screen.Warn(v.Name + ": " + v.Error)
		}
	}
	if i.Is("quiet") {
		columns, _ = parseColumns("name")
	}
	if err := printAll(o, infos, listTable(all, columns)); err != nil {
		return err
	}
	return missing
}

// usualColumns are those that list prints unless others are asked for. All of
// them are known without looking at a VPS once more.
const usualColumns = "name,status,uptime,addresses,template"

// A vpsRow is what a line of list is about.
type vpsRow struct {
	runtime.Info
	used *runtime.Stats // nil if it does not run, or was not asked for
	now  time.Time
}

// rows are those of infos, with what the VPSs that run use if that is asked for.
func rows(ctx context.Context, m Manager, infos []runtime.Info, now time.Time, usage bool) ([]vpsRow, error) {
	var all []vpsRow
	var names []string
	for _, info := range infos {
		all = append(all, vpsRow{Info: info, now: now})
		if info.PID != 0 {
			names = append(names, info.Name)
		}
	}
	if !usage || len(names) == 0 {
		return all, nil
	}
	stats, err := m.Stats(ctx, names)
	if err != nil {
		return nil, err
	}
	for n := range all {
		at := slices.IndexFunc(stats, func(s runtime.Stats) bool { return s.Name == all[n].Name && s.Err == nil })
		if at >= 0 {
			all[n].used = &stats[at]
		}
	}
	return all, nil
}

// needUsage reports whether something that is asked for is what VPSs use.
func needUsage(shown, order []column, filters []filter) bool {
	uses := func(c column) bool { return c.usage != nil }
	return slices.ContainsFunc(shown, uses) || slices.ContainsFunc(order, uses) ||
		slices.ContainsFunc(filters, func(f filter) bool { return f.usage })
}

// named returns those of all that were named, all of them if none was. The
// error is the first name that no VPS has; all of these are reported.
func named(i *invocation, all []runtime.Info) ([]runtime.Info, error) {
	if len(i.Words) == 0 {
		return all, nil
	}
	var first error
	for _, name := range i.Words {
		if slices.ContainsFunc(all, func(v runtime.Info) bool { return v.Name == name }) {
			continue
		}
		err := fail.New(fail.NotFound, "no VPS named %q", name)
		i.report(i.Path, err)
		if first == nil {
			first = reported{err}
		}
	}
	return slices.DeleteFunc(all, func(v runtime.Info) bool { return !slices.Contains(i.Words, v.Name) }), first
}

func listTable(all []vpsRow, columns []column) display.Table {
	var titles []string
	for _, c := range columns {
		titles = append(titles, strings.ToUpper(c.name))
	}
	t := display.Table{titles}
	for _, v := range all {
		var row []string
		for _, c := range columns {
			row = append(row, c.text(v))
		}
		t = append(t, row)
	}
	return t
}

// A column is one fact about a VPS, as text. It has value, or usage.
type column struct {
	name   string
	value  func(vpsRow) string
	usage  func(runtime.Stats) (string, int64) // of a VPS that runs: text, and what it is sorted by
	number func(vpsRow) int64                  // what it is sorted by; nil is the value
	also   func(vpsRow) string                 // another text that filters match
}

// text is the fact about v, "" if it has none.
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

// order is what v is sorted by, if that is a number.
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

// columns are all facts that list can show and filter by.
func columns() []column {
	return []column{
		{name: "name", value: func(v vpsRow) string { return v.Name }},
		{name: "status", value: func(v vpsRow) string { return string(v.Status) }},
		{name: "uptime", value: func(v vpsRow) string { return uptimeText(v.uptime()) }, number: func(v vpsRow) int64 { return int64(v.uptime()) }},
		{name: "booted", value: func(v vpsRow) string { return strconv.FormatBool(v.Booted) }},
		{name: "addresses", value: func(v vpsRow) string { return addresses(v.Info) }},
		{name: "template", value: func(v vpsRow) string { return v.Template }},
		{name: "digest", value: func(v vpsRow) string { return v.Digest }, also: func(v vpsRow) string { return display.ShortDigests(v.Digest) }},
		{name: "uuid", value: func(v vpsRow) string { return v.UUID }},
		{name: "hostname", value: func(v vpsRow) string { return v.Hostname }},
		{name: "created", value: func(v vpsRow) string { return timeText(v.Created) }},
		{name: "started", value: func(v vpsRow) string {
			if v.Started == nil {
				return ""
			}
			return timeText(*v.Started)
		}},
		{name: "boot", value: func(v vpsRow) string { return positive(v.Boot) }, number: func(v vpsRow) int64 { return int64(v.Boot) }},
		{name: "pid", value: func(v vpsRow) string { return positive(v.PID) }, number: func(v vpsRow) int64 { return int64(v.PID) }},
		{name: "monitor", value: func(v vpsRow) string { return positive(v.MonitorPID) }, number: func(v vpsRow) int64 { return int64(v.MonitorPID) }},
		{name: "ids", value: func(v vpsRow) string {
			if v.IDs.Size == 0 {
				return "" // a broken one
			}
			return fmt.Sprintf("%d+%d", v.IDs.First, v.IDs.Size)
		}},
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
				all = append(all, publicationText(p))
			}
			return strings.Join(all, ",")
		}},
		{name: "memory", value: func(v vpsRow) string { return limit(max(v.Limits.Memory, 0), sizes.Text) }, number: func(v vpsRow) int64 { return unlimitedLast(max(v.Limits.Memory, 0)) }},
		{name: "swap", value: func(v vpsRow) string {
			return limit(v.Limits.Swap, func(n int64) string { return sizes.Text(max(n, 0)) }) // -1 is none
		}, number: func(v vpsRow) int64 { return unlimitedLast(v.Limits.Swap) }},
		{name: "cpus", value: func(v vpsRow) string {
			return limit(v.Limits.MilliCPUs, func(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) })
		}, number: func(v vpsRow) int64 { return unlimitedLast(v.Limits.MilliCPUs) }},
		{name: "pids", value: func(v vpsRow) string {
			return limit(max(v.Limits.PIDs, 0), func(n int64) string { return strconv.FormatInt(n, 10) })
		}, number: func(v vpsRow) int64 { return unlimitedLast(max(v.Limits.PIDs, 0)) }},
		{name: "memory-used", usage: func(s runtime.Stats) (string, int64) { return sizes.Text(int64(s.Memory.Used)), int64(s.Memory.Used) }},
		{name: "cpu-time", usage: func(s runtime.Stats) (string, int64) { return cpuTime(s.CPU.Used), int64(s.CPU.Used) }},
		{name: "pids-used", usage: func(s runtime.Stats) (string, int64) {
			return strconv.FormatUint(s.PIDs.Current, 10), int64(s.PIDs.Current)
		}},
		{name: "labels", value: func(v vpsRow) string { return labels(v.Info) }},
		{name: "ephemeral", value: func(v vpsRow) string { return strconv.FormatBool(v.Ephemeral) }},
		{name: "ended", value: func(v vpsRow) string { return endText(v.LastEnd) }, also: func(v vpsRow) string {
			if v.LastEnd == nil {
				return ""
			}
			return v.LastEnd.Reason
		}},
		{name: "files", value: func(v vpsRow) string { return v.Files }},
		{name: "error", value: func(v vpsRow) string { return v.Error }},
	}
}

// uptime is how long a VPS has been up, -1 for one that does not run.
func (v vpsRow) uptime() time.Duration {
	if v.Started == nil || v.PID == 0 {
		return -1
	}
	return max(0, v.now.Sub(*v.Started))
}

// uptimeText writes a duration in its two largest units: 45s, 12m, 3h12m,
// 12d4h. One that is less than 0 is none.
func uptimeText(d time.Duration) string {
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

// endText is how a VPS ended, in a few words; "" if it runs or never ran.
func endText(e *runtime.End) string {
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

// unlimitedLast is a limit as a number to sort by.
func unlimitedLast(n int64) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return n
}

func columnNames() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	return names
}

// addresses are all of a VPS's, each with its interface: 10.1.2.3 (eth0).
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
		return unlimited
	}
	return text(n)
}

// timeText is a time for people, in their zone.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

// parseColumns reads names of columns with commas in between.
func parseColumns(s string) ([]column, error) {
	all := columns()
	var chosen []column
	for name := range strings.SplitSeq(s, ",") {
		i := slices.IndexFunc(all, func(c column) bool { return c.name == strings.ToLower(name) })
		if i < 0 {
			return nil, fmt.Errorf("unknown column %q: use %s", name, strings.Join(columnNames(), ","))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// A filter is one --filter. Its test says whether a VPS matches.
type filter struct {
	key   string
	test  func(vpsRow) bool
	usage bool // the test is of what the VPS uses
}

func parseFilter(s string) (filter, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || value == "" {
		return filter{}, fmt.Errorf("invalid filter %q: use KEY=VALUE", s)
	}
	switch key {
	case "label":
		name, want, exact := strings.Cut(value, "=")
		return filter{key: "label " + name, test: func(v vpsRow) bool {
			got, has := v.Labels[name]
			return has && (!exact || got == want)
		}}, nil
	case "addresses", "address", "ip":
		want, err := netip.ParseAddr(value)
		if err != nil {
			return filter{}, fmt.Errorf("invalid IP address %q", value)
		}
		return filter{key: "addresses", test: func(v vpsRow) bool { return hasAddress(v.Info, want) }}, nil
	}
	chosen, err := parseColumns(key)
	if err != nil || strings.Contains(key, ",") {
		return filter{}, fmt.Errorf("unknown key %q: use label, %s", key, strings.Join(columnNames(), ", "))
	}
	if all := valuesOf(chosen[0].name); all != nil && !slices.Contains(all, value) {
		return filter{}, fmt.Errorf("no VPS can have the %s %q: %s", chosen[0].name, value, strings.Join(all, ", "))
	}
	pattern := slashless(value)
	if _, err := path.Match(pattern, ""); err != nil {
		return filter{}, fmt.Errorf("invalid pattern %q", value)
	}
	by := chosen[0]
	return filter{key: by.name, usage: by.usage != nil, test: func(v vpsRow) bool {
		facts := append(strings.Split(by.text(v), ","), by.text(v))
		if by.also != nil {
			facts = append(facts, by.also(v))
		}
		for _, one := range facts {
			if ok, _ := path.Match(pattern, slashless(one)); ok || one == value {
				return true
			}
		}
		return false
	}}, nil
}

// slashless is text for path.Match, in which "*" stands for slashes too.
func slashless(text string) string { return strings.ReplaceAll(text, "/", "\x00") }

// valuesOf are all values that a column can have, nil if they are not known.
func valuesOf(column string) []string {
	switch column {
	case "status":
		return []string{
			string(runtime.StatusStopped), string(runtime.StatusStarting), string(runtime.StatusRunning),
			string(runtime.StatusPaused), string(runtime.StatusStopping), string(runtime.StatusOrphaned), string(runtime.StatusBroken),
		}
	case "booted", "ephemeral":
		return []string{"true", "false"}
	}
	return nil
}

func hasAddress(v runtime.Info, want netip.Addr) bool {
	for _, i := range v.Interfaces {
		for _, a := range i.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr() == want {
				return true
			}
		}
	}
	return false
}

// matches reports whether v passes one filter at least of each key.
func matches(v vpsRow, filters []filter) bool {
	passed := map[string]bool{}
	for _, f := range filters {
		passed[f.key] = passed[f.key] || f.test(v)
	}
	for _, ok := range passed {
		if !ok {
			return false
		}
	}
	return true
}
