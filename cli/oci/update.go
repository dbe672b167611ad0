package oci

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) updateVerb() *cmdline.Verb {
	value := func(name, placeholder, usage string) cmdline.Option {
		return cmdline.Option{Name: name, Placeholder: placeholder, Usage: usage}
	}
	return &cmdline.Verb{
		Name: "update", Args: idArg,
		Summary:  "change the limits of a container",
		Examples: []string{"update --memory 536870912 --pids-limit 200 web", "update --resources limits.json web"},
		About: `With --resources, all other options except those of RDT are ignored. The file has
the JSON of linux.resources in config.json; limits that are not in it stay
unchanged.`,
		Options: []cmdline.Option{
			{Name: "resources", Short: "r", Placeholder: "FILE", Usage: "file with the limits, - for stdin"},
			value("blkio-weight", "N", "block I/O weight, 10 to 1000"),
			value("cpu-period", "N", "CPU CFS period in microseconds; 0 is the system default"),
			value("cpu-quota", "N", "CPU time in a period, in microseconds"),
			value("cpu-burst", "N", "CPU time that can be accumulated above the quota, in microseconds"),
			value("cpu-share", "N", "CPU shares (relative weight)"),
			value("cpu-rt-period", "N", "CPU realtime period in microseconds; 0 is the system default"),
			value("cpu-rt-runtime", "N", "CPU realtime in a period, in microseconds"),
			value("cpuset-cpus", "CPUS", "CPUs to use"),
			value("cpuset-mems", "NODES", "memory nodes to use"),
			{Name: "kernel-memory", Placeholder: "SIZE", Hidden: true},
			{Name: "kernel-memory-tcp", Placeholder: "SIZE", Hidden: true},
			value("memory", "SIZE", "memory limit in bytes"),
			value("cpu-idle", "0|1", "1 for SCHED_IDLE, 0 for the default"),
			value("memory-reservation", "SIZE", "memory reservation or soft limit, in bytes"),
			value("memory-swap", "SIZE", "limit of memory and swap together; -1 is unlimited swap"),
			value("pids-limit", "N", "limit of processes"),
			value("l3-cache-schema", "SCHEMA", "Intel RDT/CAT L3 cache schema"),
			value("mem-bw-schema", "SCHEMA", "Intel RDT/MBA memory bandwidth schema"),
		},
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			r, err := l.resources()
			if err != nil {
				return 0, err
			}
			return 0, c.Update(r, container.RDT{L3Cache: l.Text("l3-cache-schema"), MemoryBandwidth: l.Text("mem-bw-schema")})
		}),
	}
}

// resources returns the limits on the command line.
func (l *line) resources() (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{CheckBeforeUpdate: new(bool)},
		CPU:     &specs.LinuxCPU{},
		BlockIO: &specs.LinuxBlockIO{},
		Pids:    &specs.LinuxPids{},
	}
	var err error
	if name := l.Text("resources"); name != "" {
		err = readResources(name, r)
	} else {
		err = l.readLimits(r)
	}
	if err != nil {
		return nil, err
	}
	if r.Memory.Limit != nil && *r.Memory.Limit == -1 && r.Memory.Swap == nil {
		r.Memory.Swap = new(int64) // the kernel refuses a swap limit without one of memory
	}
	if r.CPU.Idle != nil && r.CPU.Shares == nil {
		r.CPU.Shares = new(uint64) // an idle cgroup has no weight
	}
	//lint:ignore SA1019 deprecated, and still given
	if r.Memory.Kernel != nil || r.Memory.KernelTCP != nil {
		logrus.Warn("Kernel memory settings are ignored and will be removed")
	}
	return r, nil
}

func readResources(name string, r *specs.LinuxResources) error {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return err
		}
		defer f.Close()
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, r); err != nil {
		return err
	}
	// null means the same as a missing key.
	r.Memory, r.CPU = cmp.Or(r.Memory, &specs.LinuxMemory{}), cmp.Or(r.CPU, &specs.LinuxCPU{})
	r.BlockIO, r.Pids = cmp.Or(r.BlockIO, &specs.LinuxBlockIO{}), cmp.Or(r.Pids, &specs.LinuxPids{})
	return nil
}

func (l *line) readLimits(r *specs.LinuxResources) error {
	r.CPU.Cpus, r.CPU.Mems = l.Text("cpuset-cpus"), l.Text("cpuset-mems")
	weight, err := l.number("blkio-weight")
	if err != nil {
		return err
	}
	if weight != 0 {
		w := uint16(weight)
		r.BlockIO.Weight = &w
	}
	if l.Has("pids-limit") {
		n, err := l.number("pids-limit")
		if err != nil {
			return err
		}
		limit := int64(n)
		r.Pids.Limit = &limit
	}
	signed := func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
	unsigned := func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }
	for _, err := range []error{
		limit(l, "cpu-idle", &r.CPU.Idle, signed),
		limit(l, "cpu-burst", &r.CPU.Burst, unsigned),
		limit(l, "cpu-period", &r.CPU.Period, unsigned),
		limit(l, "cpu-rt-period", &r.CPU.RealtimePeriod, unsigned),
		limit(l, "cpu-share", &r.CPU.Shares, unsigned),
		limit(l, "cpu-quota", &r.CPU.Quota, signed),
		limit(l, "cpu-rt-runtime", &r.CPU.RealtimeRuntime, signed),
		limit(l, "memory", &r.Memory.Limit, parseBytes),
		limit(l, "memory-swap", &r.Memory.Swap, parseBytes),
		limit(l, "memory-reservation", &r.Memory.Reservation, parseBytes),
		//lint:ignore SA1019 deprecated, and still given
		limit(l, "kernel-memory", &r.Memory.Kernel, parseBytes),
		limit(l, "kernel-memory-tcp", &r.Memory.KernelTCP, parseBytes),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// limit sets where to the value of the option, if it was given.
func limit[T any](l *line, name string, where **T, parse func(string) (T, error)) error {
	text := l.Text(name)
	if text == "" {
		return nil
	}
	value, err := parse(text)
	if err != nil {
		return fmt.Errorf("invalid value for %s: %w", name, err)
	}
	*where = &value
	return nil
}

// parseBytes reads a size as runc does: 512, 512k, 1.5g, 64MiB, in powers of
// 1024; -1 for no limit.
func parseBytes(s string) (int64, error) {
	if s == "-1" {
		return -1, nil
	}
	n, err := units.RAMInBytes(s)
	if err == nil && n < 0 { // an overflow
		err = fmt.Errorf("invalid size: '%s'", s)
	}
	return n, err
}
