package look

import (
	"context"
	"slices"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// ListVerb returns the command list.
func ListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Group: command.GroupLook, Args: "[NAME...]", Words: command.VPSNames,
		Query:   true,
		Summary: "list VPSs",
		Examples: []string{
			"croft list --filter status=running --sort memory",
			"croft list --columns name,memory-used,memory --filter 'name=web-*'",
			"croft list --format '{{.name}} {{.status}}'",
		},
		About: `Lists the named VPSs, or all VPSs.

The columns are ` + strings.Join(ColumnNames(), ", ") + `.

memory-used, cpu-time and pids-used are what a running VPS uses now, or has used
since it was started. memory, cpus and pids are its limits. ended is how a
stopped VPS ended.

On a terminal, long lists, digests and names are shortened where a line would not
fit. In a file or a pipe, and with --wide, nothing is shortened.

A filter is KEY=VALUE, where KEY is a column, or label=KEY or label=KEY=VALUE.
VALUE may be a pattern with * and ?. A VPS must match every filter; of several
filters with the same KEY it must match one.`,
		Options: append(command.TableOptions("print everything about each VPS as a JSON array"), []cmdline.Option{
			{Name: "columns", Short: "c", Placeholder: "NAMES", Kind: command.ListColumns, Usage: "columns to print, separated by commas (default: " + usualColumns + ")"},
			{Name: "filter", Short: "f", Placeholder: "KEY=VALUE", Many: true, Kind: command.ListFilters, Usage: "list only VPSs that match; may be repeated"},
			{Name: "sort", Placeholder: "COLUMN", Usage: "sort by this column (default: name)", Choices: ColumnNames()},
			command.QuietOption(),
		}...),
		Aliases: []string{"ls", "ps"},
		Run:     a.Run(list),
	}
}

// A listQuery is what list is asked for.
type listQuery struct {
	command.Output
	columns []column
	filters []filter
	order   []column // one or none
	quiet   bool
}

// readListQuery reads the words and options of list. An error about an option is
// in i.Err.
func readListQuery(i *command.Invocation) (listQuery, error) {
	for _, name := range i.Words {
		if _, err := vps.ParseName(name); err != nil {
			return listQuery{}, command.UsageError("%w", err)
		}
	}
	q := listQuery{
		columns: command.Get(i, "columns", parseColumns), filters: command.GetMany(i, "filter", ParseFilter),
		order: command.Get(i, "sort", parseColumns), quiet: i.Is("quiet"),
	}
	if len(q.columns) == 0 {
		q.columns, _ = parseColumns(usualColumns)
	}
	if q.quiet {
		q.columns, _ = parseColumns("name")
	}
	if i.Err == nil && len(q.order) > 1 {
		i.Err = command.UsageError("--sort: one column")
	}
	i.NotBoth("columns", "quiet")
	q.Output = command.OutputOf[runtime.Info](i)
	return q, nil
}

// needsUsage reports whether the query needs statistics of running VPSs. The
// columns matter only in a table.
func (q listQuery) needsUsage() bool {
	shown := q.columns
	if q.Name == display.FormatJSON || q.Name == "" {
		shown = nil
	}
	uses := func(c column) bool { return c.usage != nil }
	return slices.ContainsFunc(shown, uses) || slices.ContainsFunc(q.order, uses) ||
		slices.ContainsFunc(q.filters, func(f filter) bool { return f.usage })
}

func list(ctx context.Context, i *command.Invocation) error {
	q, err := readListQuery(i)
	if err != nil {
		return err
	}
	m, err := i.Manager()
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
	all, err := rows(ctx, m, infos, i.Now(), q.needsUsage())
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(v vpsRow) bool { return !matches(v, q.filters) })
	for _, by := range q.order {
		slices.SortStableFunc(all, by.compare)
	}
	infos = nil
	for _, v := range all {
		if infos = append(infos, v.Info); v.Error != "" {
			i.Screen.Warn(string(v.Name) + ": " + v.Error)
		}
	}
	if err := command.PrintAll(q.Output, infos, listTable(all, q.columns)); err != nil {
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
func rows(ctx context.Context, m command.Manager, infos []runtime.Info, now time.Time, usage bool) ([]vpsRow, error) {
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
	stats, err := m.Stats(ctx, names, runtime.StatsOptions{})
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

// named returns the VPSs on the line; all of them if it names none. It prints an
// error for each name without a VPS, and returns the first of these errors.
func named(i *command.Invocation, all []runtime.Info) ([]runtime.Info, error) {
	if len(i.Words) == 0 {
		return all, nil
	}
	var first error
	for _, name := range i.Words {
		if slices.ContainsFunc(all, func(v runtime.Info) bool { return string(v.Name) == name }) {
			continue
		}
		err := fail.New(fail.NotFound, "no VPS named %q", name)
		i.Report(i.Path, err)
		if first == nil {
			first = command.Reported{Err: err}
		}
	}
	return slices.DeleteFunc(all, func(v runtime.Info) bool { return !slices.Contains(i.Words, string(v.Name)) }), first
}

// tableOf is a table with a line for each of all, whose columns have these names and texts.
func tableOf[Row, Column any](all []Row, columns []Column, name func(Column) string, text func(Column, Row) string) display.Table {
	var titles []string
	for _, c := range columns {
		titles = append(titles, strings.ToUpper(name(c)))
	}
	t := display.Table{titles}
	for _, r := range all {
		var row []string
		for _, c := range columns {
			row = append(row, text(c, r))
		}
		t = append(t, row)
	}
	return t
}

func listTable(all []vpsRow, columns []column) display.Table {
	return tableOf(all, columns, func(c column) string { return c.name }, column.text)
}
