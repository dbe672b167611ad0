package container

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Counts says how often and how long a container had to wait, or was refused
// something, since it was created. A value is nil where the host does not count it.
type Counts struct {
	Throttles *uint64 // periods in which its CPU limit made it wait
	Throttled *uint64 // nanoseconds that this limit made it wait

	MemoryHits *uint64 // times that memory was to exceed the limit, or memory and swap theirs
	OOMKills   *uint64 // processes killed because no memory was left
	PIDHits    *uint64 // forks refused because of the limit of processes

	CPUPressure, MemoryPressure, IOPressure *Pressure
}

// Pressure says how much time was lost while waiting for one resource
// (Documentation/accounting/psi.rst of Linux).
type Pressure struct {
	Some Stall  // time in which at least one process waited
	Full *Stall // time in which all processes waited; nil before Linux 5.13 for the CPU
}

// A Stall is the share of time that was lost, and that time since the container
// was created.
type Stall struct {
	Percent10, Percent60, Percent300 float64 // of the last 10, 60 and 300 seconds
	Total                            time.Duration
}

// readCounts reads the counts of the container whose cgroups have these
// directories, by their controllers. That of version 2 has the name "".
func readCounts(dirs map[string]string, read func(path string) (string, error)) (Counts, error) {
	r := countReader{dirs: dirs, read: read}
	out := Counts{Throttles: r.value("cpu", "cpu.stat", "nr_throttled")}
	if r.isVersion1("cpu") {
		out.Throttled = r.value("cpu", "cpu.stat", "throttled_time")
	} else if us := r.value("cpu", "cpu.stat", "throttled_usec"); us != nil {
		ns := *us * 1000
		out.Throttled = &ns
	}
	if r.isVersion1("memory") {
		// The kernel charges memory and swap together first, so the count of the
		// memory alone stays 0 where no swap is allowed.
		// Some kernels (seen with 6.18) have these files and never count in them.
		out.MemoryHits = unlessZero(sum(r.value("memory", "memory.failcnt", ""), r.value("memory", "memory.memsw.failcnt", "")))
		out.OOMKills = r.value("memory", "memory.oom_control", "oom_kill")
	} else {
		// The local file leaves out limits that the guest has set below. It is
		// there since Linux 5.2.
		out.MemoryHits = r.value("memory", "memory.events.local", "max")
		out.OOMKills = r.value("memory", "memory.events", "oom_kill")
	}
	if r.isVersion1("pids") {
		out.PIDHits = r.value("pids", "pids.events", "max")
	} else {
		// Before Linux 6.11 there is no local file, and the other one counts only
		// forks of processes that are directly in this cgroup: none, with systemd.
		out.PIDHits = r.value("pids", "pids.events.local", "max")
	}
	// Version 2 has these in each cgroup, whether or not a controller is on.
	out.CPUPressure = r.pressure("cpu.pressure")
	out.MemoryPressure = r.pressure("memory.pressure")
	out.IOPressure = r.pressure("io.pressure")
	return out, r.err
}

// countReader reads files of cgroups. It keeps the first error.
type countReader struct {
	dirs map[string]string
	read func(path string) (string, error)
	err  error
}

// isVersion1 reports whether the controller is in a hierarchy of version 1.
func (r *countReader) isVersion1(controller string) bool { return r.dirs[controller] != "" }

// text returns the content of a file in the directory; "" if the host has none.
func (r *countReader) text(dir, file string) string {
	if dir == "" || r.err != nil {
		return ""
	}
	text, err := r.read(filepath.Join(dir, file))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENODEV):
		return "" // ENOTSUP: psi=0 on the kernel's command line; ENODEV: the cgroup is being removed
	case err != nil:
		r.err = err
	}
	return text
}

// value returns the number of a key in a file of the controller; nil if the host
// has no such number.
func (r *countReader) value(controller, file, key string) *uint64 {
	dir := r.dirs[controller]
	if dir == "" {
		dir = r.dirs[""]
	}
	n, err := parseCount(r.text(dir, file), key)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", file, err)
	}
	return n
}

func (r *countReader) pressure(file string) *Pressure {
	p, err := parsePressure(r.text(r.dirs[""], file))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", file, err)
	}
	return p
}

