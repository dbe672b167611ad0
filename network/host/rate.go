package host

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/network"
)

// SetRates gives the links of running VPSs the rates of the plans, and removes
// other limits. It changes nothing that is right. A missing link, or one with
// another owner, is left out. After an error some links may have their new
// rate.
func (h *Host) SetRates(ctx context.Context, plans []network.Plan) error {
	if !slices.ContainsFunc(plans, func(p network.Plan) bool { return p.HostLink != "" }) {
		return nil
	}
	qdiscs, err := undisturbed(func() ([]netlink.Qdisc, error) { return h.nl.QdiscList(nil) })
	if err != nil {
		return classify("list queues of links", err)
	}
	for _, p := range plans {
		if err := ctx.Err(); err != nil {
			return classify("set rates", err)
		}
		if p.HostLink == "" {
			continue
		}
		link, err := h.nl.LinkByName(p.HostLink)
		if isNotFound(err) || err == nil && link.Attrs().Alias != p.Alias() {
			continue
		}
		if err != nil {
			return classify("find link "+p.HostLink, err)
		}
		if err := errors.Join(h.setGuard(p, link), h.shape(p, link, qdiscs)); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}

// shape sets the rates of p's host link. qdiscs are those that were found; nil
// if the link has just been made.
func (h *Host) shape(p network.Plan, link netlink.Link, qdiscs []netlink.Qdisc) error {
	in, out := p.Shapers()
	if err := h.setShaper(link, in, qdiscs); err != nil {
		return err
	}
	if p.Mode == network.ModeRouted && qdiscs != nil { // else it has just been hooked
		return h.addPortChains(p)
	}
	if out != nil {
		return h.shapeOut(p, link, *out, qdiscs)
	}
	if qdiscs == nil {
		return nil
	}
	return errors.Join(h.dropRedirect(link), h.removeShaperLink(p))
}

// setShaper gives link the token bucket s, or takes ours away.
func (h *Host) setShaper(link netlink.Link, s *network.Shaper, qdiscs []netlink.Qdisc) error {
	attrs := link.Attrs()
	ours := netlink.QdiscAttrs{LinkIndex: attrs.Index, Handle: netlink.MakeHandle(network.ShaperHandle, 0), Parent: netlink.HANDLE_ROOT}
	var have *netlink.Tbf
	for _, q := range qdiscs {
		if tbf, ok := q.(*netlink.Tbf); ok && tbf.LinkIndex == ours.LinkIndex && tbf.Handle == ours.Handle && tbf.Parent == ours.Parent {
			have = tbf
		}
	}
	if s == nil {
		if have == nil {
			return nil
		}
		if err := h.nl.QdiscDel(&netlink.Tbf{QdiscAttrs: ours}); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			return classify("lift the rate of "+attrs.Name, err)
		}
		return nil
	}
	bytes := s.Rate / 8
	want := &netlink.Tbf{QdiscAttrs: ours, Rate: bytes, Limit: s.Limit, Buffer: netlink.Xmittime(bytes, s.Burst)}
	if have != nil && have.Rate == want.Rate && have.Limit == want.Limit && have.Buffer == want.Buffer {
		return nil
	}
	return classifyShaping("set the rate of "+attrs.Name, h.nl.QdiscReplace(want))
}

// shapeOut sends what comes in by link through p's shaper link.
func (h *Host) shapeOut(p network.Plan, link netlink.Link, s network.Shaper, qdiscs []netlink.Qdisc) error {
	through, err := h.ensureShaperLink(p)
	if err != nil {
		return err
	}
	if err := h.setShaper(through, &s, qdiscs); err != nil {
		return err
	}
	if through.Attrs().Flags&net.FlagUp == 0 {
		if err := h.nl.LinkSetUp(through); err != nil {
			return classify("bring up "+p.ShaperLink(), err)
		}
	}
	return h.ensureRedirect(link, through)
}

