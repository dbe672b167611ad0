package egress

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"croft/internal/nsthread"
)

func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"http://mirror.example.org/debian": "mirror.example.org:80", "https://mirror.example.org": "mirror.example.org:443",
		"http://127.0.0.1:8080/x": "127.0.0.1:8080", "http://[::1]/": "[::1]:80", "127.0.0.1:3128": "127.0.0.1:3128",
		"proxy.example.org": "proxy.example.org:80", "socks5://proxy.example.org": "proxy.example.org:1080",
		"http://user:secret@proxy.example.org:3128": "proxy.example.org:3128", "": "", "file:///srv": "",
	} {
		if got := hostPort(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestCheck(t *testing.T) {
	n := New(Options{Named: []string{"http://127.0.0.1:8080/debian"}})
	for addr, allowed := range map[string]bool{
		"192.0.2.1:80": true, "10.0.0.1:80": true, "mirror.example.org:80": true, "[2001:db8::1]:80": true, "127.0.0.1:8080": true,
		"127.0.0.1:80": false, "127.9.9.9:80": false, "[::1]:80": false, "[::ffff:127.0.0.1]:80": false, "0.0.0.0:80": false, "[::]:80": false,
		"169.254.169.254:80": false, "[fe80::1]:80": false, "localhost:80": false, "224.0.0.1:80": false,
	} {
		if err := n.checkName(addr); (err == nil) != allowed {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if New(Options{}).Refused() != "" || n.Refused() == "" {
		t.Error("it does not know what it has refused")
	}
}

// inside calls f on a thread in the network, with a client that uses the proxy as a build does.
func inside(t *testing.T, n *Network, f func(get func(url string) string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	defer n.Close()
	err := nsthread.Call(func() error {
		if err := n.Enter(); err != nil {
			return err
		}
		// The client connects from this thread: its sockets are in the namespace.
		f(func(target string) string {
			through, tunnel := "http://"+address, strings.HasPrefix(target, "https:")
			c, err := net.Dial("tcp", strings.TrimPrefix(through, "http://"))
			if err != nil {
				return err.Error()
			}
			defer c.Close()
			u, _ := url.Parse(target)
			if tunnel {
				fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.Host, u.Host)
			} else {
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, u.Host)
			}
			if tunnel {
				line := make([]byte, len("HTTP/1.1 200"))
				_, _ = io.ReadFull(c, line)
				return string(line)
			}
			answer, _ := io.ReadAll(c)
			return string(answer)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A build gets what the recipe names, and nothing else of this host: neither through the
// proxy, nor beside it.
func TestNetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "package "+r.URL.Path) }))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secret") }))
	defer other.Close()
	abstract, err := net.Listen("unix", fmt.Sprintf("@croft-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndex(s.URL, ":"):] }

	n := New(Options{Named: []string{server.URL + "/debian"}})
	inside(t, n, func(get func(string) string) {
		if got := get(server.URL + "/a.deb"); !strings.HasSuffix(got, "package /a.deb") {
			t.Errorf("what the recipe names: %q", got)
		}
		if got := get("https" + strings.TrimPrefix(server.URL, "http")); !strings.HasSuffix(got, " 200") {
			t.Errorf("a tunnel to it: %q", got)
		}
		for _, target := range []string{other.URL, "http://localhost" + port(other), "http://[::ffff:127.0.0.1]" + port(other), "https://127.0.0.1" + port(other), "http://0.0.0.0" + port(other)} {
			if got := get(target); strings.Contains(got, "secret") || strings.HasSuffix(got, " 200") || got == "" {
				t.Errorf("%s: %q", target, got)
			}
		}
		if got := n.Refused(); got != strings.TrimPrefix(other.URL, "http://") {
			t.Errorf("the first that was refused is %q", got)
		}
		for network, addr := range map[string]string{"tcp": strings.TrimPrefix(server.URL, "http://"), "unix": abstract.Addr().String()} {
			if c, err := net.Dial(network, addr); err == nil {
				c.Close()
				t.Errorf("%s of the host can be reached", addr)
			}
		}
	})
}

// With a proxy of the host's, all goes through that.
func TestUpstream(t *testing.T) {
	var asked []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		fmt.Fprint(w, "from upstream")
	}))
	defer upstream.Close()
	n := New(Options{Upstream: upstream.URL})
	inside(t, n, func(get func(string) string) {
		if got := get("http://mirror.invalid/a"); !strings.HasSuffix(got, "from upstream") {
			t.Errorf("%q", got)
		}
		get("https://mirror.invalid:443")
		get("http://127.0.0.1:1/")
	})
	if got := strings.Join(asked, ", "); got != "GET http://mirror.invalid/a, CONNECT mirror.invalid:443" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

// A tunnel through a proxy of the host carries bytes in both directions, also those that come
// with the answer, and ends when both ends have ended.
func TestTunnelThroughUpstream(t *testing.T) {
	var asked []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
		if r.RequestURI != "mirror.invalid:443" {
			http.Error(w, "not here", http.StatusForbidden)
			return
		}
		c, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\nhello ")
		_, _ = io.Copy(c, buffered)
	}))
	defer upstream.Close()
	n := New(Options{Upstream: "http://user:secret@" + strings.TrimPrefix(upstream.URL, "http://")})
	ask := func(addr, send string) string {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n%s", addr, addr, send)
		first := make([]byte, len("HTTP/1.1 200 OK"))
		_, _ = io.ReadFull(c, first)
		_ = c.(*net.TCPConn).CloseWrite() // earlier, the proxy would take the client for gone
		answer, _ := io.ReadAll(c)
		return string(first) + string(answer)
	}
	inside(t, n, func(func(string) string) {
		if got := ask("mirror.invalid:443", "world"); got != "HTTP/1.1 200 OK\r\n\r\nhello world" {
			t.Errorf("%q", got)
		}
		if got := ask("other.invalid:443", ""); !strings.HasPrefix(got, "HTTP/1.1 502") || !strings.Contains(got, "refuses a tunnel to other.invalid:443: 403") {
			t.Errorf("a tunnel that the proxy refuses: %q", got)
		}
	})
	if got := strings.Join(asked, ", "); got != "CONNECT mirror.invalid:443 Basic dXNlcjpzZWNyZXQ=, CONNECT other.invalid:443 Basic dXNlcjpzZWNyZXQ=" {
		t.Errorf("the proxy was asked for %s", got)
	}
}