// parseCount returns the number of the key in a text with lines of "KEY NUMBER".
// The empty key is a text with a number alone. It returns nil if there is no such number.
func parseCount(text, key string) (*uint64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if key != "" {
			if len(fields) == 0 || fields[0] != key {
				continue
			}
			fields = fields[1:]
		}
		if len(fields) != 1 {
			return nil, fmt.Errorf("no number in %q", line)
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return nil, err
		}
		return &n, nil
	}
	return nil, nil
}

// parsePressure reads a file of PSI. It returns nil for an empty text.
func parsePressure(text string) (*Pressure, error) {
	var some, full *Stall
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "some" && fields[0] != "full" {
			continue // of a later kernel
		}
		s, err := parseStall(fields[1:])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if fields[0] == "some" {
			some = &s
		} else {
			full = &s
		}
	}
	if some == nil {
		return nil, nil
	}
	return &Pressure{Some: *some, Full: full}, nil
}

func parseStall(fields []string) (Stall, error) {
	var s Stall
	averages := map[string]*float64{"avg10": &s.Percent10, "avg60": &s.Percent60, "avg300": &s.Percent300}
	seen := 0
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		var err error
		if average := averages[key]; average != nil {
			*average, err = strconv.ParseFloat(value, 64)
			seen++
		} else if key == "total" {
			var us int64
			us, err = strconv.ParseInt(value, 10, 64)
			s.Total = time.Duration(us) * time.Microsecond
			seen++
		}
		if err != nil {
			return Stall{}, err
		}
	}
	if seen != 4 {
		return Stall{}, errors.New("it does not have three averages and a total")
	}
	return s, nil
}

// sum adds counts. It returns nil if none is known.
func sum(counts ...*uint64) *uint64 {
	var total *uint64
	for _, n := range counts {
		if n == nil {
			continue
		}
		if total == nil {
			total = new(uint64)
		}
		*total += *n
	}
	return total
}

// unlessZero returns nil for a count of 0 that may mean that nothing is counted.
func unlessZero(n *uint64) *uint64 {
	if n != nil && *n == 0 {
		return nil
	}
	return n
}

// countsPIDHits reports whether the kernel counts each fork that is refused because of
// the limit of processes of the container whose first process is init. It does not if
// RLIMIT_NPROC, which is checked first and not counted, is as low: on a host where it
// cannot be higher. In version 1 a fork is counted in the cgroup of its process, so
// cgroups below hide it.
func countsPIDHits(dirs map[string]string, init int, limit uint64) bool {
	if limit == 0 {
		return true
	}
	// Unlike prlimit(2) it can be read without CAP_SYS_RESOURCE.
	text, err := readText(fmt.Sprintf("/proc/%d/limits", init))
	if err != nil || tasksOfUser(text) <= limit {
		return false
	}
	if dirs["pids"] == "" {
		return true
	}
	entries, err := os.ReadDir(dirs["pids"])
	return err == nil && !slices.ContainsFunc(entries, os.DirEntry.IsDir)
}

// tasksOfUser returns the soft RLIMIT_NPROC in the text of /proc/PID/limits
// (proc_pid_limits(5)), 0 if there is none.
func tasksOfUser(text string) uint64 {
	for line := range strings.Lines(text) {
		values, found := strings.CutPrefix(line, "Max processes ")
		if !found {
			continue
		}
		soft, _, _ := strings.Cut(strings.TrimSpace(values), " ")
		if soft == "unlimited" {
			return math.MaxUint64
		}
		n, _ := strconv.ParseUint(soft, 10, 64)
		return n
	}
	return 0
}

// countsSwap reports whether the kernel counts the swap of these cgroups.
func countsSwap(dirs map[string]string) bool {
	file := filepath.Join(dirs[""], "memory.swap.current")
	if v1 := dirs["memory"]; v1 != "" {
		file = filepath.Join(v1, "memory.memsw.usage_in_bytes")
	}
	_, err := os.Stat(file)
	return err == nil
}

func readText(path string) (string, error) {
	content, err := os.ReadFile(path)
	return string(content), err
}