func (h *Host) ensureShaperLink(p network.Plan) (netlink.Link, error) {
	name := p.ShaperLink()
	link, err := h.shaperLink(p)
	if err == nil || !isNotFound(err) {
		return link, err
	}
	loadIFB()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.TxQLen = name, -1
	if err := h.nl.LinkAdd(&netlink.Ifb{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, classifyShaping("make link "+name, err)
	}
	if link, err = h.shaperLink(p); err != nil {
		return nil, classify("find link "+name, err)
	}
	if err := h.nl.LinkSetAlias(link, p.Alias()); err != nil {
		return nil, classify("name link "+name, err)
	}
	if hasIPv6() { // it passes frames on and has none of its own
		if _, err := setSysctl(network.Sysctl{Key: "net/ipv6/conf/" + name + "/disable_ipv6", Value: "1"}); err != nil {
			return nil, err
		}
	}
	return link, nil
}

// shaperLink returns the shaper link of p. It is fail.Taken if another owner
// has a link of that name. A link without an alias belongs to croft: its
// creator was killed before it could set the alias.
func (h *Host) shaperLink(p network.Plan) (netlink.Link, error) {
	link, err := h.nl.LinkByName(p.ShaperLink())
	if err != nil {
		return nil, err
	}
	if alias := link.Attrs().Alias; link.Type() != "ifb" || alias != "" && alias != p.Alias() {
		return nil, fail.New(fail.Taken, "link %s belongs to %q", p.ShaperLink(), alias)
	}
	return link, nil
}

// removeShaperLink removes the shaper link of p. No-op if it is missing or has
// another owner. No packets may be redirected through it any more, because they
// would be dropped.
func (h *Host) removeShaperLink(p network.Plan) error {
	link, err := h.shaperLink(p)
	if isNotFound(err) || fail.Is(err, fail.Taken) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.nl.LinkDel(link); err != nil && !isNotFound(err) {
		return classify("remove link "+p.ShaperLink(), err)
	}
	return nil
}

// redirect matches every frame that comes in by link.
func redirect(link netlink.Link) *netlink.U32 {
	return &netlink.U32{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: network.RedirectPriority, Protocol: unix.ETH_P_ALL,
	}}
}

// ensureRedirect: the kernel forgets where to if the link that is sent to goes
// away, and drops everything.
func (h *Host) ensureRedirect(link, through netlink.Link) error {
	have, err := h.redirects(link)
	if err != nil {
		return err
	}
	if len(have) == 1 && have[0] == through.Attrs().Index {
		return nil
	}
	if len(have) > 0 {
		if err := h.dropRedirect(link); err != nil {
			return err
		}
	}
	name := link.Attrs().Name
	hook := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := h.nl.QdiscAdd(hook); err != nil && !errors.Is(err, unix.EEXIST) {
		return classifyShaping("shape what comes from "+name, err)
	}
	filter := redirect(link)
	filter.RedirIndex = through.Attrs().Index
	return classifyShaping("shape what comes from "+name, h.nl.FilterAdd(filter))
}

// redirects are where our filters on link send to; 0 is nowhere any more.
func (h *Host) redirects(link netlink.Link) ([]int, error) {
	filters, err := undisturbed(func() ([]netlink.Filter, error) { return h.nl.FilterList(link, netlink.HANDLE_MIN_INGRESS) })
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, classify("list filters of "+link.Attrs().Name, err)
	}
	var to []int
	for _, f := range filters {
		u32, ok := f.(*netlink.U32)
		if !ok || u32.Priority != network.RedirectPriority {
			continue
		}
		for _, a := range u32.Actions {
			if m, ok := a.(*netlink.MirredAction); ok {
				to = append(to, m.Ifindex)
			}
		}
	}
	return to, nil
}

// dropRedirect ends the redirection of packets from the VPS. No-op without one.
func (h *Host) dropRedirect(link netlink.Link) error {
	have, err := h.redirects(link)
	if err != nil || len(have) == 0 {
		return err
	}
	if err := h.nl.FilterDel(redirect(link)); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return classify("lift the rate of what comes from "+link.Attrs().Name, err)
	}
	return nil
}

// loadIFB has the module make no links of its own, which it would if the
// kernel loaded it.
func loadIFB() {
	if _, err := os.Stat("/proc/modules"); err != nil {
		return
	}
	if _, err := os.Stat("/sys/module/ifb"); err == nil {
		return
	}
	if modprobe, err := findTool("modprobe"); err == nil {
		_ = exec.Command(modprobe, "-q", "-b", "ifb", "numifbs=0").Run() // what is missing shows where it is used
	}
}

// classifyShaping: a kind of queue, filter or link that the kernel does not
// have is ENOENT or EOPNOTSUPP.
func classifyShaping(act string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return fail.New(fail.Host, "%s: the host's kernel does not support it: %w", act, err).WithHint("%s", shapingModules)
	}
	return classify(act, err)
}

// shapingModules loads what limits of rates need.
const shapingModules = "modprobe -a sch_tbf sch_ingress cls_u32 act_mirred ifb"
