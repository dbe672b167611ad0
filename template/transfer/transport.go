// Package transfer has what downloads and uploads of images by HTTP share: which
// servers are trusted, ranges of a file, connections that stand still, and one line for
// each error of a connection.
package transfer

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"croft/internal/fail"
)

// Trust says which servers are trusted.
type Trust struct {
	Insecure bool   // also allow plain HTTP and certificates that cannot be verified
	CertsDir string // another directory of certificates in addition to the usual ones, for tests; may be empty
}

// dialTimeout is how long a server may need to accept a connection. The kernel asks it four times
// meanwhile.
const dialTimeout = 10 * time.Second

// Transport returns a transport for requests to host. A directory of certificates that
// cannot be read is fail.Host, a file without certificates fail.State.
func (t Trust) Transport(host string) (http.RoundTripper, error) {
	roots, err := t.roots(host)
	if err != nil {
		return nil, err
	}
	return tlsOnly{t.Insecure, &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // a registry reads an uploaded blob again before it answers
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // a digest is that of the bytes on the wire
	}}, nil
}

// tlsOnly refuses requests in plain HTTP, which would show credentials to the
// network, unless allowPlain is set.
type tlsOnly struct {
	allowPlain bool
	next       *http.Transport
}

func (t tlsOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !t.allowPlain {
		return nil, ErrPlain
	}
	return t.next.RoundTrip(req)
}

// certsDirs returns the directories with certificates for single hosts
// (containers-certs.d(5); docker has the same in a directory of its own).
func (t Trust) certsDirs() []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if t.CertsDir != "" {
		dirs = append(dirs, t.CertsDir)
	}
	return dirs
}

// roots returns the trusted certificates for host: those of this machine, and those in
// HOST/*.crt of certsDirs. nil means those of this machine alone.
func (t Trust) roots(host string) (*x509.CertPool, error) {
	var pool *x509.CertPool
	for _, dir := range t.certsDirs() {
		files, err := filepath.Glob(filepath.Join(dir, host, "*.crt"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, fail.New(fail.Host, "read a server's certificate: %w", err)
			}
			if pool == nil {
				if pool, err = x509.SystemCertPool(); err != nil {
					return nil, fail.New(fail.Host, "read the host's certificates: %w", err)
				}
			}
			if !pool.AppendCertsFromPEM(text) {
				return nil, fail.New(fail.State, "%s holds no certificate", f)
			}
		}
	}
	return pool, nil
}
