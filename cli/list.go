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

	"croft/internal/fail"
	"croft/runtime"
)

func listVerb() *verb {
	return &verb{
		name: "list", group: groupLook, args: "[NAME...]", words: vpsNames,
		summary: "list VPSs",
		examples: []string{
			"croft list --filter status=running --sort memory",
			"croft list --columns name,status,memory --filter 'name=web-*'",
		},
		about: `Lists the named VPSs, or all VPSs.

The columns are ` + strings.Join(columnNames(), ", ") + `.

A filter is KEY=VALUE, where KEY is a column, or label=KEY or label=KEY=VALUE.
VALUE may be a pattern with * and ?. A VPS must match every filter; of several
filters with the same KEY it must match one.`,
		options: []option{
			{name: "json", usage: "print everything about each VPS as a JSON array"},
			{name: "columns", short: "c", placeholder: "NAMES", kind: listColumns, usage: "columns to print, separated by commas (default: name,status,addresses,template)"},
			{name: "filter", short: "f", placeholder: "KEY=VALUE", many: true, kind: listFilters, usage: "list only VPSs that match; may be repeated"},
			{name: "sort", placeholder: "COLUMN", usage: "sort by this column (default: name)", choices: columnNames()},
			{name: "quiet", short: "q", usage: "print only the names"},
			{name: "no-header", usage: "omit the header line"},
		},
		aliases: []string{"ls", "ps"},
		run:     list,
	}
}

func list(ctx context.Context, i *invocation) error {
	for _, name := range i.words {
		if _, err := parseName(name); err != nil {
			return usageError("%w", err)
		}
	}
	columns := get(i, "columns", parseColumns)
	if len(columns) == 0 {
		columns, _ = parseColumns("name,status,addresses,template")
	}
	filters := getMany(i, "filter", parseFilter)
	order := get(i, "sort", parseColumns)
	if i.err == nil && len(order) > 1 {
		i.err = usageError("--sort: one column")
	}
	for _, other := range []string{"columns", "quiet", "no-header"} {
		i.notBoth("json", other)
	}
	i.notBoth("columns", "quiet")
	m, err := i.manager()
	if err != nil {
		return err
	}
	all, err := m.List(ctx)
	if err != nil {
		return err
	}
	all, missing := named(i, all)
	if missing != nil && len(all) == 0 {
		return missing // without an empty table
	}
	all = slices.DeleteFunc(all, func(info runtime.Info) bool { return !matches(info, filters) })
	for _, by := range order {
		slices.SortStableFunc(all, by.compare)
	}
	for _, info := range all {
		if info.Error != "" {
			i.screen.warn(info.Name + ": " + info.Error)
		}
	}
	if err := printList(i, all, columns); err != nil {
		return err
	}
	return missing
}

// named returns those of all that were named, all of them if none was. The
// error is the first name that no VPS has; all of these are reported.
func named(i *invocation, all []runtime.Info) ([]runtime.Info, error) {
	if len(i.words) == 0 {
		return all, nil
	}
	var first error
	for _, name := range i.words {
		if slices.ContainsFunc(all, func(v runtime.Info) bool { return v.Name == name }) {
			continue
		}
		err := fail.New(fail.NotFound, "no VPS named %q", name)
		i.report(i.path, err)
		if first == nil {
			first = reported{err}
		}
	}
	return slices.DeleteFunc(all, func(v runtime.Info) bool { return !slices.Contains(i.words, v.Name) }), first
}

func printList(i *invocation, all []runtime.Info, columns []column) error {
	switch {
	case i.flags.Bool("json"):
		if all == nil {
			all = []runtime.Info{} // an empty list is [], not null
		}
		return i.printJSON(all)
	case i.flags.Bool("quiet"):
		columns, _ = parseColumns("name")
		return i.print(listTable(all, columns, false).String())
	}
	return i.print(listTable(all, columns, !i.flags.Bool("no-header")).String())
}

func listTable(all []runtime.Info, columns []column, header bool) table {
	var t table
	if header {
		var row []string
		for _, c := range columns {
			row = append(row, strings.ToUpper(c.name))
		}
		t = append(t, row)
	}
	for _, info := range all {
		var row []string
		for _, c := range columns {
			row = append(row, c.value(info))
		}
		t = append(t, row)
	}
	return t
}

// A column is one fact about a VPS, as text.
type column struct {
	name   string
	value  func(runtime.Info) string
	number func(runtime.Info) int64 // what it is sorted by; nil is the value
}

// compare orders two VPSs by the column: by its number where it has one.
func (c column) compare(a, b runtime.Info) int {
	if c.number != nil {
		return cmp.Compare(c.number(a), c.number(b))
	}
	return strings.Compare(c.value(a), c.value(b))
}

