package runtime

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"croft/internal/initkind"
	"croft/internal/proc"
	"croft/internal/vps"
	"croft/runtime/doctor"
)

// askUnits asks systemd in v, which runs, what has failed. Whatever it answers is only
// text.
func (m *Manager) askUnits(ctx context.Context, v vps.VPS, f *doctor.Facts) {
	init, err := m.liveInit(v.Name)
	if err != nil || initkind.Of(proc.Executable(init.PID)) != initkind.Systemd || f.Paused {
		return
	}
	asking, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	text, err := m.output(asking, v.Name, "systemctl", "show", "--state=failed", "--property=Id,LoadState,Result,ExecMainCode,ExecMainStatus,ExecStart", "*")
	if err != nil {
		if f.Unasked = err.Error(); errors.Is(asking.Err(), context.DeadlineExceeded) {
			f.Unasked = "systemd inside did not answer within " + askPatience.String()
		}
		return
	}
	f.Asked = true
	const most = 20
	f.Units = unitsIn(text)
	for n := range f.Units[:min(len(f.Units), most)] {
		u := &f.Units[n]
		log, err := m.output(asking, v.Name, "journalctl", "--boot", "--quiet", "--no-pager", "--output=cat", "--lines=15", "--unit="+u.Name)
		if err == nil {
			u.Log = strings.Split(strings.TrimRight(log, "\n"), "\n")
		}
	}
	if f.Booted {
		return
	}
	jobs, _ := m.output(asking, v.Name, "systemctl", "list-jobs", "--no-legend", "--no-pager", "--plain") // without jobs nothing waits
	f.Waiting = runningJobs(jobs)
}

// unitsIn reads the units from systemctl show: lines with KEY=VALUE, and an empty line
// between units.
func unitsIn(text string) []doctor.Unit {
	var all []doctor.Unit
	for block := range strings.SplitSeq(text, "\n\n") {
		u := doctor.Unit{}
		for line := range strings.Lines(block) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			switch key {
			case "Id":
				u.Name = value
			case "LoadState":
				u.Load = value
			case "Result":
				u.Result = value
			case "ExecMainCode":
				u.Code, _ = strconv.Atoi(value)
			case "ExecMainStatus":
				u.Status, _ = strconv.Atoi(value)
			case "ExecStart":
				_, rest, _ := strings.Cut(value, "path=")
				u.Program, _, _ = strings.Cut(rest, " ;")
			}
		}
		if u.Name != "" {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b doctor.Unit) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// runningJobs returns the units of the jobs that run, from systemctl list-jobs: number,
// unit, kind and state. Others wait for these.
func runningJobs(text string) []string {
	const most = 5
	var all []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 4 && f[len(f)-1] == "running" && len(all) < most {
			all = append(all, f[1])
		}
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
