package doctor

import (
	"fmt"
	"strings"
	"syscall"
)

// units says why each unit has failed.
func units(f Facts) []Finding {
	var all []Finding
	if f.Unasked != "" {
		all = append(all, f.warning("its units", "they are not known: "+f.Unasked, command("croft logs %s", f.Name)))
	}
	for _, u := range f.Units {
		cause, remedy := f.whyFailed(u)
		all = append(all, f.failure("unit "+u.Name, cause, remedy))
	}
	return all
}

// whyFailed returns the cause of the failure of a unit, and what helps. What its own
// messages say of a known cause counts most, then how it ended.
func (f Facts) whyFailed(u Unit) (cause, remedy string) {
	how := u.how(f)
	said := u.said()
	if known, ok := f.symptom(u.Log); ok {
		return known.cause + ": " + said, known.remedy
	}
	remedy = journalOf(f.Name, u.Name)
	switch {
	case u.killedBy(syscall.SIGKILL) && f.OOM.Kills > 0, u.Result == "oom-kill":
		return how, f.moreMemory()
	case u.Load == "not-found" || u.Load == "bad-setting":
		return how, remedy
	case waitsForNetwork(u.Name) && u.Result != "":
		return "it waited for a network that croft, and not the VPS, configures: " + how, f.mask(u.Name, remedy)
	}
	if said != "" && !strings.Contains(how, said) {
		how += ": " + said
	}
	return how, remedy
}

func (u Unit) killedBy(s syscall.Signal) bool { return u.Code >= 2 && u.Status == int(s) }

// waitsForNetwork reports whether a unit has no other purpose than to wait until a
// manager of networks says that the network is there.
func waitsForNetwork(unit string) bool {
	switch unit {
	case "systemd-networkd-wait-online.service", "NetworkManager-wait-online.service", "ifupdown-wait-online.service", "connman-wait-online.service":
		return true
	}
	return false
}

// mask is the command that keeps a unit from being started.
func (f Facts) mask(unit, otherwise string) string {
	if !plain().MatchString(unit) {
		return otherwise
	}
	return command("croft exec %s -- systemctl mask %s", f.Name, unit)
}

