package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"croft/internal/fail"
)

// ErrPlain refuses a request in plain HTTP without Trust.Insecure.
var ErrPlain = errors.New("it uses plain HTTP")

const networkHint = "check the network and the DNS servers of this host; HTTPS_PROXY=http://HOST:PORT uses a proxy"

// Failure classifies an error of a request to host for subject, and makes one line of it.
// It returns nil, a classified error and the end of the context unchanged.
func Failure(subject, host string, err error) error {
	var classified *fail.Error
	switch {
	case err == nil, errors.As(err, &classified), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded) && isDial(err):
		return fail.New(fail.Timeout, "%s: %s does not answer: %w", subject, host, bare(err)).WithHint("%s", networkHint)
	case errors.Is(err, context.DeadlineExceeded):
		return fail.New(fail.Timeout, "%s: %s does not answer: %w", subject, host, bare(err))
	}
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &cert):
		return fail.New(fail.Host, "%s: cannot verify the certificate of %s: %w", subject, host, cert.Err).
			WithHint("put its CA's certificate into /etc/containers/certs.d/%s/ca.crt", host)
	case isDial(err): // plain HTTP was tried too, perhaps
		return fail.New(fail.Host, "%s: %s cannot be reached: %w", subject, host, bare(err)).
			WithHint("%s", networkHint)
	case errors.As(err, &record), errors.Is(err, ErrPlain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail.New(fail.Host, "%s: %s does not speak TLS", subject, host).WithHint("--insecure allows plain HTTP, if you trust the network to it")
	case IsConnection(err):
		return fail.New(fail.Host, "%s: %s cannot be reached: %w", subject, host, bare(err))
	}
	return fail.New(fail.Host, "%s: %w", subject, bare(err))
}

// A StatusError is a status of HTTP that is not a success.
type StatusError struct {
	Code   int
	Status string // with its text: 404 Not Found
}

func (e *StatusError) Error() string { return "the server answers " + e.Status }

// Check returns a StatusError unless the response has one of the statuses.
func Check(resp *http.Response, statuses ...int) error {
	if slices.Contains(statuses, resp.StatusCode) {
		return nil
	}
	return &StatusError{resp.StatusCode, resp.Status}
}

// IsBusy reports whether a server that answers with this status may have another answer
// for the same request later.
func IsBusy(code int) bool {
	return code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500
}

// IsTemporary reports whether a retry may help: the connection broke, or the server is
// busy or has an internal error.
func IsTemporary(err error) bool {
	var said *StatusError
	switch {
	case errors.Is(err, context.Canceled) && !errors.Is(err, ErrStalled), errors.Is(err, ErrPlain), errors.Is(err, fs.ErrNotExist):
		return false
	case errors.As(err, &said):
		return IsBusy(said.Code)
	}
	return IsConnection(err)
}

// IsConnection reports whether err is a failure of the connection, and not an answer of
// the server: another request may succeed.
func IsConnection(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrStalled) ||
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

// isDial reports whether there was no connection at all: the name has no address, or nothing
// answers there.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
