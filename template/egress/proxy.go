package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"golang.org/x/net/proxy"
)

// A proxy of net/http. It is not goproxy, whose package parses keys and compiles patterns
// before main: that took a fifth of the time of each process of croft until main.

// handler serves requests to the proxy: tunnels, and requests for whole URLs.
func (n *Network) handler() http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, // the request is for a whole URL already
		Transport: &http.Transport{
			Proxy:              func(r *http.Request) (*url.URL, error) { return n.upstream(r.URL) },
			DialContext:        n.dial,
			DisableCompression: true,
		},
		ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			n.tunnel(w, r)
			return
		}
		if r.URL.Scheme != "http" || r.URL.Host == "" {
			http.Error(w, "this is a proxy: it serves whole URLs of http, and tunnels", http.StatusBadRequest)
			return
		}
		if err := n.checkName(hostPort(r.URL.String())); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	})
}

// tunnel connects the client with the address that it asks for, until one of both ends.
func (n *Network) tunnel(w http.ResponseWriter, r *http.Request) {
	to, err := n.connect(r.Context(), r.URL.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "this connection cannot become a tunnel", http.StatusInternalServerError)
		return
	}
	client, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { copyUntilEnd(to, buffered.Reader) })
	both.Go(func() { copyUntilEnd(client, to) })
	both.Wait()
}

// copyUntilEnd copies from one end of a tunnel to the other, and tells the other end that no
// more comes.
func copyUntilEnd(to net.Conn, from io.Reader) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	to.Close()
}

// connect connects to addr, through the proxy for it if there is one.
func (n *Network) connect(ctx context.Context, addr string) (net.Conn, error) {
	through, err := n.upstream(&url.URL{Scheme: "https", Host: addr})
	if err != nil {
		return nil, err
	}
	if through == nil {
		return n.dial(ctx, "tcp", addr)
	}
	if err := n.checkName(addr); err != nil {
		return nil, err
	}
	if through.Scheme != "http" && through.Scheme != "https" {
		dialer, err := proxy.FromURL(through, dialer{n, ctx}) // socks5
		if err != nil {
			return nil, err
		}
		return dialer.Dial("tcp", addr)
	}
	c, err := n.dial(ctx, "tcp", hostPort(through.String()))
	if err != nil {
		return nil, err
	}
	if through.Scheme == "https" {
		c = tls.Client(c, &tls.Config{ServerName: through.Hostname()})
	}
	t, err := askForTunnel(c, through, addr)
	if err != nil {
		c.Close()
	}
	return t, err
}

// dialer connects to a proxy of the host.
type dialer struct {
	n   *Network
	ctx context.Context
}

func (d dialer) Dial(network, addr string) (net.Conn, error) { return d.n.dial(d.ctx, network, addr) }

// askForTunnel has the proxy at the other end of c connect to addr (RFC 9110, section 9.3.6).
func askForTunnel(c net.Conn, through *url.URL, addr string) (net.Conn, error) {
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if u := through.User; u != nil {
		password, _ := u.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := ask.Write(c); err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, ask)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("the proxy %s refuses a tunnel to %s: %s", through.Host, addr, answer.Status)
	}
	return &readAhead{c, r}, nil
}

// readAhead is a connection of which a part has been read already.
type readAhead struct {
	net.Conn
	r io.Reader
}

func (c *readAhead) Read(b []byte) (int, error) { return c.r.Read(b) }
