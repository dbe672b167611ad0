package guests

import (
	"fmt"
	"slices"
	"strings"
)

// A Row is one line of the table of programs or of the table of sandbox options.
type Row struct {
	Name, Version string
	Cells         map[string]string // an outcome, by the host's cgroups ("v1", "v2")
	Again         map[string]string // the same after a restart, of a program
	Remark        string
}

// Each table in the document stands between two lines.
func begin(table string) string { return "<!-- " + table + ": written by make guests -->\n" }

const end = "<!-- end -->\n"

var heads = map[string]string{
	"programs": "| program | version | cgroup v1 | after a restart | cgroup v2 | after a restart | remark |\n|---|---|---|---|---|---|---|\n",
	"sandbox":  "| option | cgroup v1 | cgroup v2 | remark |\n|---|---|---|---|\n",
}

// Update returns document with the results in its tables. Rows keep what they have
// of the other kind of host. The rows are those of names, in this order; what a
// table has beside them is removed.
func Update(document string, names map[string][]string, results []Result) (string, error) {
	for table, order := range names {
		before, rest, found := strings.Cut(document, begin(table))
		old, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return "", fmt.Errorf("the document has no table of %s: it stands between %q and %q", table, begin(table), end)
		}
		rows := parse(table, old)
		for _, r := range results {
			if r.Table == table {
				rows[r.Name] = rows[r.Name].with(r)
			}
		}
		text := heads[table]
		for _, name := range order {
			row := rows[name]
			row.Name = name
			text += row.print(table)
		}
		document = before + begin(table) + text + end + after
	}
	return document, nil
}

// with returns the row with a newer result.
func (row Row) with(r Result) Row {
	if row.Cells == nil {
		row.Cells, row.Again = map[string]string{}, map[string]string{}
	}
	row.Name, row.Version, row.Remark = r.Name, r.Version, r.Remark
	row.Cells[r.Host], row.Again[r.Host] = r.First, r.Again
	return row
}

// unknown is the cell for a host on which a row was not tried.
const unknown = "not tried"

func (row Row) print(table string) string {
	cell := func(of map[string]string, host string) string {
		if of[host] == "" {
			return unknown
		}
		return strings.ReplaceAll(of[host], "|", "\\|")
	}
	fields := []string{row.Name, row.Version, cell(row.Cells, "v1"), cell(row.Again, "v1"), cell(row.Cells, "v2"), cell(row.Again, "v2"), row.Remark}
	if table == "sandbox" {
		fields = []string{"`" + row.Name + "`", cell(row.Cells, "v1"), cell(row.Cells, "v2"), row.Remark}
	}
	line := "|"
	for _, f := range fields {
		line += strings.TrimRight(" "+f, " ") + " |"
	}
	return line + "\n"
}

// parse reads what print has written.
func parse(table, text string) map[string]Row {
	rows := map[string]Row{}
	for line := range strings.Lines(strings.TrimPrefix(text, heads[table])) {
		fields := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), "\\|", "\x00"), "|")
		for i, f := range fields {
			fields[i] = strings.ReplaceAll(strings.TrimSpace(f), "\x00", "|")
		}
		known := func(outcomes map[string]string) map[string]string {
			for host, outcome := range outcomes {
				if outcome == unknown {
					delete(outcomes, host)
				}
			}
			return outcomes
		}
		switch {
		case table == "programs" && len(fields) == 9:
			rows[fields[1]] = Row{
				Name: fields[1], Version: fields[2], Remark: fields[7],
				Cells: known(map[string]string{"v1": fields[3], "v2": fields[5]}),
				Again: known(map[string]string{"v1": fields[4], "v2": fields[6]}),
			}
		case table == "sandbox" && len(fields) == 6:
			name := strings.Trim(fields[1], "`")
			rows[name] = Row{
				Name: name, Remark: fields[4], Again: map[string]string{},
				Cells: known(map[string]string{"v1": fields[2], "v2": fields[3]}),
			}
		}
	}
	return rows
}

// Names returns the order of the rows of each table.
func Names() map[string][]string {
	names := map[string][]string{"programs": {}, "sandbox": {}}
	for _, p := range Programs() {
		names["programs"] = append(names["programs"], p.Name)
	}
	for _, s := range Sandboxes {
		names["sandbox"] = append(names["sandbox"], s.Options)
	}
	names["sandbox"] = slices.Compact(names["sandbox"])
	return names
}
