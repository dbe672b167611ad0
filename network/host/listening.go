package host

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// CheckPorts returns fail.Taken for a port on which a socket of the host
// listens, and names the process: publishing would take its connections away.
func (h *Host) CheckPorts(ports []vps.Publication) error {
	for _, p := range ports {
		for _, six := range families() {
			if !p.InFamily(six) && !(six && p.InFamily(false)) { // a socket of IPv6 may listen for IPv4 too
				continue
			}
			name := p.Protocol
			if six {
				name += "6"
			}
			text, err := os.ReadFile("/proc/thread-self/net/" + name) // the caller's network
			if err != nil {
				return classify("list sockets", err)
			}
			for _, s := range listening(string(text), p.Protocol) {
				if s.takes(p) {
					return fail.New(fail.Taken, "publish %s: %s listens on %s/%s", p, processOf(s.inode), s.at, p.Protocol)
				}
			}
		}
	}
	return nil
}

// A listener is a socket that waits for others.
type listener struct {
	at    netip.AddrPort
	inode string
}

// States of sockets in /proc/net (include/net/tcp_states.h).
const (
	tcpListen = "0A"
	udpOpen   = "07" // of UDP: not connected to anybody
)

// listening reads /proc/net/tcp, tcp6, udp or udp6.
func listening(text, protocol string) []listener {
	want := tcpListen
	if protocol == "udp" {
		want = udpOpen
	}
	var all []listener
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != want {
			continue
		}
		if at, ok := parseSocketAddress(f[1]); ok {
			all = append(all, listener{at, f[9]})
		}
	}
	return all
}

// parseSocketAddress reads "0100007F:1F90": words of 32 bits in the host's
// order, and the port.
func parseSocketAddress(s string) (netip.AddrPort, bool) {
	text, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(text)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// takes reports whether the socket gets what p is about. One on :: may listen
// for IPv4 too, and /proc does not say; it nearly always does.
func (s listener) takes(p vps.Publication) bool {
	first, last, _ := vps.ParsePorts(p.Ports) // Check has checked it
	if n := s.at.Port(); n < first || last < n {
		return false
	}
	here, there := s.at.Addr(), p.HostAddr()
	if !there.IsValid() || here == netip.IPv6Unspecified() {
		return true
	}
	return here.Is4() == there.Is4() && (here == there || here.IsUnspecified() || there.IsUnspecified())
}

// processOf names the process that has a socket, as far as /proc says.
func processOf(inode string) string {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return "a socket"
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		dir := filepath.Join("/proc", p.Name())
		descriptors, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // it has ended
		}
		for _, d := range descriptors {
			if to, err := os.Readlink(filepath.Join(dir, "fd", d.Name())); err == nil && to == "socket:["+inode+"]" {
				name, _ := os.ReadFile(filepath.Join(dir, "comm"))
				return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), p.Name())
			}
		}
	}
	return "a socket of the kernel's"
}
