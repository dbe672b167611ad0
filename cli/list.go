package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/internal/fail"
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
			i.screen.Warn(string(v.Name) + ": " + v.Error)
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

// A vpsRow is a VPS on one line of list.
type vpsRow struct {
	runtime.Info
	used *runtime.Stats // nil if it does not run, or no column needs it
	now  time.Time
}

// rows returns a row for each of infos, with statistics of running VPSs if usage.
func rows(ctx context.Context, m Manager, infos []runtime.Info, now time.Time, usage bool) ([]vpsRow, error) {
	var all []vpsRow
	var names []vps.Name
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

// needUsage reports whether a column or filter needs statistics.
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
		if slices.ContainsFunc(all, func(v runtime.Info) bool { return string(v.Name) == name }) {
			continue
		}
		err := fail.New(fail.NotFound, "no VPS named %q", name)
		i.report(i.Path, err)
		if first == nil {
			first = reported{err}
		}
	}
	return slices.DeleteFunc(all, func(v runtime.Info) bool { return !slices.Contains(i.Words, string(v.Name)) }), first
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
