package network

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"croft/internal/vps"
)

// LinkPrefix begins the name of every host link of croft. The filters recognise
// ports by it, so they drop frames from unknown ports. It is not "ve-", because
// systemd-networkd would run DHCP and masquerading on such links.
const LinkPrefix = "cr-"

// hashed returns the hash from which croft derives the names and MACs of an
// interface. The caller increments try until the result is free.
func hashed(t Table, owner vps.Name, iface string, try int) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "croft\x00%s\x00%s\x00%s\x00%s\x00%d", t.Name, t.MAC, owner, iface, try))
}

// hostLink is "cr-", as much of the VPS's name as fits, "-", and four letters
// of a hash, so that names alike in the beginning still differ.
func hostLink(t Table, owner vps.Name, iface string, try int) string {
	sum := hashed(t, owner, iface, try)
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))[:4]
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(string(owner)))
	room := vps.MaxLinkName - len(LinkPrefix) - 1 - len(hash)
	readable = strings.Trim(readable[:min(room, len(readable))], "-")
	if readable == "" {
		return LinkPrefix + hash
	}
	return LinkPrefix + readable + "-" + hash
}

// macOf is locally administered and unicast (IEEE 802, the two low bits of
// the first octet). Its second nibble is 2 so that it is never one of the
// ranges that other tools make up (Docker 02:42, libvirt 52:54).
func macOf(t Table, owner vps.Name, iface string, try int) net.HardwareAddr {
	sum := hashed(t, owner, iface, try)
	return net.HardwareAddr{0xc2, sum[8], sum[9], sum[10], sum[11], sum[12]}
}

// linkLocal is the one link-local address that a VPS with this MAC may use:
// the modified EUI-64 one of RFC 4291, appendix A.
func LinkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0,
		mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

func checkHostLink(name string) error {
	if err := vps.CheckLinkName(name); err != nil {
		return err
	}
	if !strings.HasPrefix(name, LinkPrefix) {
		return fmt.Errorf("%q does not begin with %q", name, LinkPrefix)
	}
	return nil
}
