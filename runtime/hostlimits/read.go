package hostlimits

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Read reads the limits and their use. What cannot be read is left out. With instances
// it counts the instances of inotify that root of this user namespace has, which means to
// look at the descriptors of its processes.
func Read(instances bool) State {
	s := State{Values: map[string]int64{}, Used: map[string]int64{}}
	for _, l := range append(Needed(), shared()...) {
		if n, ok := number(path(l.Key)); ok {
			s.Values[l.Key] = n
		}
	}
	s.readUse(func(file string) string {
		text, _ := os.ReadFile(file) // not there: not known
		return string(text)
	})
	if instances {
		s.Used[InotifyInstances] = ownInstances()
	}
	return s
}

// readUse reads the use of what the kernel counts, with read as os.ReadFile.
func (s State) readUse(read func(file string) string) {
	field := func(file string, n int) (int64, bool) {
		f := strings.Fields(read(file))
		if n >= len(f) {
			return 0, false
		}
		value, err := strconv.ParseInt(f[n], 10, 64)
		return value, err == nil
	}
	set := func(key string, value int64, ok bool) {
		if ok {
			s.Used[key] = value
		}
	}
	if f := strings.Fields(read("/proc/loadavg")); len(f) > 3 { // "2/345": those that run, and all
		_, text, _ := strings.Cut(f[3], "/")
		n, err := strconv.ParseInt(text, 10, 64)
		set(PIDMax, n, err == nil)
		set(ThreadsMax, n, err == nil)
	}
	for key, file := range map[string]string{
		Conntrack: "/proc/sys/net/netfilter/nf_conntrack_count", AIO: "/proc/sys/fs/aio-nr", OpenFiles: "/proc/sys/fs/file-nr",
	} {
		n, ok := field(file, 0)
		set(key, n, ok)
	}
	if n, ok := field("/proc/sys/kernel/pty/nr", 0); ok {
		reserve, _ := field("/proc/sys/kernel/pty/reserve", 0) // VPSs cannot use it
		set(Terminals, n+reserve, true)
	}
	for key, file := range map[string]string{Neighbours4: "/proc/net/stat/arp_cache", Neighbours6: "/proc/net/stat/ndisc_cache"} {
		_, lines, _ := strings.Cut(read(file), "\n")
		if f := strings.Fields(lines); len(f) > 0 { // the table has one count, which each line repeats
			n, err := strconv.ParseInt(f[0], 16, 64)
			set(key, n, err == nil)
		}
	}
	for _, u := range ParseKeyUsers(read("/proc/key-users")) {
		if u.ID != 0 { // root has limits of its own
			s.Used[MaxKeys] = max(s.Used[MaxKeys], u.Keys)
			s.Used[MaxKeyBytes] = max(s.Used[MaxKeyBytes], u.Bytes)
		}
	}
}

// A KeyUser is what one user of the host has of the kernel's keys.
type KeyUser struct {
	ID              uint32
	Keys, MaxKeys   int64
	Bytes, MaxBytes int64
}

// ParseKeyUsers reads /proc/key-users (keyrings(7)). It leaves out lines that it does not
// understand.
func ParseKeyUsers(text string) []KeyUser {
	var all []KeyUser
	for line := range strings.Lines(text) {
		var u KeyUser
		var usage, instances, instantiated int64
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "%d: %d %d/%d %d/%d %d/%d", &u.ID, &usage, &instances, &instantiated, &u.Keys, &u.MaxKeys, &u.Bytes, &u.MaxBytes); err == nil {
			all = append(all, u)
		}
	}
	return all
}

// KeyUsers reads what the users of the host have of the kernel's keys.
func KeyUsers() []KeyUser {
	text, _ := os.ReadFile("/proc/key-users") // a kernel without keys has none
	return ParseKeyUsers(string(text))
}

// Instances counts the instances of inotify that processes have open.
func Instances(pids []int) int64 {
	var n int64
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		entries, _ := os.ReadDir(dir) // it may have ended
		for _, e := range entries {
			if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && to == "anon_inode:inotify" {
				n++
			}
		}
	}
	return n
}

// ownInstances counts the instances of inotify of the processes of this user in this user
// namespace. The processes of privileged VPSs, whose root is this user, are among them.
func ownInstances() int64 {
	mine, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return 0
	}
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(filepath.Join("/proc", e.Name()), &st) != nil || int(st.Uid) != os.Geteuid() {
			continue
		}
		if ns, err := os.Readlink(filepath.Join("/proc", e.Name(), "ns/user")); err == nil && ns == mine {
			pids = append(pids, pid)
		}
	}
	return Instances(pids)
}

// Value reads a setting of the kernel, which is not known on every kernel.
func Value(key string) (int64, bool) { return number(path(key)) }

// Set sets a limit of the host. It lasts until the host reboots.
func Set(key string, value int64) error {
	if err := os.WriteFile(path(key), []byte(strconv.FormatInt(value, 10)+"\n"), 0); err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	return nil
}

func path(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

func number(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
