// Package oom reads from the messages of the host's kernel which processes it has killed
// for lack of memory.
//
// The holder links this package, so it imports nothing, and nothing in it allocates memory.
package oom

// A Scope says which processes belong to a VPS.
type Scope struct {
	// Cgroup is the VPS's memory cgroup, as the kernel writes it: a path below the root of its
	// hierarchy.
	Cgroup string
	// First and Size are the user ids of the VPS on the host. Size 0 means that it has
	// those of the host.
	First, Size uint64
}

// A Victim is a process that was killed. Its texts are those of the message.
type Victim struct {
	PID  int    // on the host
	Name []byte // its program, at most 15 bytes, which may be any
	Anon uint64 // anonymous memory that it had, in KiB; 0 if the message does not say
	// Sizes are all sizes, in the kernel's words: "total-vm:8kB, anon-rss:4kB, ...".
	Sizes []byte
}

// A Reader reads one message after the other (mm/oom_kill.c: oom_kill_process,
// __oom_kill_process; Linux 4.20 and later).
type Reader struct {
	Scope Scope
	ours  bool // the last choice of a victim was one in the VPS
}

const (
	choice = "oom-kill:constraint="
	cgroup = ",task_memcg="
	task   = ",task="
	owner  = ",uid="
	killed = "Killed process "
	sizes  = ") total-vm:"
	anon   = "anon-rss:"
	after  = ", UID:"

	kernelFacility = 8 // priorities below are those of the kernel
)

// Read reads a record as read(2) of /dev/kmsg returns it. It reports whether it tells of a
// process of the VPS that was killed. The texts of the victim are parts of the record.
func (r *Reader) Read(record []byte) (v Victim, ok bool) {
	text := textOf(record)
	switch {
	case hasPrefix(text, choice):
		r.ours = r.Scope.has(text)
	case r.ours:
		if at := find(text, killed); at >= 0 {
			return victimOf(text[at+len(killed):])
		}
	}
	return Victim{}, false
}

// has reports whether a choice of the kernel is a process of the VPS. A VPS can choose the names of
// its programs and of cgroups below its own. So the last part counts, and a name of a program
// is too short for a cgroup of a VPS; and the user id at the end has to fit.
func (s *Scope) has(text []byte) bool {
	if s.Cgroup == "" {
		return false
	}
	uidAt, pathAt := findLast(text, owner), findLast(text, cgroup)
	if uidAt < 0 || pathAt < 0 {
		return false
	}
	if uid, _ := number(text[uidAt+len(owner):]); s.Size > 0 && (uid < s.First || uid >= s.First+s.Size) {
		return false
	}
	path := text[pathAt+len(cgroup):]
	n := len(s.Cgroup)
	return len(path) > n && string(path[:n]) == s.Cgroup && (path[n] == '/' || hasPrefix(path[n:], task))
}

// victimOf reads "PID (NAME) total-vm:NkB, anon-rss:NkB, ..., UID:N ...".
func victimOf(text []byte) (v Victim, ok bool) {
	pid, rest := number(text)
	end := findLast(rest, sizes)
	if pid == 0 || end < 2 || rest[0] != ' ' || rest[1] != '(' {
		return v, false
	}
	v.PID, v.Name, v.Sizes = int(pid), rest[2:end], rest[end+2:]
	if at := find(v.Sizes, after); at >= 0 {
		v.Sizes = v.Sizes[:at]
	}
	if at := find(v.Sizes, anon); at >= 0 {
		v.Anon, _ = number(v.Sizes[at+len(anon):])
	}
	return v, true
}

// textOf returns the text of a record of the kernel; nil of others.
func textOf(record []byte) []byte {
	if priority, _ := number(record); priority >= kernelFacility {
		return nil
	}
	for i, c := range record {
		if c != ';' {
			continue
		}
		text := record[i+1:]
		for n, c := range text {
			if c == '\n' {
				return text[:n]
			}
		}
		return text
	}
	return nil
}

func number(text []byte) (n uint64, rest []byte) {
	for i, c := range text {
		if c < '0' || c > '9' || n > 1<<52 {
			return n, text[i:]
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

func hasPrefix(text []byte, what string) bool {
	return len(text) >= len(what) && string(text[:len(what)]) == what
}

func find(text []byte, what string) int {
	for i := range text {
		if hasPrefix(text[i:], what) {
			return i
		}
	}
	return -1
}

func findLast(text []byte, what string) int {
	for i := len(text) - 1; i >= 0; i-- {
		if hasPrefix(text[i:], what) {
			return i
		}
	}
	return -1
}
