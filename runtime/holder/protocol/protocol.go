// Package protocol is the interface between croft and the holder program: the
// holder's arguments, its report of the end of a VPS, and the frames of console
// clients.
//
// The holder links this package, so it imports nothing: each page that a
// library touches costs memory for each running VPS.
package protocol

// A Config is everything the holder knows. It travels as the holder's
// argument vector: see Args and Parse.
type Config struct {
	Init    int  // pid of the VPS's init, on the host
	Adopted bool // init is not our child: it is traced, so that its end is known all the same
	PIDFD   int  // of init; None makes the holder open it by pid
	Runner  int  // pidfd of the process that the VPS ends with, or None

	Life    int // the life lock: kept open, handed on to croft
	Master  int // the console's pty master; None if it was lost with another monitor
	Notify  int // SOCK_DGRAM that init says READY=1 to, or None
	Console int // listening SOCK_STREAM for console clients, or None

	// KernelLog is the VPS's pipe in place of /proc/kmsg, kept open so that readers
	// inside wait; or None.
	KernelLog int
	// Hello is the first kernel message of the VPS; "": it has none of its own.
	Hello string
	// Filters is a file with the places where the kernel counts packets of the VPS that were
	// dropped, one a line: family, table, set or chain, link, message, with tabs between them.
	// It may change. "": the VPS is not told.
	Filters string

	Files   Files   // of /proc and /sys that the holder answers for
	Cgroups Cgroups // where the numbers of these files are

	Log    string // the console log of this boot, which is appended to; "": no log
	Booted string // created when READY=1 arrives, contains the time; "": no file

	// Events is the log of events, to which EventTime, the time and Event are appended
	// when READY=1 arrives; "": no file. Counts are told there too.
	Events string
	Event  string
	Counts []Count
	Alarm  int // eventfd that may say that a count has changed, or None
	Disk   Disk
	// MemoryCgroup and IDs are those of the VPS as the host's kernel writes them
	// when it kills a process for lack of memory: see oom.Scope.
	MemoryCgroup string
	IDs          int // how many from Owner on; 0: it has those of the host
	Owner        int // id on the host of the VPS's root

	Exec string   // croft itself: executed when init has ended
	Argv []string // its arguments, the program's name first; End.Args is appended
}

// EventTime begins the line that is appended to Config.Events, before the time in
// microseconds since 1970.
const EventTime = `{"timeMicroseconds":`

// EventsSize is the size in bytes at which the log of events is set aside.
const EventsSize = 4 << 20

// A Count is a number of a cgroup's file, with lines of "KEY NUMBER". When it grows an
// event is appended: EventTime, the time, Event, the number and EventEnd. It is at most
// one each minute, and one when the VPS ends. Message is a kernel message of the VPS, which gets
// the number; "": the processes that were killed are looked up, and each gets a message.
type Count struct{ File, Key, Event, Message string }

// A Disk is the file system with the own files of a VPS that has a limit of its disk. When
// it is nearly full an event is appended, with the percentage in use as the number. The
// zero Disk means that nothing is watched.
type Disk struct {
	FD    int // of a directory, and never 0
	Event string
}

// EventEnd ends the event of a Count, after the number.
const EventEnd = `"}}`

// MaxCounts is how many a holder can have.
const MaxCounts = 4

// None is the descriptor of something that is not there.
const None = -1

// An Error is a sentence about an argument that cannot be understood.
type Error string

func (e Error) Error() string { return string(e) }

// Args returns c as arguments; title is the first one, what ps(1) shows.
func (c Config) Args(title string) []string {
	args := []string{title,
		"init=" + itoa(c.Init),
		"pidfd=" + itoa(c.PIDFD),
		"runner=" + itoa(c.Runner),
		"life=" + itoa(c.Life),
		"master=" + itoa(c.Master),
		"notify=" + itoa(c.Notify),
		"console=" + itoa(c.Console),
		"kmsg=" + itoa(c.KernelLog),
		"hello=" + c.Hello,
		"filters=" + c.Filters,
		"log=" + c.Log,
		"booted=" + c.Booted,
		"events=" + c.Events,
		"event=" + c.Event,
		"alarm=" + itoa(c.Alarm),
		"memory=" + c.MemoryCgroup,
		"owner=" + itoa(c.Owner),
		"ids=" + itoa(c.IDs),
		"exec=" + c.Exec,
	}
	for _, n := range c.Counts {
		args = append(args, "count="+n.Key+" "+n.Event+"\t"+n.Message+"\t"+n.File)
	}
	if c.Adopted {
		args = append(args, "adopted=1")
	}
	if d := c.Disk; d.FD > 0 {
		args = append(args, "disk="+itoa(d.FD), "disk-event="+d.Event)
	}
	if f := c.Files; f.FD > 0 {
		args = append(args, "files="+itoa(f.FD), "tasks="+itoa(f.Tasks))
	}
	for kind, dir := range c.Cgroups {
		if dir != "" {
			args = append(args, cgroupKey+cgroupNames[kind]+"="+dir)
		}
	}
	args = append(args, "--")
	return append(args, c.Argv...)
}

