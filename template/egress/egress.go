// Package egress is the network of a build: a namespace that has nothing but a loopback
// interface, and an HTTP proxy of croft on it. The proxy uses the host's network for the
// build's downloads. Everything else of the host's network cannot be reached: neither its
// abstract sockets, nor services on its loopback interface.
package egress

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/sys/unix"
)

// address is where the proxy listens in the build's namespace.
const address = "127.0.0.1:3128"

// Env returns the variables that have a build's programs use the proxy.
func Env() []string {
	return []string{"http_proxy=http://" + address, "https_proxy=http://" + address, "no_proxy="}
}

// Options are optional settings of New.
type Options struct {
	Upstream string   // the URL of the proxy for all downloads; "" is those of croft's environment
	Named    []string // URLs whose hosts are allowed although they are this host: mirrors and repositories
}

// A Network is the network of one build.
type Network struct {
	upstream func(*url.URL) (*url.URL, error)
	allowed  []string // HOST:PORT
	server   *http.Server

	mu      sync.Mutex
	refused string // HOST:PORT, the first one
}

// New returns a network that has nothing yet. The caller closes it.
func New(o Options) *Network {
	c := httpproxy.FromEnvironment()
	if o.Upstream != "" {
		c = &httpproxy.Config{HTTPProxy: o.Upstream, HTTPSProxy: o.Upstream}
	}
	n := &Network{upstream: c.ProxyFunc()}
	for _, text := range append([]string{c.HTTPProxy, c.HTTPSProxy}, o.Named...) {
		if at := hostPort(text); at != "" {
			n.allowed = append(n.allowed, at)
		}
	}
	n.server = &http.Server{Handler: n.handler(), ErrorLog: log.New(io.Discard, "", 0)}
	return n
}

// hostPort returns HOST:PORT of a URL, or of HOST:PORT, which proxies may be; "" is invalid.
func hostPort(text string) string {
	u, err := url.Parse(text)
	if (err != nil || u.Host == "") && !strings.Contains(text, "://") {
		u, err = url.Parse("http://" + text)
	}
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "" && u.Scheme == "socks5":
		port = "1080"
	case port == "":
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// Enter moves the calling thread into a new network namespace, and serves there. Programs
// that the thread starts have the network, until Close. The thread must be one that ends.
func (n *Network) Enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go n.server.Serve(l) // it ends with Close
	return nil
}

// Close ends the proxy and its connections.
func (n *Network) Close() { n.server.Close() }

// Refused returns the first address that the build wanted and did not get, because it is this
// host; "" is none.
func (n *Network) Refused() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused
}

// dial connects to addr, unless it becomes an address of this host alone when it is resolved.
func (n *Network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{}
	if !slices.Contains(n.allowed, addr) {
		d.Control = func(_, resolved string, _ syscall.RawConn) error { return n.check(addr, resolved) }
	}
	return d.DialContext(ctx, network, addr)
}

// checkName refuses addresses of this host that are not allowed. Names are checked when they
// are resolved, by dial, or resolved by another proxy.
func (n *Network) checkName(addr string) error {
	if slices.Contains(n.allowed, addr) {
		return nil
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "localhost" {
		return n.check(addr, net.JoinHostPort("127.0.0.1", port))
	}
	return n.check(addr, addr)
}

// check refuses addr if resolved, its HOST:PORT, is an address that is this host's alone:
// loopback, link-local, which cloud providers serve metadata on, and unspecified ones.
func (n *Network) check(addr, resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return nil // a name
	}
	ip := at.Addr().Unmap()
	if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified() && !ip.IsMulticast() {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused == "" {
		n.refused = addr
	}
	return fmt.Errorf("a build cannot connect to %s: it is this host, and the recipe does not name it", addr)
}
