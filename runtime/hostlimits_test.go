package runtime

import (
	"context"
	"errors"
	"strings"
	"testing"

	"croft/runtime/hostlimits"
)

// fakeLimits are the limits of a pretend kernel.
type fakeLimits struct {
	state   hostlimits.State
	refused error
}

func (f fakeLimits) Read(bool) hostlimits.State { return f.state }

func (fakeLimits) Instances([]int) int64 { return 0 }

func (fakeLimits) KeyUsers() []hostlimits.KeyUser { return nil }

func (f fakeLimits) Raise(key string, value int64) (bool, error) {
	if f.refused == nil {
		f.state.Values[key] = value
	}
	return true, f.refused
}

// A start raises a limit that costs nothing, names the others, and leaves all of them if
// it must, or cannot.
func TestStartRaisesHostLimits(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		keep   func() (bool, error)
		refuse error
		want   int64 // of instances afterwards
		words  []string
	}{
		{"raises", nil, nil, 1024, []string{"web: raised fs.inotify.max_user_instances of the host from 20 to 1024", "950 of kernel.threads-max=1000 are in use"}},
		{"may", func() (bool, error) { return false, nil }, nil, 1024, []string{"raised", "sysctl -w kernel.threads-max=2000"}},
		{"must not", func() (bool, error) { return true, nil }, nil, 20, []string{"run: sysctl -w fs.inotify.max_user_instances=1024", "threads-max"}},
		{"does not know", func() (bool, error) { return false, errors.New("bad file") }, nil, 20, []string{"bad file", "run: sysctl -w fs.inotify.max_user_instances=1024", "threads-max"}},
		{"cannot", nil, errors.New("read-only"), 20, []string{"run: sysctl -w fs.inotify.max_user_instances=1024 (read-only)", "threads-max"}},
	} {
		m, _ := newFake(t, t.TempDir())
		limits := fakeLimits{hostlimits.State{
			Values: map[string]int64{hostlimits.InotifyInstances: 20, hostlimits.ThreadsMax: 1000}, Used: map[string]int64{hostlimits.ThreadsMax: 950},
		}, c.refuse}
		m.limits, m.keepLimits = limits, c.keep
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		var warnings []string
		m.warn = func(text string) { warnings = append(warnings, text) }
		if err := m.Start(ctx, "web", StartOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := limits.state.Values[hostlimits.InotifyInstances]; got != c.want {
			t.Errorf("%s: %d instances", c.name, got)
		}
		if len(warnings) != len(c.words) {
			t.Errorf("%s: %q", c.name, warnings)
			continue
		}
		for n, words := range c.words {
			if !strings.Contains(warnings[n], words) {
				t.Errorf("%s: %q", c.name, warnings[n])
			}
		}
	}
}
