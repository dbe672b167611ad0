package look

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/prometheus"
	"croft/cli/values"
	"croft/internal/sizes"
	"croft/internal/vps"
	"croft/runtime"
)

// StatsVerb returns the command stats.
func StatsVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "stats", Group: command.GroupLook, Args: "[NAME...]", Words: command.ActiveNames,
		Query:   true,
		Summary: "show the resource usage of running VPSs",
		Examples: []string{
			"croft stats", "croft stats --watch --interval 5 web db", "croft stats --columns name,oom-kills,memory-hits,pids-hits",
			"croft stats --format prometheus",
		},
		About: `Shows the named VPSs, or all running VPSs. CPU is the percentage of one CPU used
during the sampling interval; TIME is total CPU time since start. MEMORY excludes
file cache that can be dropped at once. READ and WRITTEN are the traffic of block
devices, and - where the kernel does not count it (cgroups of version 1). RECEIVED, SENT and DROPPED count all interfaces, as the VPS sees them;
DROPPED are packets from the VPS that the filters dropped. --json has more.

The columns are ` + strings.Join(StatsColumnNames(), ", ") + `.

memory-hits and pids-hits are how often the limit was hit; throttles and
throttled are the periods and the time in which the CPU limit made the VPS wait;
the three pressures are the share of the last minute in which a process waited
for the CPU, for memory or for input and output. open-files are the open descriptors
of all processes. disk is the disk space of the VPS's own files, without its
template. To measure that, croft looks at every file: it does so only for this
column and with --disk. disk-limit and inodes-limit show what counts against the
limits --disk and --inodes, and the limits. A column that the host does not count is empty in CSV and -
in the table.

--format prometheus prints the text format of Prometheus, for its textfile
collector. It takes one sample, so --interval and --watch do not go with it.`,
		Options: append(statsFormat(command.TableOptions("print everything as a JSON array")), []cmdline.Option{
			{Name: "columns", Short: "c", Placeholder: "NAMES", Kind: command.StatsColumnList, Usage: "columns to print, separated by commas (default: those of the plain table)"},
			diskOption(),
			{Name: "interval", Placeholder: "TIME", Usage: "sampling interval; 0 takes one sample without CPU usage (default: 1s)"},
			{Name: "watch", Short: "w", Usage: "refresh until interrupted"},
		}...),
		Synonyms: []string{"stat", "usage"},
		Run:      a.Run(stats),
	}
}

func stats(ctx context.Context, i *command.Invocation) error {
	interval := time.Second
	if i.Has("interval") {
		interval = command.Get(i, "interval", parseInterval)
	}
	watch := i.Is("watch")
	columns := command.Get(i, "columns", ParseStatsColumns)
	if len(columns) == 0 {
		columns, _ = ParseStatsColumns(UsualStatsColumns)
		if i.Is("disk") {
			columns, _ = ParseStatsColumns(UsualStatsColumns + ",disk")
		}
	}
	if i.Err == nil && watch && interval == 0 {
		i.Err = command.UsageError("--watch: needs an --interval of more than 0")
	}
	i.NotBoth("columns", "disk")
	o := statsOutput{command.OutputWith[runtime.Stats](i, parseStatsFormat), columns}
	if o.Name == formatPrometheus {
		interval = 0
		for _, option := range []string{"interval", "watch"} {
			if i.Err == nil && i.Has(option) {
				i.Err = command.UsageError("--%s: not with --format prometheus, which takes one sample", option)
			}
		}
	}
	names, err := command.ParseNames(i.Words)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	if watch {
		return i.WhileRead(ctx, func(ctx context.Context) error { return watchStats(ctx, o, m, names, interval) })
	}
	var before []runtime.Stats
	if interval > 0 {
		if before, err = m.Stats(ctx, names, o.costly()); err != nil {
			return err
		}
	}
	if err := pause(ctx, interval); err != nil {
		return err
	}
	now, err := m.Stats(ctx, names, o.costly())
	if err != nil {
		return err
	}
	return o.showStats(now, before)
}