// Parse is the inverse of Args. Every key has to be known, and init, life and
// exec have to be there.
func Parse(args []string) (Config, error) {
	c := Config{Init: None, PIDFD: None, Runner: None, Life: None, Master: None, Notify: None, Console: None, KernelLog: None, Alarm: None}
	if len(args) == 0 {
		return c, Error("no arguments")
	}
	for i, a := range args[1:] {
		if a == "--" {
			c.Argv = args[i+2:]
			break
		}
		if err := c.set(a); err != nil {
			return c, err
		}
	}
	switch {
	case c.Init <= 0:
		return c, Error("init is missing")
	case c.Life < 0:
		return c, Error("life is missing")
	case c.Exec == "" || len(c.Argv) == 0:
		return c, Error("exec is missing")
	}
	return c, nil
}

func (c *Config) set(arg string) error {
	key, value := cut(arg)
	if len(key) >= len(cgroupKey) && key[:len(cgroupKey)] == cgroupKey {
		return c.setCgroup(key[len(cgroupKey):], value)
	}
	var number *int
	switch key {
	case "log":
		c.Log = value
	case "memory":
		c.MemoryCgroup = value
	case "filters":
		c.Filters = value
	case "hello":
		c.Hello = value
	case "booted":
		c.Booted = value
	case "events":
		c.Events = value
	case "event":
		c.Event = value
	case "count":
		rest, file := cutAt(value, '\t')
		message, file := cutAt(file, '\t')
		key, event := cutAt(rest, ' ')
		if key == "" || file == "" || len(c.Counts) == MaxCounts {
			return Error("not a count: " + arg)
		}
		c.Counts = append(c.Counts, Count{file, key, event, message})
	case "disk":
		number = &c.Disk.FD
	case "disk-event":
		c.Disk.Event = value
	case "exec":
		c.Exec = value
	case "adopted":
		c.Adopted = value == "1"
	case "init":
		number = &c.Init
	case "pidfd":
		number = &c.PIDFD
	case "runner":
		number = &c.Runner
	case "life":
		number = &c.Life
	case "master":
		number = &c.Master
	case "notify":
		number = &c.Notify
	case "console":
		number = &c.Console
	case "kmsg":
		number = &c.KernelLog
	case "alarm":
		number = &c.Alarm
	case "files":
		number = &c.Files.FD
	case "owner":
		number = &c.Owner
	case "ids":
		number = &c.IDs
	case "tasks":
		number = &c.Files.Tasks
	default:
		return Error("unknown argument " + arg)
	}
	if number == nil {
		return nil
	}
	n, ok := atoi(value)
	if !ok {
		return Error("not a number: " + arg)
	}
	*number = n
	return nil
}

// An End is how a VPS's init ended, as the holder tells croft.
type End struct {
	Life   int    // the descriptor of the life lock, still locked
	Known  bool   // whether Status is; an adopted init's may be lost
	Status uint32 // as wait4(2) returns it
	// Own says that Status is init's own exit code only: the answer that
	// reboot(2) leaves for init's parent is not in it.
	Own bool
	// Abandoned says that init still runs, and that Config.Runner has ended.
	Abandoned bool
}

const (
	statusUnknown   = "unknown"
	statusAbandoned = "abandoned"
	ownStatus       = '~' // begins a status of which only init's own part is known
)

// Args returns e as the arguments that the holder appends to Config.Argv.
func (e End) Args() []string {
	status := statusUnknown
	switch {
	case e.Abandoned:
		status = statusAbandoned
	case e.Known && e.Own:
		status = string(ownStatus) + itoa(int(e.Status))
	case e.Known:
		status = itoa(int(e.Status))
	}
	return []string{"--life", itoa(e.Life), "--status", status}
}

// ParseEnd is the inverse of End.Args: it reads the end of args.
func ParseEnd(args []string) (End, error) {
	if len(args) < 4 || args[len(args)-4] != "--life" || args[len(args)-2] != "--status" {
		return End{}, Error("no --life FD --status STATUS at the end")
	}
	args = args[len(args)-4:]
	life, ok := atoi(args[1])
	if !ok || life < 0 {
		return End{}, Error("not a descriptor: --life " + args[1])
	}
	e := End{Life: life}
	text := args[3]
	switch {
	case text == statusUnknown:
		return e, nil
	case text == statusAbandoned:
		e.Abandoned = true
		return e, nil
	case text != "" && text[0] == ownStatus:
		e.Own, text = true, text[1:]
	}
	status, ok := atoi(text)
	if !ok || status < 0 || status > 0xffff {
		return End{}, Error("not a wait status: --status " + args[3])
	}
	e.Known, e.Status = true, uint32(status)
	return e, nil
}

func cut(s string) (key, value string) { return cutAt(s, '=') }

func cutAt(s string, sep byte) (before, after string) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func itoa(n int) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func atoi(s string) (int, bool) {
	sign := 1
	if len(s) > 1 && s[0] == '-' {
		sign, s = -1, s[1:]
	}
	if s == "" || len(s) > 10 { // the largest user id has 10 digits
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return sign * n, true
}
