package userns

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"croft/internal/fail"
)

// The hint depends on the reason: sysctl changes only one of the limits.
func TestNoNamespaceHints(t *testing.T) {
	for why, hint := range map[error]string{
		syscall.EMFILE: "ulimit -n", syscall.EAGAIN: "ulimit -u", syscall.EPERM: "Cap", syscall.ENOSPC: "max_user_namespaces",
	} {
		err := noNamespace("for a test", why)
		if !fail.Is(err, fail.Host) || !errors.Is(err, why) || !strings.Contains(fail.HintOf(err), hint) {
			t.Errorf("%v: %v, hint %q", why, err, fail.HintOf(err))
		}
	}
}
