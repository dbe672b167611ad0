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

// errPlain is a request in plain HTTP that nobody has allowed.
var errPlain = errors.New("it uses plain HTTP")

// failure says in one line what a registry, or the way to it, would not do.
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

// refusal is what a registry said itself.
func refusal(ref Reference, said *transport.Error) error {
	switch said.StatusCode {
	case http.StatusNotFound:
		return fail.New(fail.NotFound, "%s has no %s: %w", ref.host(), ref.short(), said)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fail.New(fail.Permission, "%s denies access to %s: %w", ref.host(), ref.short(), said).
			WithHint("docker login %s, or podman login %s", ref.host(), ref.host())
	case http.StatusTooManyRequests:
		return fail.New(fail.Host, "%s has had too many requests from here: %w", ref.host(), said)
	}
	return fail.New(fail.Host, "%s: %w", ref, said)
}

// isConnection reports whether err is about the way to a registry, and not
// about what it said.
func isConnection(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrStalled) ||
		strings.Contains(err.Error(), "http2: ") || strings.Contains(err.Error(), "server closed idle connection")
}

// bare takes the method and the address off what net/http says.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
