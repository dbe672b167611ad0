package guest

import (
	"path"
	"slices"
	"strings"

	"croft/internal/pattern"
)

// The inits whose files are fitted, as Settings.Init names them: the first two
// read /etc/inittab.
const (
	InitBusybox  = "busybox"
	InitSysVinit = "sysvinit"
	InitRunit    = "runit"
	InitOpenRC   = "openrc-init"
)

const (
	inittabPath = "etc/inittab"
	// inittabHeader is the first line of an inittab that croft has changed.
	inittabHeader = "# " + marker + ": at each start, lines for terminals and programs that are missing are commented out. Remove this line to keep the file as it is.\n"
	// inittabAdded comes before each line that croft adds.
	inittabAdded = "# " + marker + ": the next line is added\n"
	// Each of these comes before a line that croft has commented out.
	noTerminal = "# " + marker + ", no such terminal: "
	noProgram  = "# " + marker + ", no such program: "
)

// inittab makes /etc/inittab fit a VPS: a line that init would run again and
// again in vain is commented out, and the console has a getty. A line comes
// back when its program is there. Each change is marked, and the user's own
// lines stay.
//
// The formats are those of busybox (examples/inittab) and of sysvinit
// (inittab(5)).
func inittab(w *writer, s Settings) {
	if s.KeepConsole || s.Init != InitBusybox && s.Init != InitSysVinit {
		return
	}
	now := w.look(inittabPath)
	text := string(now.content)
	switch {
	case !now.exists && s.Init == InitBusybox, strings.HasPrefix(text, header):
		text = header + w.defaultInittab()
	case !now.usable, strings.Contains(text, marker) && !strings.HasPrefix(text, inittabHeader):
		return // none that can be changed, or the user has removed the first line
	default:
		text = originalInittab(text)
	}
	fitted := w.fitInittab(text, s.Init)
	if fitted != text && !strings.HasPrefix(text, header) {
		fitted = inittabHeader + fitted
	}
	w.write(now, inittabPath, 0o644, fitted)
}

// defaultInittab is what busybox does without the file, but for the shells on
// tty2 to tty4.
func (w *writer) defaultInittab() string {
	text := "::ctrlaltdel:/sbin/reboot\n::restart:/sbin/init\n::askfirst:-/bin/sh\n"
	if w.has("etc/init.d/rcS") {
		text = "::sysinit:/etc/init.d/rcS\n" + text
	}
	return text
}

// originalInittab removes croft's changes.
func originalInittab(text string) string {
	var b strings.Builder
	added := false
	for line := range strings.Lines(text) {
		if added {
			added = false
			continue
		}
		if line == inittabHeader {
			continue
		}
		if added = line == inittabAdded; added {
			continue
		}
		line = strings.TrimPrefix(line, noTerminal)
		b.WriteString(strings.TrimPrefix(line, noProgram))
	}
	return b.String()
}

// fitInittab comments out lines of text that cannot work in a VPS, and adds
// lines that are missing.
func (w *writer) fitInittab(text, init string) string {
	var b strings.Builder
	console, power, mark := false, false, strings.Contains(text, "/run/booted")
	for line := range strings.Lines(text) {
		e, ok := parseInittab(line)
		if ok && e.respawned() {
			why := w.inVain(e, init)
			b.WriteString(why)
			console = console || why == "" && e.onConsole(init)
		}
		if ok && e.onPower() && init == InitSysVinit {
			why := w.inVain(e, init)
			b.WriteString(why)
			power = power || why == "" && e.action != "powerokwait"
		}
		b.WriteString(line)
	}
	add := func(line string) {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
		b.WriteString(inittabAdded + line + "\n")
	}
	// Busybox leaves no other trace of having booted; sysvinit has utmp(5).
	if touch := w.find("touch"); init == InitBusybox && !mark && touch != "" {
		add("::wait:" + touch + " /run/booted")
	}
	// What croft stop asks for.
	if shutdown := w.find("shutdown"); init == InitSysVinit && !power && shutdown != "" {
		add("crpw::powerwait:" + shutdown + " -h -P now")
	}
	if getty := w.getty(init); !console && getty != "" {
		add(getty)
	}
	return b.String()
}

