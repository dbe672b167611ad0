package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"croft/internal/fail"
)

// A server that is not there is reported as that, in one line with what to look at.
func TestFailureOfAConnection(t *testing.T) {
	dial := func(cause error) error {
		return &url.Error{Op: "Get", URL: "https://images.example.org/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: cause}}
	}
	for name, c := range map[string]struct {
		err  error
		kind fail.Kind
		says string
	}{
		"a refused port":      {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), fail.Host, "cannot be reached: dial tcp: connect: connection refused"},
		"no network":          {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), fail.Host, "cannot be reached"},
		"a name":              {dial(&net.DNSError{Err: "no such host", Name: "images.example.org", IsNotFound: true}), fail.Host, "cannot be reached"},
		"no answer in time":   {dial(context.DeadlineExceeded), fail.Timeout, "does not answer"},
		"plain HTTP after it": {errors.Join(dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), ErrPlain), fail.Host, "cannot be reached"},
	} {
		err := Failure("the index", "images.example.org", fmt.Errorf("try: %w", c.err))
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), "the index: images.example.org "+c.says) || fail.HintOf(err) != networkHint {
			t.Errorf("%s: %v, hint %q", name, err, fail.HintOf(err))
		}
	}
	if err := Failure("the index", "images.example.org", ErrPlain); !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("plain HTTP alone: %v", err)
	}
}
