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

// transport returns a transport for requests to host.
func (o Options) transport(host string) (http.RoundTripper, error) {
	roots, err := o.roots(host)
	if err != nil {
		return nil, err
	}
	return tlsOnly{o.Insecure, &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: o.Insecure, MinVersion: tls.VersionTLS12},
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
		return nil, errPlain
	}
	return t.next.RoundTrip(req)
}

// certsDirs returns the directories with certificates for single registries
// (containers-certs.d(5); docker has the same in a directory of its own).
func (o Options) certsDirs() []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if o.CertsDir != "" {
		dirs = append(dirs, o.CertsDir)
	}
	return dirs
}

// roots returns the trusted certificates for the registry host: those of this
// machine, and those in HOST/*.crt of certsDirs. nil means those of this machine
// alone.
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