// columns are all facts that list can show and filter by.
func columns() []column {
	return []column{
		{name: "name", value: func(v runtime.Info) string { return v.Name }},
		{name: "status", value: func(v runtime.Info) string { return string(v.Status) }},
		{name: "booted", value: func(v runtime.Info) string { return strconv.FormatBool(v.Booted) }},
		{name: "addresses", value: addresses},
		{name: "template", value: func(v runtime.Info) string { return v.Template }},
		{name: "digest", value: func(v runtime.Info) string { return shortDigest(v.Digest) }},
		{name: "uuid", value: func(v runtime.Info) string { return v.UUID }},
		{name: "hostname", value: func(v runtime.Info) string { return v.Hostname }},
		{name: "created", value: func(v runtime.Info) string { return timeText(v.Created) }},
		{name: "started", value: func(v runtime.Info) string {
			if v.Started == nil {
				return ""
			}
			return timeText(*v.Started)
		}},
		{name: "boot", value: func(v runtime.Info) string { return positive(v.Boot) }, number: func(v runtime.Info) int64 { return int64(v.Boot) }},
		{name: "pid", value: func(v runtime.Info) string { return positive(v.PID) }, number: func(v runtime.Info) int64 { return int64(v.PID) }},
		{name: "monitor", value: func(v runtime.Info) string { return positive(v.MonitorPID) }, number: func(v runtime.Info) int64 { return int64(v.MonitorPID) }},
		{name: "ids", value: func(v runtime.Info) string {
			if v.IDs.Size == 0 {
				return "" // a broken one
			}
			return fmt.Sprintf("%d+%d", v.IDs.First, v.IDs.Size)
		}},
		{name: "networks", value: func(v runtime.Info) string {
			return joined(v, func(i runtime.InterfaceInfo) string { return i.Network })
		}},
		{name: "macs", value: func(v runtime.Info) string { return joined(v, func(i runtime.InterfaceInfo) string { return i.MAC }) }},
		{name: "links", value: func(v runtime.Info) string {
			return joined(v, func(i runtime.InterfaceInfo) string { return i.HostLink })
		}},
		{name: "ports", value: func(v runtime.Info) string {
			var all []string
			for _, p := range v.Published {
				all = append(all, publicationText(p))
			}
			return strings.Join(all, ",")
		}},
		{name: "memory", value: func(v runtime.Info) string { return limit(max(v.Limits.Memory, 0), sizeText) }, number: func(v runtime.Info) int64 { return unlimitedLast(max(v.Limits.Memory, 0)) }},
		{name: "swap", value: func(v runtime.Info) string {
			return limit(v.Limits.Swap, func(n int64) string { return sizeText(max(n, 0)) }) // -1 is none
		}, number: func(v runtime.Info) int64 { return unlimitedLast(v.Limits.Swap) }},
		{name: "cpus", value: func(v runtime.Info) string {
			return limit(v.Limits.MilliCPUs, func(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) })
		}, number: func(v runtime.Info) int64 { return unlimitedLast(v.Limits.MilliCPUs) }},
		{name: "pids", value: func(v runtime.Info) string {
			return limit(max(v.Limits.PIDs, 0), func(n int64) string { return strconv.FormatInt(n, 10) })
		}, number: func(v runtime.Info) int64 { return unlimitedLast(max(v.Limits.PIDs, 0)) }},
		{name: "labels", value: labels},
		{name: "ephemeral", value: func(v runtime.Info) string { return strconv.FormatBool(v.Ephemeral) }},
		{name: "ended", value: func(v runtime.Info) string {
			if v.LastEnd == nil {
				return ""
			}
			return v.LastEnd.Reason
		}},
		{name: "files", value: func(v runtime.Info) string { return v.Files }},
		{name: "error", value: func(v runtime.Info) string { return v.Error }},
	}
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
			return nil, fmt.Errorf("%q is no column: %s", name, strings.Join(columnNames(), ","))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// A filter is one --filter. Its test says whether a VPS matches.
type filter struct {
	key  string
	test func(runtime.Info) bool
}

func parseFilter(s string) (filter, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || value == "" {
		return filter{}, fmt.Errorf("%q is no KEY=VALUE", s)
	}
	switch key {
	case "label":
		name, want, exact := strings.Cut(value, "=")
		return filter{key: "label " + name, test: func(v runtime.Info) bool {
			got, has := v.Labels[name]
			return has && (!exact || got == want)
		}}, nil
	case "addresses", "address", "ip":
		want, err := netip.ParseAddr(value)
		if err != nil {
			return filter{}, fmt.Errorf("%q is no IP address", value)
		}
		return filter{key: "addresses", test: func(v runtime.Info) bool { return hasAddress(v, want) }}, nil
	}
	chosen, err := parseColumns(key)
	if err != nil || strings.Contains(key, ",") {
		return filter{}, fmt.Errorf("%q is no key: label, %s", key, strings.Join(columnNames(), ", "))
	}
	if all := valuesOf(chosen[0].name); all != nil && !slices.Contains(all, value) {
		return filter{}, fmt.Errorf("no VPS can have the %s %q: %s", chosen[0].name, value, strings.Join(all, ", "))
	}
	pattern := slashless(value)
	if _, err := path.Match(pattern, ""); err != nil {
		return filter{}, fmt.Errorf("invalid pattern %q", value)
	}
	fact := chosen[0].value
	return filter{key: chosen[0].name, test: func(v runtime.Info) bool {
		for _, one := range append(strings.Split(fact(v), ","), fact(v)) {
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
func matches(v runtime.Info, filters []filter) bool {
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
