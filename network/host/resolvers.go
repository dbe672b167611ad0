package host

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"croft/internal/inside"
)

// SilentResolvers asks each of servers for the name servers of the root zone, from the
// network of the VPS whose init is given, and returns those that send no answer within
// patience, in their order. Any answer counts, also a refusal.
func SilentResolvers(ctx context.Context, init inside.Identity, servers []netip.Addr, patience time.Duration) ([]netip.Addr, error) {
	silent := make([]bool, len(servers))
	sockets := make([]net.Conn, len(servers))
	err := within(init, func() error { // the sockets stay in its namespace
		for n, server := range servers {
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, 53)))
			if silent[n] = err != nil; err == nil { // there is no route to it
				sockets[n] = conn
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	var asking sync.WaitGroup
	for n, conn := range sockets {
		if conn != nil {
			asking.Go(func() {
				defer conn.Close()
				silent[n] = !answersDNS(conn, deadline)
			})
		}
	}
	asking.Wait()
	var all []netip.Addr
	for n, server := range servers {
		if silent[n] && !slices.Contains(all, server) {
			all = append(all, server)
		}
	}
	return all, nil
}

// answersDNS sends the question of SilentResolvers, three times because UDP loses
// packets, and reports whether an answer comes before the deadline.
func answersDNS(conn net.Conn, deadline time.Time) bool {
	// RFC 1035, section 4.1: a header with the id 0xc0f7 and the flag RD, and the
	// question of the type NS and the class IN for the root.
	question := []byte{0xc0, 0xf7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}
	const tries = 3
	pause := time.Until(deadline) / tries
	buf := make([]byte, 4096)
	for n := range tries {
		if _, err := conn.Write(question); err != nil {
			return false // an ICMP error
		}
		until := deadline
		if n < tries-1 {
			until = deadline.Add(-pause * time.Duration(tries-1-n))
		}
		if conn.SetReadDeadline(until) != nil {
			return false
		}
		for {
			got, err := conn.Read(buf)
			if err != nil {
				break
			}
			if got >= 12 && buf[0] == question[0] && buf[1] == question[1] && buf[2]&0x80 != 0 {
				return true
			}
		}
	}
	return false
}
