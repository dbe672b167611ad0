package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/network"
)

// A link that is moved into a VPS keeps its name on the host as an alternative
// name (kernel 5.5). croft finds it again by that name, wherever and under
// whatever name it comes back. When a network namespace ends and no process
// holds it, the kernel moves hardware links to the machine's first namespace,
// under the name there or, if that is taken, as devN. Virtual links end with
// the namespace.

// moveIn moves the parent into the VPS.
func (h *Host) moveLinkIn(p network.Plan, ns *namespace) error {
	link, err := h.awaitParent(p)
	if err != nil {
		return err
	}
	if err := h.nl.LinkSetDown(link); err != nil {
		return classify("take down "+p.Parent, err)
	}
	if err := moveLink(link, int(ns.fd.Fd()), p.Interface); err != nil {
		return classify(fmt.Sprintf("move %s into %s", p.Parent, p.Owner), err)
	}
	if link, err = ns.nl.LinkByName(p.Interface); err != nil {
		return classify("find "+p.Interface, err)
	}
	if p.Parent != p.Interface && !slices.Contains(link.Attrs().AltNames, p.Parent) {
		if err := ns.nl.LinkAddAltName(link, p.Parent); err != nil {
			return classify("keep the name of "+p.Parent, err)
		}
	}
	if p.MTU > 0 {
		return classify("set the MTU of "+p.Interface, ns.nl.LinkSetMTU(link, p.MTU))
	}
	return nil
}

// comingBack is how long the kernel is given to return a link from a VPS that
// has just ended.
const comingBack = 5 * time.Second

func (h *Host) awaitParent(p network.Plan) (netlink.Link, error) {
	for deadline := time.Now().Add(comingBack); ; time.Sleep(50 * time.Millisecond) {
		if err := h.restoreLink(p); err != nil {
			return nil, err
		}
		link, err := h.parent(p)
		if !fail.Is(err, fail.State) || time.Now().After(deadline) {
			return link, err
		}
	}
}

// moveLink moves a link of the host into another network namespace and gives it its name
// there, in one request.
func moveLink(link netlink.Link, to int, name string) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link.Attrs().Index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// restoreLink gives a link that has come back from a VPS its name again. No-op
// if it is missing or has the name already.
func (h *Host) restoreLink(p network.Plan) error {
	link, err := h.nl.LinkByName(p.Parent)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return classify("find link "+p.Parent, err)
	}
	return rename(h.nl, link, p.Parent)
}

// rename gives a link a name that may be one of its alternative ones.
func rename(nl *netlink.Handle, link netlink.Link, name string) error {
	if link.Attrs().Name == name {
		return nil
	}
	if err := nl.LinkSetDown(link); err != nil {
		return classify("take down "+link.Attrs().Name, err)
	}
	if slices.Contains(link.Attrs().AltNames, name) {
		if err := nl.LinkDelAltName(link, name); err != nil {
			return classify("rename "+link.Attrs().Name, err)
		}
	}
	return classify(fmt.Sprintf("rename %s to %s", link.Attrs().Name, name), nl.LinkSetName(link, name))
}

// PinNamespace pins the network namespace of init, so that it outlives its VPS
// and a moved NIC can be returned. It is a mount at path, on a file that is
// created, in this process's mount namespace only. No-op for other modes than
// physical.
func (h *Host) PinNamespace(p network.Plan, init inside.Identity, path string) error {
	if p.Mode != network.ModePhysical || isNamespace(path) {
		return nil
	}
	ns, err := openNamespace(init)
	if err != nil {
		return err
	}
	defer ns.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep the network namespace of %s: %w", p.Owner, err)
	}
	f.Close()
	// The link leads to the open namespace itself, which is mounted nowhere else.
	from := fmt.Sprintf("/proc/self/fd/%d", ns.Fd())
	return classify("keep the network namespace of "+string(p.Owner), unix.Mount(from, path, "", unix.MS_BIND, ""))
}

// isNamespace reports whether a namespace is mounted at path.
func isNamespace(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// ReturnLink moves the link out of the namespace that is pinned at path, and
// removes the pin. Its VPS has ended. A physical link returns to the host under
// its own name. Other links end with the namespace, or are removed by Unplug.
// No-op without a pin.
func (h *Host) ReturnLink(p network.Plan, path string) error {
	if p.Mode != network.ModePhysical {
		return nil
	}
	err := h.moveLinkOut(p, path)
	if isNamespace(path) {
		err = errors.Join(err, classify("let go of the network namespace of "+string(p.Owner), unix.Unmount(path, unix.MNT_DETACH)))
	}
	if e := os.Remove(path); err == nil && e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = e
	}
	return err
}

func (h *Host) moveLinkOut(p network.Plan, path string) error {
	if !isNamespace(path) {
		return nil
	}
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return classify("open network namespace", err)
	}
	defer unix.Close(ns)
	handle, err := netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return classify("enter network namespace", err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(p.Parent) // by its alternative name: root inside may have renamed it
	if isNotFound(err) {
		link, err = handle.LinkByName(p.Interface)
	}
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return classify("find "+p.Interface, err)
	}
	if err := rename(handle, link, p.Parent); err != nil {
		return err
	}
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return classify("open the host's network namespace", err)
	}
	defer unix.Close(home)
	return classify("move "+p.Parent+" back to the host", errors.Join(
		handle.LinkSetDown(link), handle.LinkSetNsFd(link, home)))
}
