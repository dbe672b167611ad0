// Package inherited resets the attributes that a process has inherited from the
// caller that started it, and that its children would inherit in turn. So a VPS
// is the same whether it is started from a login shell, by nice(1), or by a
// service with an OOM score of -1000.
//
// The bundle of a VPS has the resource limits and the umask of the processes
// inside, and their environment is always created new. All other attributes are
// reset here. No function returns an error: an attribute that the host does not
// allow to change stays, such as a higher priority without CAP_SYS_NICE.
package inherited

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropThread gives the calling thread the attributes that a machine's init has:
// scheduling policy, nice value, CPU affinity, I/O class, memory policy, timer
// slack, personality, an empty signal mask, and a session keyring of its own.
// Processes that it starts inherit them, and other threads do not have them.
// The caller has locked its goroutine to the thread, and never unlocks it.
func DropThread() {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0) // SCHED_OTHER; also without reset-on-fork
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	var cpus unix.CPUSet
	if unix.SchedGetaffinity(1, &cpus) == nil { // init's: the host may keep CPUs for something else
		_ = unix.SchedSetaffinity(0, &cpus)
	}
	const ofThread = 1 // IOPRIO_WHO_PROCESS
	raw(unix.SYS_IOPRIO_SET, ofThread, 0, 0)
	raw(unix.SYS_SET_MEMPOLICY, 0, 0, 0) // MPOL_DEFAULT
	raw(unix.SYS_PERSONALITY, 0, 0, 0)   // PER_LINUX
	const slack = 50_000                 // ns, the kernel's own
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
	raw(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
}

// DropProcess gives this process the attributes that a machine's init has, as
// far as all threads share them: an OOM score of 0, huge pages, the usual core
// dumps, and no ignored signal. SIGHUP, SIGINT and SIGPIPE stay as they are:
// Go's runtime and this program set those.
func DropProcess() {
	SetOOMScore(0)
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0)
	_ = os.WriteFile("/proc/self/coredump_filter", []byte("0x33"), 0) // core(5)
	for n := unix.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGHUP, unix.SIGINT, unix.SIGPIPE, unix.SIGKILL, unix.SIGSTOP:
			continue
		}
		var is, byDefault sigaction
		raw(unix.SYS_RT_SIGACTION, uintptr(n), 0, uintptr(unsafe.Pointer(&is)))
		if is.handler == ignored {
			raw(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&byDefault)), 0)
		}
	}
}

// A sigaction is the kernel's struct for rt_sigaction(2). Some architectures
// have no restorer; the mask, at the end, is not looked at.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const ignored = 1 // SIG_IGN

// raw is a system call of this thread that may fail.
func raw(number, a, b, c uintptr) {
	const sigsetSize = 8 // rt_sigaction(2)'s fourth argument; others have none
	_, _, _ = unix.RawSyscall6(number, a, b, c, sigsetSize, 0, 0)
}

// SetOOMScore makes this process more (up to 1000) or less (down to -1000)
// likely to be killed where memory runs out. Children inherit that.
func SetOOMScore(n int) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(n)), 0)
}