// how says how a unit ended, from what systemd knows.
func (u Unit) how(f Facts) string {
	switch {
	case u.Load == "not-found":
		return "there is no such unit"
	case u.Load == "bad-setting":
		return "its file has an invalid setting"
	case u.Result == "oom-kill":
		return "the kernel killed it: no memory was left"
	case u.killedBy(syscall.SIGKILL) && f.OOM.Kills > 0:
		return fmt.Sprintf("it was killed, probably because the VPS had no memory left (%s)", f.OOM)
	case u.Result == "timeout":
		return "it was not ready in time, and systemd ended it"
	case u.Result == "watchdog":
		return "it stopped to answer systemd's watchdog"
	case u.Result == "protocol":
		return "it did not tell systemd that it runs as its Type= demands"
	case u.Result == "resources":
		return "systemd could not prepare its start"
	case u.Code >= 2:
		return "it was killed by " + signalName(u.Status)
	case step[u.Status] != "":
		return fmt.Sprintf("%s (status %d)", step[u.Status], u.Status)
	case u.Result == "start-limit-hit":
		return "it failed too often in a short time"
	case u.Code == 1:
		return fmt.Sprintf("it exited with status %d", u.Status)
	}
	return "its result is " + orUnknown(u.Result)
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func signalName(n int) string {
	switch s := syscall.Signal(n); s {
	case syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE:
		return fmt.Sprintf("signal %d (%s): the program is faulty, or a file of it is damaged", n, s)
	case syscall.SIGSYS:
		return fmt.Sprintf("signal %d (%s): its SystemCallFilter= forbids a call", n, s)
	default:
		return fmt.Sprintf("signal %d (%s)", n, s)
	}
}

// step says which step of systemd failed before it ran the program: the exit statuses of
// systemd.exec(5).
var step = map[int]string{
	200: "its WorkingDirectory= cannot be entered",
	201: "its Nice= cannot be set",
	202: "its file descriptors cannot be passed on",
	203: "its program cannot be run",
	204: "systemd had no memory to run it",
	205: "its resource limits (Limit…=) cannot be set",
	206: "its OOMScoreAdjust= cannot be set",
	207: "its signal mask cannot be set",
	208: "its standard input cannot be opened",
	209: "its standard output cannot be opened",
	210: "its RootDirectory= cannot be entered",
	211: "its IOSchedulingPriority= cannot be set",
	212: "its TimerSlackNSec= cannot be set",
	213: "its SecureBits= cannot be set",
	214: "its CPUSchedulingPolicy= cannot be set",
	215: "its CPUAffinity= cannot be set",
	216: "its Group= does not exist, or cannot be set",
	217: "its User= does not exist, or cannot be set",
	218: "its capabilities (AmbientCapabilities=, CapabilityBoundingSet=) cannot be set",
	219: "its cgroup cannot be prepared",
	220: "its session (Type=, setsid) cannot be made",
	222: "its standard error cannot be opened",
	224: "PAM (PAMName=) refused it",
	225: "its network namespace (PrivateNetwork=, NetworkNamespacePath=) cannot be set up",
	226: "its mount namespace (ProtectSystem=, PrivateTmp=, BindPaths= and the like) cannot be set up",
	227: "its NoNewPrivileges= cannot be set",
	228: "its SystemCallFilter= cannot be set",
	229: "its SELinuxContext= cannot be set",
	230: "its Personality= cannot be set",
	231: "its AppArmorProfile= cannot be used",
	232: "its RestrictAddressFamilies= cannot be set",
	233: "its RuntimeDirectory= cannot be made",
	235: "its files cannot be given to its user",
	236: "its Smack label cannot be set",
	237: "its kernel keyring cannot be set up",
	238: "its StateDirectory= cannot be made",
	239: "its CacheDirectory= cannot be made",
	240: "its LogsDirectory= cannot be made",
	241: "its ConfigurationDirectory= cannot be made",
	242: "its NUMAPolicy= cannot be set",
	243: "its credentials (LoadCredential= and the like) cannot be read",
	245: "its BPF programs cannot be loaded",
}

// said returns what a unit, or systemd about it, said last of the cause; "" if that is
// nothing beyond how it ended.
func (u Unit) said() string {
	last, atStep := "", ""
	for _, line := range u.Log {
		line = strings.TrimSpace(line)
		rest := strings.TrimPrefix(line, u.Name+": ")
		switch {
		case rest == "" || usual(rest, rest != line):
		case strings.HasPrefix(rest, "Failed at step "):
			atStep = rest
		default:
			last = rest
		}
	}
	if last == "" || atStep != "" && strings.HasPrefix(last, "Failed to execute") { // without the program: systemd 247
		return atStep
	}
	return last
}

// usual reports whether systemd writes this line about every unit that fails: about is
// whether the line is about a unit by its name.
func usual(line string, about bool) bool {
	for _, begin := range []string{"Started ", "Starting ", "Stopped ", "Stopping ", "Failed to start ", "Finished ", "Reloaded ", "Created slice ", "Removed slice ", "Reached target "} {
		if !about && strings.HasPrefix(line, begin) {
			return true
		}
	}
	for _, begin := range []string{"Main process exited", "Control process exited", "Failed with result", "Scheduled restart job", "Start request repeated", "Consumed ", "Triggering OnFailure", "Deactivated", "Unit entered failed state", "start operation timed out", "Killing process", "State 'stop-sigterm' timed out", "Failed to run '", "Service RestartSec"} {
		if about && strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}

// String says how many processes were killed, and which ones last.
func (o OOM) String() string {
	n := fmt.Sprintf("%d processes were killed", o.Kills)
	if o.Kills == 1 {
		n = "1 process was killed"
	}
	if len(o.Victims) > 0 {
		n += ": " + strings.Join(o.Victims, ", ")
	}
	return n
}