// getty returns the line of a getty on the console, "" if there is no such
// program.
func (w *writer) getty(init string) string {
	program := w.find("getty")
	if program == "" {
		program = w.find("agetty")
	}
	switch script := w.find("script"); {
	case program == "":
		return ""
	case init == InitBusybox:
		return "::respawn:" + program + " -L 115200 console linux"
	case script != "":
		// sysvinit has /dev/console as its own terminal: a shell there would have
		// no job control. script(1) gives the getty another one.
		return "crft:2345:respawn:" + script + ` --quiet --flush --command "exec ` + program + ` -L 115200 - linux" /dev/null`
	}
	return "crft:2345:respawn:" + program + " -L 115200 console linux"
}

// find returns where a program is, absolute, "" if it is not there.
func (w *writer) find(name string) string {
	for _, dir := range []string{"sbin", "usr/sbin", "bin", "usr/bin"} {
		if w.has(dir + "/" + name) {
			return "/" + dir + "/" + name
		}
	}
	return ""
}

// An inittabEntry is one line of an inittab.
type inittabEntry struct{ id, action, process string }

// parseInittab reads a line; one that says nothing is not ok.
func parseInittab(line string) (inittabEntry, bool) {
	fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
	if len(fields) != 4 || strings.HasPrefix(fields[0], "#") {
		return inittabEntry{}, false
	}
	return inittabEntry{fields[0], fields[2], strings.TrimSpace(fields[3])}, true
}

// respawned reports whether init runs the process again when it has ended.
func (e inittabEntry) respawned() bool {
	return e.action == "respawn" || e.action == "askfirst"
}

// onPower reports whether sysvinit runs the process for a power button or supply.
func (e inittabEntry) onPower() bool { return strings.HasPrefix(e.action, "power") }

// program is the file that e runs, and its arguments. A "-" makes a login
// shell in busybox, a "+" tells sysvinit to leave utmp alone.
func (e inittabEntry) program() (string, []string) {
	words := strings.Fields(strings.TrimLeft(e.process, "-+"))
	if len(words) == 0 {
		return "", nil
	}
	return words[0], words[1:]
}

// inVain is what to put before a line whose process cannot run, "" if it can.
func (w *writer) inVain(e inittabEntry, init string) string {
	program, args := e.program()
	switch {
	case init == InitBusybox && e.id != "" && !inDev(e.id),
		isGetty(program) && slices.ContainsFunc(args, missingTerminal):
		return noTerminal
	case strings.HasPrefix(program, "/") && !w.has(strings.TrimPrefix(path.Clean(program), "/")):
		return noProgram
	}
	return ""
}

// onConsole reports whether e lets someone log in at the console.
func (e inittabEntry) onConsole(init string) bool {
	program, args := e.program()
	if slices.ContainsFunc(args, func(a string) bool { return strings.TrimPrefix(a, "/dev/") == "console" }) {
		return true
	}
	if init == InitBusybox {
		base := path.Base(program)
		return (e.id == "" || e.id == "console") && (strings.HasPrefix(e.process, "-") || base == "login" || base == "sulogin" || base == "sh" || isGetty(program))
	}
	return strings.Contains(e.process, "getty") // on a terminal that is not missing
}

func isGetty(program string) bool { return strings.HasSuffix(path.Base(program), "getty") }

// devices are the names in a VPS's /dev that an inittab may give.
func devices() []string {
	return []string{"console", "tty", "ptmx", "null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr"}
}

func inDev(name string) bool {
	return slices.Contains(devices(), name) || strings.HasPrefix(name, "pts/")
}

// machineTerminal matches the terminals of a machine: screens, serial lines,
// and those of hypervisors.
var machineTerminal = pattern.New(`^(tty[A-Za-z]*[0-9]+|vc/[0-9]+|tts/[0-9]+|hvc[0-9]+|hvsi[0-9]+|xvc[0-9]+|sclp_line[0-9]+)$`)

func missingTerminal(word string) bool {
	return machineTerminal().MatchString(strings.TrimPrefix(word, "/dev/"))
}
