package look

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/pattern"
	"croft/internal/proc"
	"croft/internal/vps"
)

// A ProcessInfo describes one process of a VPS. Its JSON keys are stable
// (docs/state.md).
type ProcessInfo struct {
	PID     int   `json:"pid"`       // inside; 0 if the VPS does not see it
	Parent  int   `json:"parentPid"` // inside; 0 if its parent is outside the VPS
	HostPID int   `json:"hostPid"`
	User    int64 `json:"user"` // id inside; -1 for an id that the VPS does not have
	// UserName is the name of User in the VPS's own passwd(5); "" if it is missing
	// there, or if the file cannot be read in time.
	UserName string `json:"userName"`
	State    string `json:"state"`
	Threads  int    `json:"threads"`
	CPU      uint64 `json:"cpuNanoseconds"`
	Memory   uint64 `json:"memoryBytes"` // resident
	Command  string `json:"command"`     // with its arguments; [name] without a command line
}

// Processes lists the processes of a running VPS, sorted by their pids inside. A
// process that ends meanwhile is left out.
func (l Looker) Processes(ctx context.Context, name vps.Name) ([]ProcessInfo, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return nil, err
	}
	seen, err := l.Observer.Observe(name)
	if err == nil && !seen.Alive {
		err = l.Observer.NotRunning(name)
	}
	if err != nil {
		return nil, err
	}
	pids, err := l.Containers.Processes(string(name))
	if err != nil {
		return nil, l.goneOr(name, err)
	}
	all := []ProcessInfo{}
	number := map[int]int{} // pid inside, by pid on the host
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := readProcess(pid, v)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		number[pid] = p.PID
		all = append(all, p)
	}
	names := userNames(seen.Init())
	for i := range all {
		all[i].Parent, all[i].UserName = number[all[i].Parent], names[all[i].User]
	}
	slices.SortFunc(all, func(a, b ProcessInfo) int { return a.PID - b.PID })
	return all, nil
}

// userNames returns the names of users in passwd(5) of the VPS with this init;
// none if the file cannot be read.
func userNames(init inside.Identity) map[int64]string {
	passwd, err := inside.Look(context.Background(), init, func(root *inside.Root) ([]byte, error) { return root.Read("/etc/passwd", inside.MaxRead) })
	if err != nil {
		return nil
	}
	return userNamesIn(passwd)
}

// userNamesIn returns the user names in a passwd(5), by id. The first name of an
// id counts, as in getpwuid(3). The VPS wrote the text, so names that useradd(8)
// would refuse, or that look like an id, are left out.
func userNamesIn(passwd []byte) map[int64]string {
	const longest = 32 // useradd(8)
	names := map[int64]string{}
	for line := range bytes.Lines(passwd) {
		fields := strings.SplitN(string(line), ":", 4)
		if len(fields) < 4 {
			continue
		}
		name := fields[0]
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if _, seen := names[int64(id)]; seen || err != nil || len(name) > longest || !userName().MatchString(name) {
			continue
		}
		names[int64(id)] = name
	}
	return names
}

// userName matches names that useradd(8) accepts, and the '$' of Samba's machine
// accounts.
var userName = pattern.New(`^[A-Za-z_][A-Za-z0-9_.-]*\$?$`)

// readProcess looks at one process. Its Parent is the pid on the host.
func readProcess(pid int, v vps.VPS) (ProcessInfo, error) {
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return ProcessInfo{}, err
	}
	cmdline, err := proc.CommandLine(pid)
	if err != nil {
		return ProcessInfo{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return ProcessInfo{}, fmt.Errorf("cannot read process %d: %w", pid, err)
	}
	p := processInfo(pid, stat, os.Getpagesize())
	p.parseStatus(string(status), v)
	if words := strings.TrimRight(cmdline, "\x00"); words != "" {
		p.Command = strings.ReplaceAll(words, "\x00", " ")
	}
	return p, nil
}

// processInfo fills in the fields that come from /proc/PID/stat.
func processInfo(pid int, s proc.Stat, page int) ProcessInfo {
	return ProcessInfo{
		HostPID: pid, User: -1, Parent: s.Parent, State: string(s.State), Threads: s.Threads,
		CPU: uint64(s.CPU.Nanoseconds()), Memory: s.Resident * uint64(page), Command: "[" + s.Command + "]",
	}
}

// parseStatus fills in the pid and the user inside from /proc/PID/status. NSpid
// lists the pid in each namespace, the host's first (Linux 4.1).
func (p *ProcessInfo) parseStatus(status string, v vps.VPS) {
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 3 && fields[0] == "NSpid:":
			p.PID, _ = strconv.Atoi(fields[2])
		case len(fields) >= 3 && fields[0] == "Uid:":
			id, err := strconv.ParseInt(fields[2], 10, 64) // the effective one
			first, size := int64(v.IDs.First), int64(v.IDs.Size)
			switch {
			case err != nil:
			case v.Privileged:
				p.User = id
			case id >= first && id < first+size:
				p.User = id - first
			}
		}
	}
}
