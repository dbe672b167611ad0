package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

const (
	// reclaimTime is how long the kernel may take to free memory for a new limit.
	reclaimTime = 15 * time.Second
	// reclaimStep is how much the kernel frees at a time: 64 MiB.
	reclaimStep = 64 << 20
)

// makeRoom has the kernel reclaim memory of the cgroup with these directories, by
// their controllers, until limit bytes are enough. In version 2 a limit below the
// use would make the kernel kill processes. Version 1 refuses such a limit itself.
// The error is fail.State, with the amount in use, if more stays in use, or if the
// kernel needs more than reclaimTime.
func makeRoom(dirs map[string]string, limit int64) error {
	dir, file := dirs["memory"], "memory.usage_in_bytes"
	if dir == "" {
		dir, file = dirs[""], "memory.current"
	}
	if dir == "" {
		return nil
	}
	file = filepath.Join(dir, file)
	used, err := numberOf(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil // no memory controller
	}
	// The kernel takes minutes to find out that it can free nothing.
	if err == nil && used > limit && unreclaimable(dir) > limit {
		return tooLow(used, limit)
	}
	for end := time.Now().Add(reclaimTime); err == nil && used > limit; {
		left := time.Until(end)
		if left <= 0 {
			return fail.New(fail.State, "%.1f MiB of memory are in use, and the kernel did not free enough in %v: the limit cannot be %.1f MiB now",
				mib(used), reclaimTime, mib(limit))
		}
		before := used
		failed := reclaim(dir, min(used-limit, reclaimStep), left)
		used, err = numberOf(file)
		if err == nil && used > limit && used >= before && failed != nil && time.Now().Before(end) {
			return tooLow(used, limit)
		}
	}
	if err != nil {
		return fmt.Errorf("read memory in use: %w", err)
	}
	return nil
}

func tooLow(used, limit int64) error {
	return fail.New(fail.State, "%.1f MiB of memory are in use and cannot be freed: the limit cannot be %.1f MiB", mib(used), mib(limit))
}

// reclaim asks the kernel to free bytes of memory in the cgroup: memory.reclaim
// of version 2 (Linux 5.19), memory.force_empty of version 1. It returns within
// about a second after limit. An error means that not all was freed.
func reclaim(dir string, bytes int64, limit time.Duration) error {
	err := writeWithin(filepath.Join(dir, "memory.reclaim"), strconv.FormatInt(bytes, 10), limit)
	if errors.Is(err, os.ErrNotExist) {
		err = writeWithin(filepath.Join(dir, "memory.force_empty"), "0", limit)
	}
	return err
}

// writeWithin writes text to a file of the kernel that exists. After limit it
// interrupts the kernel, which then stops at its next try (mm/memcontrol.c,
// mm/vmscan.c: signal_pending).
func writeWithin(file, text string, limit time.Duration) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	thread, done := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		_, err := unix.Write(fd, []byte(text))
		done <- err
	}()
	id := <-thread
	for wait := limit; ; wait = 100 * time.Millisecond {
		select {
		case err := <-done:
			return err
		case <-time.After(wait):
			// SIGURG does nothing else in a Go program. The thread is still this
			// one's: it ends with done.
			_ = unix.Tgkill(os.Getpid(), id, unix.SIGURG)
		}
	}
}

// unreclaimable returns how many bytes of memory of the cgroup the kernel cannot
// free: what programs and tmpfs have beyond the free swap, locked memory, and the
// kernel's own. It is 0 if that is not known.
func unreclaimable(dir string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0
	}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return fixedMemory(string(text), freeSwap(string(info)))
}

// freeSwap returns the bytes of free swap in the text of /proc/meminfo.
func freeSwap(meminfo string) int64 {
	_, rest, _ := strings.Cut(meminfo, "SwapFree:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}

// fixedMemory is unreclaimable for the text of memory.stat, with bytes of free swap.
// Version 1 has the sums of a cgroup and all below it in names with total_.
func fixedMemory(stat string, swap int64) int64 {
	values := map[string]int64{}
	for line := range strings.Lines(stat) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			values[name] = n
		}
	}
	value := func(name string) int64 {
		if n, ok := values["total_"+name]; ok {
			return n
		}
		return values[name]
	}
	fixed := max(0, value("active_anon")+value("inactive_anon")-swap)
	for _, name := range []string{"unevictable", "slab_unreclaimable", "kernel_stack", "pagetables", "percpu"} {
		fixed += value(name)
	}
	return fixed
}

func numberOf(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
