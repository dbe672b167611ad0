package runtime

import (
	"context"

	"croft/internal/fail"
	"croft/network"
	"croft/network/host"
	"croft/runtime/checkpoint"
	"croft/runtime/guests"
	"croft/runtime/hostcheck"
	"croft/template/recipe"
	"croft/template/rootfs"
	"croft/template/rootfs/diskfile"
	"croft/template/rootfs/quotadir"
)

// A HostCheck is the check of one thing that croft needs or can use on the host.
type HostCheck = hostcheck.Check

// HostLacking returns the names of the failed checks without which no VPS can run.
func HostLacking(checks []HostCheck) []string { return hostcheck.Lacking(checks) }

// CheckHost checks what croft needs and can use on this host. It tries most things, in
// namespaces that end with the call.
func (m *Manager) CheckHost(ctx context.Context) ([]HostCheck, error) {
	f := hostcheck.Probe(ctx, m.store.Root)
	entries, err := m.store.All()
	if err != nil {
		return nil, err
	}
	f.VPSs = len(entries)
	free, err := m.store.FreeIDs(ctx)
	f.FreeIDs, f.IDsWhy = free*idUnit/DefaultIDs, why(err)
	trial, err := rootfs.Try(m.store.Root)
	if err != nil { // nothing can be tried on a read-only or full filesystem
		trial = rootfs.Trial{Namespace: err, Shift: err, Overlay: err}
	}
	f.NamespaceWhy, f.ShiftWhy, f.OverlayWhy = why(trial.Namespace), why(trial.Shift), why(trial.Overlay)
	f.NodeWhy = why(guests.TryDevices(m.store.RunRoot))
	f.OwnFilesWhy = why(guests.TryOwnFiles(m.store.RunRoot))
	f.DiskWhy = why(diskfile.Try(ctx, rootfs.TrialPath(m.store.Root)))
	version, err := m.criu.Check(ctx)
	if f.CriuWhy = why(err); version != (checkpoint.Version{}) {
		f.Criu = version.String()
	}
	f.QuotaWhy = why(quotadir.Why(m.store.Root))
	builder, err := recipe.Builder(recipe.Recipe{Distribution: "debian"})
	f.Builder, f.BuilderWhy = builder, why(err)
	facts, err := m.host()
	if err != nil {
		return nil, err
	}
	f.RunDir, f.Impassable = m.store.RunRoot, facts.Impassable
	f.Cgroups.Manager = string(facts.Cgroups) // the user can choose another than the host uses
	bridges, err := m.bridges()
	if err != nil {
		return nil, err
	}
	f.Network = networkFacts(host.LookAround(ctx, bridges))
	return hostcheck.Checks(f), ctx.Err()
}

// bridges returns the bridges of all networks, or of the default network if there is
// none yet.
func (m *Manager) bridges() ([]string, error) {
	names, err := m.store.Networks()
	if err != nil {
		return nil, err
	}
	var bridges []string
	for _, name := range names {
		t, err := m.networkTables().Get(name)
		if err != nil && !fail.Is(err, fail.NotFound) {
			return nil, err
		}
		if t.Bridge != "" {
			bridges = append(bridges, t.Bridge)
		}
	}
	if bridges == nil {
		bridges = []string{network.Default(network.Seed{}).Bridge}
	}
	return bridges, nil
}

func networkFacts(s host.Survey) hostcheck.Network {
	n := hostcheck.Network{
		LinksWhy: why(s.Links), FilterWhy: why(s.Filter), RulesWhy: why(s.Rules), RatesWhy: why(s.Rates), GuardWhy: why(s.Guard), IPTables: s.IPTables, IPv6: s.IPv6,
		Forwarding4: s.Forwarding4, Forwarding6: s.Forwarding6, Modules: s.Modules, Unavailable: s.Unavailable,
	}
	for _, b := range s.Blockers {
		n.Blockers = append(n.Blockers, hostcheck.Blocker(b))
	}
	return n
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
