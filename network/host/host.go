// Package host makes the machine match the plans of package network: links,
// addresses, filters, rules, rates. It decides nothing. Every operation may be
// repeated, and several processes may work at the same time.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/network"
)

// DefaultLockFile is held, for milliseconds, by who repairs or removes rules
// that networks share. It is never deleted.
const DefaultLockFile = "/run/croft-network.lock"

// A Host makes the machine match plans. Everything it does may be done again,
// and at the same time by other processes.
type Host struct {
	LockFile string // "" is DefaultLockFile
	Root     string // croft's own, of which one has networks in a network namespace
	Register string // the directory that says which; "" does not ask
	Seen     string // the directory for notes about rules that were right; "" keeps none

	warn func(string)
	nl   *netlink.Handle
	nft  *nftables.Conn
}

// NewHost opens netlink sockets in the network namespace of the calling
// thread. warn gets one line for a person, when something of the host's own changes; nil
// drops it. Close the Host after use.
func NewHost(warn func(string)) (*Host, error) {
	if warn == nil {
		warn = func(string) {}
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, classify("open a netlink socket", err)
	}
	nft, err := nftables.New(nftables.AsLasting())
	if err != nil {
		nl.Close()
		return nil, classify("open a netfilter socket", err)
	}
	return &Host{warn: warn, nl: nl, nft: nft}, nil
}

// Close closes the sockets.
func (h *Host) Close() error {
	h.nl.Close()
	return h.nft.CloseLasting()
}

// Seed returns what Default needs to know of this host: its routes and
// addresses, the MTU of its way out, and whether it has IPv6.
func (h *Host) Seed(name string) (network.Seed, error) {
	s := network.Seed{Name: name, NoIPv6: !hasIPv6()}
	if link, err := h.nl.LinkByName(name); err == nil && link.Attrs().Alias != (network.HostPlan{Network: name}).Alias() {
		s.Link = link.Type()
	}
	routes, err := undisturbed(func() ([]netlink.Route, error) { return h.nl.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return network.Seed{}, classify("list routes", err)
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			if p, ok := prefixOfIPNet(r.Dst.IP, r.Dst.Mask); ok {
				s.Avoid = append(s.Avoid, p)
			}
			continue
		}
		if link, err := h.nl.LinkByIndex(r.LinkIndex); err == nil && s.MTU == 0 {
			s.MTU = link.Attrs().MTU
		}
	}
	addrs, err := h.Addresses()
	if err != nil {
		return network.Seed{}, err
	}
	for _, a := range addrs {
		s.Avoid = append(s.Avoid, netip.PrefixFrom(a, a.BitLen()))
	}
	return s, nil
}

// Addresses returns every address of the host's own, loopback and link-local
// ones left out.
func (h *Host) Addresses() ([]netip.Addr, error) {
	addrs, err := undisturbed(func() ([]netlink.Addr, error) { return h.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, classify("list the host's addresses", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			out = append(out, ip.Unmap())
		}
	}
	return out, nil
}

func prefixOfIPNet(ip, mask []byte) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(ip)
	ones := 0
	for _, b := range mask {
		for ; b&0x80 != 0; b <<= 1 {
			ones++
		}
	}
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p, ok && p.IsValid()
}

// lock takes the lock that repairing shares; the returned function gives it
// back. A holder that dies gives it back too.
func (h *Host) lock(ctx context.Context) (func(), error) {
	path := h.LockFile
	if path == "" {
		path = DefaultLockFile
	}
	unlock, err := flock.Take(ctx, path, flock.HostNetwork)
	if err != nil {
		return nil, classify("lock the networks", err)
	}
	return unlock, nil
}

const procSys = "/proc/sys/"

func hasIPv6() bool {
	_, err := os.Stat(procSys + "net/ipv6/conf")
	return err == nil
}

// setSysctl writes a value that is not there already, and says if it did. The
// host keeps the routes that it has from router advertisements.
func setSysctl(s network.Sysctl) (bool, error) {
	was, err := readSysctl(s.Key)
	if err != nil || was == s.Value {
		return false, err
	}
	if s.ForwardsIPv6() {
		if err := keepRouterAdvertisements(); err != nil {
			return false, err
		}
	}
	if err := os.WriteFile(procSys+s.Key, []byte(s.Value), 0); err != nil {
		return false, classify("set sysctl "+s.Key, err)
	}
	return true, nil
}

func readSysctl(key string) (string, error) {
	data, err := os.ReadFile(procSys + key)
	if err != nil {
		return "", classify("read sysctl "+key, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// classify says what kind of failure an error of the kernel is.
func classify(act string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fail.New(fail.Timeout, "%s: %w", act, err)
	case errors.Is(err, fs.ErrPermission): // EPERM, EACCES
		return fail.New(fail.Permission, "%s: %w", act, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT),
		errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EROFS):
		return fail.New(fail.Host, "%s: the host's kernel cannot: %w", act, err)
	}
	return fmt.Errorf("%s: %w", act, err)
}
