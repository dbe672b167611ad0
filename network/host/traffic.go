package host

import (
	"errors"
	"maps"

	"github.com/vishvananda/netlink"

	"croft/network"
)

// Traffic returns the counts of the interfaces of running VPSs, by host link,
// in one pass for all. A missing link is left out.
func (h *Host) Traffic(plans []network.Plan) (map[string]network.Traffic, error) {
	wanted := map[string]string{} // alias by link
	families := map[network.Family]bool{}
	for _, p := range plans {
		if p.HasPort() {
			wanted[p.HostLink], families[p.Family()] = p.Alias(), true
		}
	}
	out := map[string]network.Traffic{}
	if len(wanted) == 0 {
		return out, nil
	}
	links, err := undisturbed(h.nl.LinkList)
	if err != nil {
		return nil, classify("list links", err)
	}
	dropped := map[string]map[network.Reason]uint64{}
	for f := range families {
		counts, err := h.dropped(f)
		if err != nil {
			return nil, err
		}
		maps.Copy(dropped, counts)
	}
	for _, l := range links {
		attrs := l.Attrs()
		if alias, ok := wanted[attrs.Name]; !ok || attrs.Alias != alias || attrs.Statistics == nil {
			continue
		}
		s := attrs.Statistics
		t := network.Traffic{ReceivedBytes: s.TxBytes, ReceivedPackets: s.TxPackets, SentBytes: s.RxBytes, SentPackets: s.RxPackets,
			Dropped: map[network.Reason]uint64{}}
		maps.Copy(t.Dropped, dropped[attrs.Name])
		if err := h.addRefused(attrs.Name, t.Dropped); err != nil {
			return nil, err
		}
		out[attrs.Name] = t
	}
	return out, nil
}

// undisturbed calls list again if the listed objects changed during the dump.
// On a host where they change all the time the last answer is used: it contains
// everything that existed throughout.
func undisturbed[T any](list func() ([]T, error)) ([]T, error) {
	const tries = 5
	var all []T
	var err error
	for range tries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil
}
