package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The init of a pid namespace that was killed ends when every process in the
// namespace has been reaped (zap_pid_ns_processes, kernel/pid_namespace.c).
// Then the kernel unmounts its root filesystem and writes the data of the
// filesystem below to the disk (ovl_sync_fs). Both can take long:
//   - croft exec and nsenter(1) are parents, outside, of a process inside. One
//     that was stopped, by Ctrl-Z for example, does not reap it.
//   - A disk that has gigabytes to write.
const (
	killPatience = 10 * time.Second // for a process that the kernel does not end
	exitPatience = 2 * time.Minute  // for one that it is ending
	exitPace     = 200 * time.Millisecond
)

// pfExiting is the flag of a process that the kernel is ending (PF_EXITING,
// include/linux/sched.h).
const pfExiting = 0x4

// A procStat is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type procStat struct {
	State        byte
	CgroupParent int
	Exiting      bool
}

// parseProcStat reads fields 3, 4 and 9. The command in field 2 may hold blanks
// and parentheses, so fields count from the last parenthesis.
func parseProcStat(stat string) (procStat, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 || len(fields[0]) != 1 {
		return procStat{}, fmt.Errorf("read process status: invalid: %q", stat)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return procStat{}, fmt.Errorf("read process status: parent: %w", err)
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("read process status: flags: %w", err)
	}
	return procStat{State: fields[0][0], CgroupParent: parent, Exiting: flags&pfExiting != 0}, nil
}

func statOf(pid int) (procStat, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseProcStat(string(stat))
}

// Exiting reports whether the kernel is ending the process pid. A zombie has
// ended.
func Exiting(pid int) bool {
	s, err := statOf(pid)
	return err == nil && s.Exiting && s.State != 'Z' && s.State != 'X'
}

// mates lists the processes in the pid namespace of the process init, zombies
// included, which no cgroup lists. It reads all of /proc.
func mates(init int) []int {
	namespace := func(pid string) string {
		link, _ := os.Readlink("/proc/" + pid + "/ns/pid")
		return link
	}
	own := namespace(strconv.Itoa(init))
	entries, err := os.ReadDir("/proc")
	if own == "" || err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && namespace(e.Name()) == own {
			found = append(found, pid)
		}
	}
	return found
}

// outsiders lists the processes that are the parent of one of pids and not
// among them, by handles that the caller closes.
func outsiders(pids []int) []outsider {
	among := map[int]bool{}
	for _, pid := range pids {
		among[pid] = true
	}
	var found []outsider
	for _, pid := range pids {
		s, err := statOf(pid)
		if err != nil || s.CgroupParent <= 1 || among[s.CgroupParent] {
			continue
		}
		among[s.CgroupParent] = true
		fd, err := unix.PidfdOpen(s.CgroupParent, 0)
		if err != nil {
			continue // it has ended, and another process reaps its child
		}
		// The number of a process that is still the parent is not another's.
		if again, err := statOf(pid); err != nil || again.CgroupParent != s.CgroupParent {
			unix.Close(fd)
			continue
		}
		found = append(found, outsider{pid: s.CgroupParent, pidfd: fd})
	}
	return found
}

type outsider struct{ pid, pidfd int }

// releaseOutsiders lets the parents, outside, of the processes in the namespace
// of init go on that a signal has stopped, so that they reap their children. It
// reaps those of this process: libcontainer leaves children behind when a command
// that it starts inside is cut short by the end of init. It is a no-op unless the
// kernel is ending init.
func releaseOutsiders(init int) {
	if !Exiting(init) {
		return
	}
	inside := mates(init)
	release(outsiders(inside))
	for _, pid := range inside {
		if s, err := statOf(pid); err == nil && s.State == 'Z' && s.CgroupParent == os.Getpid() {
			reap(pid)
		}
	}
}

// release lets each of all go on that a signal has stopped, and closes the
// handles.
func release(all []outsider) {
	for _, o := range all {
		if s, err := statOf(o.pid); err == nil && s.State == 'T' {
			_ = unix.PidfdSendSignal(o.pidfd, unix.SIGCONT, nil, 0) // ESRCH: it has ended
		}
		unix.Close(o.pidfd)
	}
}

// awaitExit waits for the process pid, of which pidfd is open, to have ended.
func awaitExit(pid, pidfd int) error {
	begun := time.Now()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(exitPace.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for init's end: %w", err)
		}
		if n > 0 {
			return nil
		}
		releaseOutsiders(pid)
		waited := time.Since(begun)
		if waited > exitPatience || waited > killPatience && !Exiting(pid) {
			return fmt.Errorf("init (pid %d) does not end: %s", pid, WhyNotEnded(pid))
		}
	}
}

// WhyNotEnded is what keeps a killed process from ending, as far as can be known.
func WhyNotEnded(pid int) string {
	if Exiting(pid) {
		return "it waits for its disk, or for a process inside whose parent outside does not reap it"
	}
	return "it is in an uninterruptible wait"
}
