package runtime

import (
	"context"
	"slices"
	"testing"

	"croft/internal/vps"
)

// A limit that is higher than what the host has is a warning.
func TestLimitsBeyondTheHost(t *testing.T) {
	for _, c := range []struct {
		limits vps.Limits
		want   []string
	}{
		{vps.Limits{}, nil},
		{vps.Limits{MilliCPUs: 2000, Memory: 2 << 30}, nil},
		{vps.Limits{Memory: -1}, nil},
		{vps.Limits{MilliCPUs: 2500}, []string{"web: its limit of 2.5 CPUs is more than the 2 CPUs of this host"}},
		{vps.Limits{Memory: 900 << 30, MilliCPUs: 64000}, []string{
			"web: its limit of 64 CPUs is more than the 2 CPUs of this host",
			"web: its memory limit of 900.0 GiB is more than the 2.0 GiB of memory of this host",
		}},
	} {
		m, _ := newFake(t, t.TempDir())
		var got []string
		m.warn = func(s string) { got = append(got, s) }
		if _, err := m.Create(context.Background(), "web", CreateOptions{Template: "t", Limits: c.limits}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, warnings %q", c.limits, err, got)
		}
	}
}
