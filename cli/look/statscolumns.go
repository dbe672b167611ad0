package look

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/sizes"
	"croft/runtime"
)

// UsualStatsColumns are the default columns of stats.
const UsualStatsColumns = "name,cpu,time,memory,limit,pids,read,written,received,sent,dropped"

// Columns that croft asks for only if they are shown.
const (
	columnOpenFiles = "open-files"
	columnDisk      = "disk"
)

func diskOption() cmdline.Option {
	return cmdline.Option{Name: "disk", Usage: "measure the disk space of the VPS's own files too; looks at every file"}
}

// costly returns what the output shows of the numbers that cost more than others.
func (o statsOutput) costly() runtime.StatsOptions {
	if o.Name != display.FormatTable && o.Name != display.FormatCSV {
		return runtime.StatsOptions{OpenFiles: true, Disk: o.Is("disk")}
	}
	shows := func(name string) bool {
		return slices.ContainsFunc(o.columns, func(c statsColumn) bool { return c.name == name })
	}
	return runtime.StatsOptions{OpenFiles: shows(columnOpenFiles), Disk: shows(columnDisk)}
}

// A statsColumn is one number of the usage of a VPS, as text; "" if it is not
// counted.
type statsColumn struct {
	name string
	text func(runtime.Stats) string
}

// statsColumns returns all columns that stats can show, in the order of help.
func statsColumns() []statsColumn {
	return slices.Concat([]statsColumn{{"name", func(s runtime.Stats) string { return string(s.Name) }}}, cpuColumns(), memoryColumns(), []statsColumn{
		{"pids", func(s runtime.Stats) string { return strconv.FormatUint(s.PIDs.Current, 10) }},
		{"pids-limit", func(s runtime.Stats) string {
			return limit(int64(s.PIDs.Limit), func(n int64) string { return strconv.FormatInt(n, 10) })
		}},
		{"pids-hits", func(s runtime.Stats) string { return counted(s.PIDs.LimitHits) }},
		{columnOpenFiles, func(s runtime.Stats) string { return counted(s.OpenFiles) }},
	}, ioColumns(), []statsColumn{
		{columnDisk, func(s runtime.Stats) string {
			if s.Disk == nil {
				return ""
			}
			return bytesText(*s.Disk)
		}},
		{"disk-limit", func(s runtime.Stats) string { return diskText(s.DiskLimit) }},
		{"inodes-limit", func(s runtime.Stats) string { return inodesText(s.DiskLimit) }},
	})
}

func cpuColumns() []statsColumn {
	return []statsColumn{
		{"cpu", func(s runtime.Stats) string {
			if s.CPU.Percent == nil {
				return ""
			}
			return percentText(*s.CPU.Percent)
		}},
		{"time", func(s runtime.Stats) string { return cpuTime(s.CPU.Used) }},
		{"throttles", func(s runtime.Stats) string { return counted(s.CPU.Throttles) }},
		{"throttled", func(s runtime.Stats) string {
			if s.CPU.Throttled == nil {
				return ""
			}
			return cpuTime(*s.CPU.Throttled)
		}},
		{"cpu-pressure", func(s runtime.Stats) string { return pressureText(s.CPU.Pressure) }},
	}
}

func memoryColumns() []statsColumn {
	return []statsColumn{
		{"memory", func(s runtime.Stats) string { return bytesText(s.Memory.Used) }},
		{"limit", func(s runtime.Stats) string {
			if s.Memory.Limit == 0 {
				return values.Unlimited
			}
			return bytesText(s.Memory.Limit)
		}},
		{"memory-hits", func(s runtime.Stats) string { return counted(s.Memory.LimitHits) }},
		{"oom-kills", func(s runtime.Stats) string { return counted(s.Memory.OOMKills) }},
		{"swap", func(s runtime.Stats) string {
			if s.Memory.Swap == nil {
				return ""
			}
			return bytesText(*s.Memory.Swap)
		}},
		{"memory-pressure", func(s runtime.Stats) string { return pressureText(s.Memory.Pressure) }},
	}
}

func ioColumns() []statsColumn {
	blocks := func(s runtime.Stats, n uint64) string {
		if !s.IO.Counted {
			return ""
		}
		return bytesText(n)
	}
	traffic := func(s runtime.Stats, of func(runtime.InterfaceStats) uint64) uint64 {
		var all uint64
		for _, at := range s.Interfaces {
			all += of(at)
		}
		return all
	}
	return []statsColumn{
		{"read", func(s runtime.Stats) string { return blocks(s, s.IO.ReadBytes) }},
		{"written", func(s runtime.Stats) string { return blocks(s, s.IO.WrittenBytes) }},
		{"io-pressure", func(s runtime.Stats) string { return pressureText(s.IO.Pressure) }},
		{"received", func(s runtime.Stats) string {
			return bytesText(traffic(s, func(at runtime.InterfaceStats) uint64 { return at.ReceivedBytes }))
		}},
		{"sent", func(s runtime.Stats) string {
			return bytesText(traffic(s, func(at runtime.InterfaceStats) uint64 { return at.SentBytes }))
		}},
		{"dropped", func(s runtime.Stats) string {
			return strconv.FormatUint(traffic(s, func(at runtime.InterfaceStats) uint64 {
				var all uint64
				for _, n := range at.Dropped {
					all += n
				}
				return all
			}), 10)
		}},
	}
}

func bytesText(n uint64) string { return sizes.Text(int64(n)) }

func percentText(p float64) string { return strconv.FormatFloat(p, 'f', 1, 64) + "%" }

// counted writes a count; "" if the host does not count it.
func counted(n *uint64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatUint(*n, 10)
}

// pressureText writes the share of the last minute in which a process waited.
func pressureText(p *runtime.Pressure) string {
	if p == nil {
		return ""
	}
	return percentText(p.Some.Percent60)
}

// StatsColumnNames returns the names of the columns of stats.
func StatsColumnNames() []string {
	var names []string
	for _, c := range statsColumns() {
		names = append(names, c.name)
	}
	return names
}

// ParseStatsColumns reads names of columns of stats, separated by commas.
func ParseStatsColumns(s string) ([]statsColumn, error) {
	all := statsColumns()
	var chosen []statsColumn
	for name := range strings.SplitSeq(s, ",") {
		i := slices.IndexFunc(all, func(c statsColumn) bool { return c.name == strings.ToLower(name) })
		if i < 0 {
			return nil, fmt.Errorf("unknown column %q: use %s", name, strings.Join(StatsColumnNames(), ","))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// StatsTable returns the table of stats with the columns.
func StatsTable(all []runtime.Stats, columns []statsColumn) display.Table {
	return tableOf(all, columns, func(c statsColumn) string { return c.name }, func(c statsColumn, s runtime.Stats) string { return c.text(s) })
}

// A statsOutput is an output with the columns of its table.
type statsOutput struct {
	command.Output
	columns []statsColumn
}

// formatPrometheus is a value of --format that stats alone has.
const formatPrometheus = "prometheus"

// statsFormat gives --format among the options its value of stats.
func statsFormat(options []cmdline.Option) []cmdline.Option {
	for n := range options {
		if options[n].Name == "format" {
			options[n].Choices = append(options[n].Choices, formatPrometheus)
			options[n].Usage = "table, json, csv, prometheus, or a Go template for each JSON object, for example '{{.name}}' (default: table)"
		}
	}
	return options
}

func parseStatsFormat(s string) (display.Format, error) {
	if s == formatPrometheus {
		return display.Format{Name: s}, nil
	}
	return display.ParseFormat(s)
}
