package doctor

import (
	"fmt"

	"croft/internal/pattern"
	"croft/internal/vps"
)

// command is fmt.Sprintf for a command.
func command(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// plain is what a name from a VPS has to be to become part of a command: no blank, no
// quote, no option.
var plain = pattern.New(`^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,127}$`)

// journalOf is the command that shows why a unit failed.
func journalOf(name vps.Name, unit string) string {
	if !plain().MatchString(unit) {
		return command("croft exec %s -- journalctl --boot --priority warning --no-pager", name)
	}
	return command("croft exec %s -- journalctl --boot --no-pager --unit %s", name, unit)
}

// moreMemory is the command that gives a VPS more memory.
func (f Facts) moreMemory() string {
	const mib = 1 << 20
	twice := 2 * f.Memory.Limit
	if f.Memory.Limit < mib || f.HostMemory > 0 && twice > f.HostMemory {
		return command("croft top %s", f.Name) // it shows what takes the memory
	}
	return command("croft set %s --memory %dM", f.Name, twice/mib)
}

// morePIDs is the command that lets a VPS have more processes.
func (f Facts) morePIDs() string {
	if f.PIDs.Limit == 0 {
		return command("croft top %s", f.Name)
	}
	return command("croft set %s --pids %d", f.Name, 2*f.PIDs.Limit)
}

// moreDisk is the command that gives a VPS more disk.
func (f Facts) moreDisk() string {
	const mib = 1 << 20
	return command("croft set %s --disk %dM", f.Name, 2*f.Disk.Limit/mib)
}

// instances is the command that lets each VPS watch more files.
func (f Facts) moreInotify() string {
	return command("sysctl -w fs.inotify.max_user_instances=%d fs.inotify.max_user_watches=1048576", max(1024, 2*f.Instances.Limit))
}

func (f Facts) moreKeys() string {
	return command("sysctl -w kernel.keys.maxkeys=%d kernel.keys.maxbytes=%d", max(2000, 2*f.Keys.Limit), max(200000, 2*f.KeyBytes.Limit))
}
