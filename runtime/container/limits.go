package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/fail"
)

// SetLimits changes the limits of memory, CPU time and processes of a running
// container to those of r, which names each of them. Memory in use that is above
// a new limit is reclaimed as far as the kernel can. If more stays in use, nothing
// has changed and the error is fail.State, with the amount. An absent container is
// ErrAbsent.
func (e Engine) SetLimits(id string, r *specs.LinuxResources) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	state, err := c.lc.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	if limit := *r.Memory.Limit; limit > 0 {
		if err := makeRoom(state.CgroupPaths, limit); err != nil {
			return err
		}
	}
	update := specs.LinuxResources{Memory: r.Memory, CPU: r.CPU, Pids: r.Pids, BlockIO: &specs.LinuxBlockIO{}}
	if err := c.Update(&update, RDT{}); err != nil {
		return fmt.Errorf("change limits: %w", err)
	}
	return nil
}

// makeRoom has the kernel reclaim memory of the cgroup with these directories, by
// their controllers, until limit bytes are enough. In version 2 a limit below the
// use would make the kernel kill processes. Version 1 refuses such a limit itself.
func makeRoom(dirs map[string]string, limit int64) error {
	dir, file := dirs["memory"], "memory.usage_in_bytes"
	if dir == "" {
		dir, file = dirs[""], "memory.current"
	}
	if dir == "" {
		return nil
	}
	used, err := numberOf(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return nil // no memory controller
	}
	for tries := 0; err == nil && used > limit && tries < 10; tries++ {
		reclaim(dir, used-limit)
		used, err = numberOf(filepath.Join(dir, file))
	}
	if err != nil {
		return fmt.Errorf("read memory in use: %w", err)
	}
	if used > limit {
		return fail.New(fail.State, "%.1f MiB of memory are in use and cannot be freed: the limit cannot be %.1f MiB", mib(used), mib(limit))
	}
	return nil
}

// reclaim asks the kernel to free bytes of memory in the cgroup: memory.reclaim
// of version 2 (Linux 5.19), memory.force_empty of version 1. An error only means
// that not all could be freed.
func reclaim(dir string, bytes int64) {
	if os.WriteFile(filepath.Join(dir, "memory.reclaim"), []byte(strconv.FormatInt(bytes, 10)), 0) != nil {
		_ = os.WriteFile(filepath.Join(dir, "memory.force_empty"), []byte("0"), 0)
	}
}

func numberOf(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
