package host

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/network"
)

// setGuard gives the link of p its guard, in one step. The guard is the second
// line of defence. A kernel without the necessary features is not an error; the
// survey reports it.
func (h *Host) setGuard(p network.Plan, link netlink.Link) error {
	if !p.HasGuard() {
		return nil
	}
	marks, err := network.Assemble(p.GuardProgram())
	if err != nil {
		return err
	}
	err = h.setProgram(link, netlink.HANDLE_MIN_INGRESS, marks)
	if err == nil && p.Segment {
		err = h.setCatch(link, netlink.HANDLE_MIN_EGRESS)
	}
	return guardError(err)
}

// guardLink is setGuard for a link that has to be found. An absent one, or
// another's, is left out.
func (h *Host) guardLink(p network.Plan) error {
	if !p.HasGuard() {
		return nil
	}
	link, err := h.nl.LinkByName(p.HostLink)
	if isNotFound(err) || err == nil && link.Attrs().Alias != p.Alias() {
		return nil
	}
	if err != nil {
		return classify("find link "+p.HostLink, err)
	}
	return h.setGuard(p, link)
}

// guardBridge makes a bridge drop the packets that guards have marked.
func (h *Host) guardBridge(bridge netlink.Link) error {
	return guardError(h.setCatch(bridge, netlink.HANDLE_MIN_INGRESS))
}

func (h *Host) setCatch(link netlink.Link, hook uint32) error {
	catch, err := network.Assemble(network.CatchAllProgram())
	if err != nil {
		return err
	}
	return h.setProgram(link, hook, catch)
}

// guardError is err, unless the kernel has no such programs, or does not let us
// have them.
func guardError(err error) error {
	for _, none := range []error{unix.ENOSYS, unix.ENOENT, unix.EOPNOTSUPP, unix.EPERM, unix.EACCES} {
		if errors.Is(err, none) {
			return nil
		}
	}
	if isNotFound(err) {
		return nil
	}
	return err
}

// setProgram makes prog the one that runs at a hook of link. One that is there
// already is not touched.
func (h *Host) setProgram(link netlink.Link, hook uint32, prog network.GuardProgram) error {
	name := link.Attrs().Name
	have, err := undisturbed(func() ([]netlink.Filter, error) { return h.nl.FilterList(link, hook) })
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return classify("list filters of "+name, err)
	}
	for _, f := range have {
		if bpf, ok := f.(*netlink.BpfFilter); ok && bpf.Priority == network.GuardPriority && bpf.Name == prog.Name && bpf.DirectAction {
			return nil
		}
	}
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := h.nl.QdiscAdd(clsact); err != nil && !errors.Is(err, unix.EEXIST) {
		return classify("guard "+name, err)
	}
	fd, err := loadProgram(prog.Code)
	if err != nil {
		return classify("guard "+name+": load a program", err)
	}
	defer unix.Close(fd)
	return classify("guard "+name, h.nl.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: link.Attrs().Index, Parent: hook, Handle: 1, Priority: network.GuardPriority, Protocol: unix.ETH_P_ALL},
		Fd:          fd, Name: prog.Name, DirectAction: true,
	}))
}

// loadProgram has the kernel check a program for a link and translate it
// (bpf(2), BPF_PROG_LOAD). Close the descriptor when it has been hooked in.
func loadProgram(code []byte) (int, error) {
	license := []byte("none\x00") // it calls none of the functions that ask for one
	var pin runtime.Pinner
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	defer pin.Unpin()
	attr := struct {
		kind, count                 uint32
		code, license               uint64
		logLevel, logSize           uint32
		log                         uint64
		version, flags              uint32
		name                        [16]byte
		ifindex, expectedAttachType uint32
	}{kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(code) / 8), name: [16]byte{'c', 'r', 'o', 'f', 't'}}
	attr.code, attr.license = uint64(uintptr(unsafe.Pointer(&code[0]))), uint64(uintptr(unsafe.Pointer(&license[0])))
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
