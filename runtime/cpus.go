package runtime

import (
	"context"

	"croft/internal/vps"
)

// cpusAtStart returns the list of CPUs to which v is pinned from now on, and records it.
// "" is all.
func (m *Manager) cpusAtStart(ctx context.Context, v vps.VPS) (string, error) {
	return m.pinTo(ctx, v, func(int) bool { return false })
}

// pinTo returns the list of CPUs to which v is pinned from now on, and records it. If
// the settings of v say how many it has, it keeps the present ones if keep allows that for
// this number; otherwise they are those with the fewest other running VPSs.
func (m *Manager) pinTo(ctx context.Context, v vps.VPS, keep func(n int) bool) (string, error) {
	n := vps.CPUCount(v.Limits.CPUSet)
	if n == 0 {
		return v.Limits.CPUSet, m.store.PutCPUs(v.Name, v.Limits.CPUSet)
	}
	if keep(n) {
		return m.store.CPUs(v.Name), nil
	}
	var chosen string
	err := m.store.ChooseCPUs(ctx, v.Name, func(others map[vps.Name]string) error {
		chosen = m.cpus().LeastUsed(n, m.pinned(others))
		return m.store.PutCPUs(v.Name, chosen)
	})
	return chosen, err
}

// pinned returns the lists of those VPSs that run or start.
func (m *Manager) pinned(lists map[vps.Name]string) []string {
	var all []string
	for name, list := range lists {
		if seen, err := m.observe(name); err != nil || seen.Runs() {
			all = append(all, list)
		}
	}
	return all
}

// pinCPUs determines to which CPUs a running VPS is pinned after the change. A new CPU
// set that says how many it has gets new ones; other changes keep those that it has.
func (c *change) pinCPUs(ctx context.Context) error {
	if !c.parts[vps.PartLimits] || c.init.PID == 0 {
		return nil
	}
	c.was.cpus = c.store.CPUs(c.was.Name)
	anew := false
	for _, e := range c.edits {
		_, is := e.(vps.SetCPUSet)
		anew = anew || is
	}
	var err error
	c.now.cpus, err = c.pinTo(ctx, c.now.VPS, func(n int) bool { return !anew && c.cpus().Has(c.was.cpus, n) })
	return err
}
