package look

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"croft/internal/vps"
)

// answers reports whether each address of the VPS answers a ping of the host.
// Addresses that the host cannot reach are left out.
func (l Looker) answers(ctx context.Context, name vps.Name) (bool, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return false, err
	}
	plugs, err := l.Tables.Plugs(v)
	if err != nil {
		return false, err
	}
	for _, p := range plugs {
		if !p.Plan.AnswersHost() {
			continue
		}
		for _, a := range p.Claim.Addresses {
			if ok, err := pings(ctx, a); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// Silent returns the addresses of the VPS that do not answer the host within a second.
// Addresses that the host cannot reach are left out.
func (l Looker) Silent(ctx context.Context, name vps.Name) ([]string, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return nil, err
	}
	plugs, err := l.Tables.Plugs(v)
	if err != nil {
		return nil, err
	}
	var silent []string
	for _, p := range plugs {
		for _, a := range p.Claim.Addresses {
			answers := !p.Plan.AnswersHost()
			for tries := 0; tries < 5 && !answers && ctx.Err() == nil; tries++ {
				if answers, err = pings(ctx, a); err != nil {
					return nil, err
				}
			}
			if !answers {
				silent = append(silent, a.String())
			}
		}
	}
	return silent, nil
}

// pings sends one echo request to a and reports whether an answer comes within
// 200 ms. The caller repeats it.
func pings(ctx context.Context, a netip.Addr) (bool, error) {
	const patience = 200 * time.Millisecond
	network, local, request, number := "ip4:icmp", "0.0.0.0", icmp.Type(ipv4.ICMPTypeEcho), 1
	if a.Is6() {
		network, local, request, number = "ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest, 58
	}
	conn, err := icmp.ListenPacket(network, local)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	id := os.Getpid() & 0xffff
	packet, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: 1}}).Marshal(nil)
	if err != nil {
		return false, err
	}
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return false, err
	}
	if _, err := conn.WriteTo(packet, &net.IPAddr{IP: a.AsSlice()}); err != nil {
		return false, nil // there is no route yet
	}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return false, nil
		}
		if who, ok := netip.AddrFromSlice(from.(*net.IPAddr).IP); !ok || who.Unmap() != a {
			continue
		}
		reply, err := icmp.ParseMessage(number, buf[:n])
		if err != nil {
			continue
		}
		echo, ok := reply.Body.(*icmp.Echo)
		if ok && echo.ID == id && (reply.Type == ipv4.ICMPTypeEchoReply || reply.Type == ipv6.ICMPTypeEchoReply) {
			return true, nil
		}
	}
}
