package registry

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

// transport is how requests to host are sent.
func (o Options) transport(host string) (http.RoundTripper, error) {
	roots, err := o.roots(host)
	if err != nil {
		return nil, err
	}
	return guarded{o.Insecure, &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: o.Insecure, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 5 * time.Minute, // a registry reads what it was sent again
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // digests are of what was sent
	}}, nil
}

// guarded sends nothing in the clear, credentials least of all, unless it may.
type guarded struct {
	plain bool
	to    *http.Transport
}

func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.plain {
		return nil, errPlain
	}
	return g.to.RoundTrip(req)
}

// certsDirs are where certificates for single registries are kept
// (containers-certs.d(5); docker has the same below its own directory).
func (o Options) certsDirs() []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if o.CertsDir != "" {
		dirs = append(dirs, o.CertsDir)
	}
	return dirs
}

// roots are the certificates that vouch for host: the host's own, and those in
// HOST/*.crt of certsDirs. nil is the host's own alone.
func (o Options) roots(host string) (*x509.CertPool, error) {
	var pool *x509.CertPool
	for _, dir := range o.certsDirs() {
		files, err := filepath.Glob(filepath.Join(dir, host, "*.crt"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, fail.New(fail.Host, "read a registry's certificate: %w", err)
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