// watchStats shows statistics again after each interval, until ctx ends.
func watchStats(ctx context.Context, o statsOutput, m command.Manager, names []vps.Name, interval time.Duration) error {
	before, err := m.Stats(ctx, names, o.costly())
	if err != nil {
		return err
	}
	for {
		if err := pause(ctx, interval); err != nil {
			return err
		}
		now, err := m.Stats(ctx, names, o.costly())
		if err != nil {
			return err
		}
		home(o.Output.Invocation)
		// An error about one VPS does not end the others.
		var told command.Reported
		if err := o.showStats(now, before); err != nil && !errors.As(err, &told) {
			return err
		}
		before = now
	}
}

// parseInterval reads a duration that may be 0.
func parseInterval(s string) (time.Duration, error) {
	return values.Duration(s)
}

// pause waits, unless the command is cancelled.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// home clears the screen of a terminal.
func home(i *command.Invocation) {
	if term.IsTerminal(int(i.Stdio.Out.Fd())) {
		_ = i.Print("\x1b[H\x1b[2J") // the next write reports an error
	}
}

// showStats prints the present statistics, and the errors of VPSs without
// statistics. It returns the first error.
func (o statsOutput) showStats(now, before []runtime.Stats) error {
	was := map[vps.Name]runtime.Stats{}
	for _, s := range before {
		was[s.Name] = s
	}
	good := []runtime.Stats{}
	var first error
	for _, s := range now {
		if s.Err != nil {
			err := command.Cannot("look at", string(s.Name), s.Err)
			o.Report(o.Path, err)
			if first == nil {
				first = command.Reported{Err: err}
			}
			continue
		}
		good = append(good, s.Since(was[s.Name]))
	}
	if o.Name == formatPrometheus {
		if err := o.Print(prometheus.Text(now)); err != nil {
			return err
		}
		return first
	}
	if first != nil && len(good) == 0 {
		return first
	}
	if err := command.PrintAll(o.Output, good, StatsTable(good, o.columns), "DROPPED", "TIME", "PIDS"); err != nil {
		return err
	}
	return first
}

// cpuTime writes nanoseconds of CPU time as minutes, and hours where there are
// any: 0:07.25, 3:02:01.
func cpuTime(ns uint64) string {
	d := time.Duration(ns)
	seconds := d % time.Minute
	if d < time.Hour {
		return fmt.Sprintf("%d:%05.2f", d/time.Minute, seconds.Truncate(10*time.Millisecond).Seconds())
	}
	return fmt.Sprintf("%d:%02d:%02d", d/time.Hour, d%time.Hour/time.Minute, seconds/time.Second)
}

// TopVerb returns the command top.
func TopVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "top", Group: command.GroupLook, Args: "NAME", Words: command.ActiveNames,
		Query:    true,
		Summary:  "list the processes of a VPS",
		Examples: []string{"croft top web"},
		About: `PID and USER are as the VPS sees them; HOST-PID is the process id on the host.
USER is the name in the VPS's own /etc/passwd, or the id if it has no name there.
Processes that are not visible inside the VPS have no PID.`,
		Options: command.TableOptions("print everything about each process as a JSON array"),
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.ProcessInfo](i)
			return command.ForOne(ctx, i, "look at", func(ctx context.Context, m command.Manager, name vps.Name) error {
				all, err := m.Processes(ctx, name)
				if err != nil {
					return err
				}
				return command.PrintAll(o, all, processTable(all))
			})
		}),
	}
}

func processTable(all []runtime.ProcessInfo) display.Table {
	t := display.Table{{"PID", "HOST-PID", "USER", "STATE", "MEMORY", "TIME", "COMMAND"}}
	for _, p := range all {
		user := p.UserName
		if user == "" && p.User >= 0 {
			user = strconv.FormatInt(p.User, 10)
		}
		t = append(t, []string{
			positive(p.PID), positive(p.HostPID), user, p.State, sizes.Text(int64(p.Memory)), cpuTime(p.CPU), p.Command,
		})
	}
	return t
}
