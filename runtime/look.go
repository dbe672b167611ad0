package runtime

import (
	"context"
	"io"
	"slices"
	"time"

	"croft/internal/vps"
	"croft/runtime/moves"
)

// List describes all VPSs, sorted by name. A VPS whose files cannot be read is
// StatusBroken. It takes no lock.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	if !m.readOnly {
		m.removeAllLeft(ctx)
		m.destroyAbandoned(ctx)
	}
	return m.looker().List(ctx)
}

// Inspect describes one VPS, with the packets that its filters dropped. For one that its
// croft run has left to its monitor it waits: it is as good as gone.
func (m *Manager) Inspect(ctx context.Context, name vps.Name) (Info, error) {
	if !m.readOnly {
		if err := m.removeLeft(ctx, name); err != nil {
			m.warn(err.Error())
		}
	}
	return m.looker().Inspect(ctx, name)
}

// Stats returns the usage of the named VPSs, or of all running ones if names is
// empty. A VPS without usage has Err set, which is fail.State if it does not run.
func (m *Manager) Stats(ctx context.Context, names []vps.Name, o StatsOptions) ([]Stats, error) {
	return m.looker().Stats(ctx, names, o)
}

// Processes lists the processes of a running VPS, by their pids inside.
func (m *Manager) Processes(ctx context.Context, name vps.Name) ([]ProcessInfo, error) {
	return m.looker().Processes(ctx, name)
}

// Logs writes a console log of name to w, or the log of its monitor. With
// o.Follow it continues until the VPS stops or ctx is done. A VPS that has never
// booted has an empty log.
func (m *Manager) Logs(ctx context.Context, name vps.Name, o LogOptions, w io.Writer) error {
	return m.looker().Logs(ctx, name, o, w)
}

// Wait returns when name meets the condition: fail.Timeout if it does not within
// timeout (0: no limit), fail.State if it cannot. For UntilStopped it returns the
// last end of the VPS, or nil if there was none since the host booted.
func (m *Manager) Wait(ctx context.Context, name vps.Name, until Condition, timeout time.Duration) (*End, error) {
	return m.looker().Wait(ctx, name, until, timeout)
}

// Firewall describes the firewall of the VPS name, and which rules really exist.
func (m *Manager) Firewall(ctx context.Context, name vps.Name) (FirewallInfo, error) {
	return m.looker().Firewall(ctx, name)
}

// Routing describes the routes and rules of the VPS name, and which really exist.
func (m *Manager) Routing(ctx context.Context, name vps.Name) (RoutingInfo, error) {
	return m.looker().Routing(ctx, name)
}

// Published describes the published ports of the VPS name, and which really exist.
func (m *Manager) Published(ctx context.Context, name vps.Name) (PublishedInfo, error) {
	return m.looker().Published(ctx, name)
}

// AllPublished describes the published ports of all VPSs that have some, sorted by
// name. A VPS whose network cannot be read is a warning.
func (m *Manager) AllPublished(ctx context.Context) ([]PublishedInfo, error) {
	return m.looker().AllPublished(ctx)
}

// Names returns the names of all VPSs, sorted.
func (m *Manager) Names() ([]vps.Name, error) { return m.store.Names() }

// NamesHere is Names without the VPSs that belong to another host since a move: they do
// not start here.
func (m *Manager) NamesHere() ([]vps.Name, error) {
	all, err := m.store.Names()
	return slices.DeleteFunc(all, m.elsewhere), err
}

// elsewhere reports whether the VPS name belongs to another host. If its record of the move
// cannot be read, it does not: a start returns that error.
func (m *Manager) elsewhere(name vps.Name) bool {
	return moves.Startable(name, m.moveOf(name)) != nil
}
