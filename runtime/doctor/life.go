package doctor

import (
	"strings"

	"croft/internal/pattern"
)

// ended says why a VPS does not run, and what keeps it from starting.
func ended(f Facts) []Finding {
	if f.Runs {
		return nil
	}
	var all []Finding
	if e := f.Ended; e != nil && (f.ShouldRun || e.Accident || e.Restarting) {
		remedy := command("croft start %s", f.Name)
		cause := e.Detail
		if known, ok := f.symptom(f.Console); ok && e.Accident {
			cause, remedy = known.cause+" ("+cause+")", known.remedy
		}
		if e.OutOfMemory {
			remedy = f.moreMemory()
		}
		what := "it has ended"
		if e.Restarting {
			what = "it ends again and again"
		}
		all = append(all, f.failure(what, cause, remedy))
	} else if f.ShouldRun {
		all = append(all, f.failure("it should run, and is stopped", "it was not started since the host booted", command("croft start %s", f.Name)))
	}
	for _, o := range f.Obstacles {
		remedy := o.Hint
		if remedy == "" {
			remedy = command("croft inspect %s", f.Name)
		}
		all = append(all, f.failure("it cannot start", o.Why, remedy))
	}
	return all
}

// boot says why a VPS that runs is not ready.
func boot(f Facts) []Finding {
	var all []Finding
	switch {
	case f.Paused:
		all = append(all, f.warning("it is paused", "a command has paused it", command("croft resume %s", f.Name)))
	case f.Runs && !f.Booted:
		cause, remedy := "its init has not said that it is ready", command("croft logs %s", f.Name)
		if len(f.Waiting) > 0 {
			cause, remedy = "its boot waits for "+strings.Join(f.Waiting, ", "), command("croft exec %s -- systemctl list-jobs", f.Name)
		}
		all = append(all, f.warning("it has not booted", cause, remedy))
	}
	if f.FirstBoot != "" {
		all = append(all, f.failure("first-boot script", f.FirstBoot, command("croft logs %s", f.Name)))
	}
	return all
}

// service finds the messages of other inits about a service that has failed: of Debian's
// sysvinit and its scripts, of OpenRC, of busybox, and of systemd on the console.
var service = pattern.New(`service\(s\) returned failure: |\* ERROR: \S+ failed to start|can't run '|respawning too fast|^\[\s*FAIL(ED)?\s*\]|\.\.\. failed!|failed!$`)

// console says which known causes of failures the last lines of the console have, if no
// other source tells: an init that is not systemd has no list of what has failed.
func console(f Facts) []Finding {
	if !f.Runs || f.Asked {
		return nil
	}
	var all []Finding
	seen := map[string]bool{}
	for _, line := range f.Console {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[croft: ") { // croft has written it, and counts it elsewhere
			continue
		}
		what, cause, remedy := "", "", command("croft logs %s", f.Name)
		if service().MatchString(line) {
			what, cause = "a service", line
		}
		if known, ok := f.symptom([]string{line}); ok {
			what, cause, remedy = "a program", known.cause+": "+line, known.remedy
		}
		if what != "" && !seen[cause] {
			seen[cause] = true
			all = append(all, f.warning(what, cause, remedy))
		}
	}
	const most = 10
	return all[:min(len(all), most)]
}
