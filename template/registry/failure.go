package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"croft/internal/fail"
)

// errPlain refuses a request in plain HTTP without Options.Insecure.
var errPlain = errors.New("it uses plain HTTP")

// failure classifies an error of a request for ref, and makes one line of it. It
// returns nil, a classified error and the end of the context unchanged.
func failure(ref Reference, err error) error {
	var said *transport.Error
	var classified *fail.Error
	switch {
	case err == nil, errors.As(err, &classified), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &said):
		return refusal(ref, said)
	case errors.Is(err, context.DeadlineExceeded):
		return fail.New(fail.Timeout, "%s: %s does not answer: %w", ref, ref.host(), bare(err))
	}
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &cert):
		return fail.New(fail.Host, "%s: cannot verify the certificate of %s: %w", ref, ref.host(), cert.Err).
			WithHint("put its CA's certificate into /etc/containers/certs.d/%s/ca.crt", ref.host())
	case errors.As(err, &record), errors.Is(err, errPlain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail.New(fail.Host, "%s: %s does not speak TLS", ref, ref.host()).WithHint("--insecure allows plain HTTP, if you trust the network to it")
	case isConnection(err):
		return fail.New(fail.Host, "%s: %s cannot be reached: %w", ref, ref.host(), bare(err))
	}
	return fail.New(fail.Host, "%s: %w", ref, bare(err))
}

// refusal classifies an error that the registry returned.
func refusal(ref Reference, said *transport.Error) error {
	switch said.StatusCode {
	case http.StatusNotFound:
		return fail.New(fail.NotFound, "%s has no %s: %w", ref.host(), ref.short(), said)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fail.New(fail.Permission, "%s denies access to %s: %w", ref.host(), ref.short(), said).
			WithHint("docker login %s, or podman login %s", ref.host(), ref.host())
	case http.StatusTooManyRequests:
		return fail.New(fail.Host, "%s received too many requests from this host: %w", ref.host(), said)
	}
	return fail.New(fail.Host, "%s: %w", ref, said)
}

// isConnection reports whether err is a failure of the connection, and not an
// answer of the registry.
func isConnection(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, errStalled) ||
		strings.Contains(err.Error(), "http2: ") || strings.Contains(err.Error(), "server closed idle connection")
}

// bare removes the method and the URL from an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
