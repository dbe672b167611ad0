package options

import (
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// resourceOptions are the options of create and set for memory, CPUs and disks that
// VPSs share.
func resourceOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "disk", Placeholder: "SIZE", Usage: "limit of its own files, by a quota or in an image: a size, or unlimited (default: unlimited)"},
		{Name: "inodes", Placeholder: "NUMBER", Usage: "limit of the number of its own files and directories, or default: one for each 16K of --disk"},
		{Name: "memory-low", Placeholder: "SIZE", Usage: "memory that the kernel leaves to it while others have some to free (default: none)"},
		{Name: "cpu-weight", Placeholder: "NUMBER", Usage: "share of busy CPUs, 1 to 10000 (default: 100)"},
		{Name: "cpuset", Placeholder: "LIST|any:N", Usage: "CPUs that it may use, for example 0-1,3; any:2 is two CPUs that croft chooses at each start; or unlimited (default: all)"},
		{Name: "io-weight", Placeholder: "NUMBER", Usage: "share of a busy disk, 1 to 10000 (default: 100)"},
		{Name: "io-read", Placeholder: "[DEVICE:]RATE", Many: true, Usage: "limit of reads: bytes per second (10M), operations per second (100iops), or unlimited; may be repeated"},
		{Name: "io-write", Placeholder: "[DEVICE:]RATE", Many: true, Usage: "limit of writes, like --io-read"},
	}
}

// ResourcesAbout is the help for verbs with these options.
const ResourcesAbout = `--disk limits what the VPS writes: df inside shows the size, and a full disk is full
for this VPS alone. The files of the template count only with plain storage. Where the
host has project quotas, a running VPS can get more and less. Elsewhere the files are
in an image file with a file system: a running VPS can get more, if croft has
CAP_SYS_RESOURCE on the host. Everything else (no limit any more, a first limit, with
images less and other inodes) copies the files of a stopped VPS. See docs/limits.md.

--cpu-weight and --io-weight divide what is busy: a VPS with 200 gets twice as much
as one with 100. Who is alone gets all. --io-read and --io-write bound what a VPS
reads and writes: 10M is 10 MiB per second, 100iops is 100 operations per second.
Without DEVICE, or with "all", that is the disk under the VPS's files. Together they
replace all former limits of reads, or of writes. On a host with cgroup version 1,
--io-write only bounds direct and synchronous writes: see docs/limits.md.`

// limitReaders read the values of limits that are one number.
var limitReaders = []struct {
	limit vps.Limit
	read  func(string) (int64, error)
}{
	{vps.LimitMemory, orDefault(values.Memory)}, {vps.LimitSwap, values.Swap}, {vps.LimitCPUs, values.CPUs}, {vps.LimitPIDs, orDefault(values.PIDs)},
	{vps.LimitMemoryLow, values.MemoryLow}, {vps.LimitCPUWeight, values.Weight}, {vps.LimitIOWeight, values.Weight},
}

// setLimits reads the options of create into o.
func setLimits(i *command.Invocation, o *runtime.CreateOptions) {
	for _, l := range limitReaders {
		*l.limit.Of(&o.Limits) = command.Get(i, string(l.limit), l.read)
	}
	o.DiskBytes, o.Inodes = command.Get(i, "disk", values.Disk), command.Get(i, "inodes", orDefault(values.Inodes))
	o.Limits.CPUSet = command.Get(i, "cpuset", values.CPUSet)
	o.Limits.IORead, o.Limits.IOWrite = ioLimits(i, "io-read"), ioLimits(i, "io-write")
}

// limitEdits reads the options of set.
func limitEdits(i *command.Invocation) []vps.Edit {
	var edits []vps.Edit
	for _, l := range limitReaders {
		edits = addEdit(edits, i, string(l.limit), l.read, l.limit.Set)
	}
	edits = addEdit(edits, i, "disk", values.Disk, func(n int64) vps.Edit { return vps.SetDisk{Bytes: n} })
	edits = addEdit(edits, i, "inodes", orDefault(values.Inodes), func(n int64) vps.Edit { return vps.SetInodes{Inodes: n} })
	edits = addEdit(edits, i, "cpuset", values.CPUSet, func(list string) vps.Edit { return vps.SetCPUSet{List: list} })
	for _, name := range []string{"io-read", "io-write"} {
		if i.Has(name) {
			edits = append(edits, vps.SetIO{Write: name == "io-write", Limits: ioLimits(i, name)})
		}
	}
	return edits
}

// ioLimits reads all values of an option; "unlimited" alone is no limits.
func ioLimits(i *command.Invocation, name string) []vps.IOLimit {
	given := command.GetMany(i, name, values.IOLimit)
	if slices.Contains(given, vps.IOLimit{}) {
		if len(given) > 1 && i.Err == nil {
			i.Err = command.UsageError("--%s: unlimited and others", name)
		}
		return nil
	}
	var all []vps.IOLimit
	for _, l := range given {
		all = vps.WithIO(all, l)
	}
	return all
}
