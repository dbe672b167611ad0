package registry

import (
	"errors"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"croft/internal/fail"
	"croft/template/transfer"
)

// failure classifies an error of a request for ref, and makes one line of it. It
// returns nil, a classified error and the end of the context unchanged.
func failure(ref Reference, err error) error {
	var said *transport.Error
	var classified *fail.Error
	if errors.As(err, &said) && !errors.As(err, &classified) {
		return refusal(ref, said)
	}
	return transfer.Failure(ref.String(), ref.host(), err)
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
