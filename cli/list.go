package cli

import (
	"context"
	"fmt"
	"net/netip"
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
		about: `Lists the named VPSs, or all, running or not, with all their addresses.

Columns: ` + wrapWords(columnNames(), 69, "         ") + `

A filter is KEY=VALUE with a column's name, or label=KEY or label=KEY=VALUE.
With several filters a VPS has to match each; a key that is given twice may
match either of its values.`,
		options: []option{
			{name: "json", usage: "everything about each VPS, as a JSON array"},
			{name: "columns", short: "c", placeholder: "NAMES", usage: "which columns, with commas in between (name,status,addresses,template)"},
			{name: "filter", short: "f", placeholder: "KEY=VALUE", many: true, usage: "only VPSs that match; may be repeated"},
			{name: "quiet", short: "q", usage: "only the names"},
			{name: "no-header", usage: "no line with the columns' names"},
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
	name  string
	value func(runtime.Info) string
}

// columns are all facts that list can show and filter by.
func columns() []column {
	return []column{
		{"name", func(v runtime.Info) string { return v.Name }},
		{"status", func(v runtime.Info) string { return string(v.Status) }},
		{"booted", func(v runtime.Info) string { return strconv.FormatBool(v.Booted) }},
		{"addresses", addresses},
		{"template", func(v runtime.Info) string { return v.Template }},
		{"digest", func(v runtime.Info) string { return shortDigest(v.Digest) }},
		{"uuid", func(v runtime.Info) string { return v.UUID }},
		{"hostname", func(v runtime.Info) string { return v.Hostname }},
		{"created", func(v runtime.Info) string { return timeText(v.Created) }},
		{"started", func(v runtime.Info) string {
			if v.Started == nil {
				return ""
			}
			return timeText(*v.Started)
		}},
		{"boot", func(v runtime.Info) string { return positive(v.Boot) }},
		{"pid", func(v runtime.Info) string { return positive(v.PID) }},
		{"monitor", func(v runtime.Info) string { return positive(v.MonitorPID) }},
		{"ids", func(v runtime.Info) string {
			if v.IDs.Size == 0 {
				return "" // a broken one
			}
			return fmt.Sprintf("%d+%d", v.IDs.First, v.IDs.Size)
		}},
		{"networks", func(v runtime.Info) string {
			return joined(v, func(i runtime.InterfaceInfo) string { return i.Network })
		}},
		{"macs", func(v runtime.Info) string { return joined(v, func(i runtime.InterfaceInfo) string { return i.MAC }) }},
		{"links", func(v runtime.Info) string {
			return joined(v, func(i runtime.InterfaceInfo) string { return i.HostLink })
		}},
		{"ports", func(v runtime.Info) string {
			var all []string
			for _, p := range v.Published {
				all = append(all, publicationText(p))
			}
			return strings.Join(all, ",")
		}},
		{"memory", func(v runtime.Info) string { return limit(v.Limits.Memory, sizeText) }},
		{"swap", func(v runtime.Info) string {
			return limit(v.Limits.Swap, func(n int64) string { return sizeText(max(n, 0)) }) // -1 is none
		}},
		{"cpus", func(v runtime.Info) string {
			return limit(v.Limits.MilliCPUs, func(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) })
		}},
		{"pids", func(v runtime.Info) string {
			return limit(v.Limits.PIDs, func(n int64) string { return strconv.FormatInt(n, 10) })
		}},
		{"labels", labels},
		{"ephemeral", func(v runtime.Info) string { return strconv.FormatBool(v.Ephemeral) }},
		{"ended", func(v runtime.Info) string {
			if v.LastEnd == nil {
				return ""
			}
			return v.LastEnd.Reason
		}},
		{"files", func(v runtime.Info) string { return v.Files }},
		{"error", func(v runtime.Info) string { return v.Error }},
	}
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
	return t.Local().Format("2006-01-02 15:04:05")
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
	fact := chosen[0].value
	return filter{key: chosen[0].name, test: func(v runtime.Info) bool {
		return fact(v) == value || slices.Contains(strings.Split(fact(v), ","), value)
	}}, nil
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

// wrapWords breaks words over lines of at most width, each but the first indented.
func wrapWords(words []string, width int, indent string) string {
	out, n := "", 0
	for _, w := range words {
		switch {
		case n == 0:
		case n+1+len(w) > width:
			out, n = out+"\n"+indent, 0
		default:
			out, n = out+" ", n+1
		}
		out, n = out+w, n+len(w)
	}
	return out
}
