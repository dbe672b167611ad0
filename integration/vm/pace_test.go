//go:build vm

package vm

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Limits end a test that hangs. They measure nothing: an emulated machine on a
// busy one may be a hundred times slower than a machine of its own.
const (
	// bootPatience is how long a boot may take, of which nothing is known yet.
	bootPatience = 30 * time.Minute
	// usualBoot is how long a boot takes with KVM on a quiet machine.
	usualBoot = 5 * time.Second
	// usualLimit is how long a script may be silent on such a machine: more than
	// ten times what the slowest one takes, which boots several VPSs.
	usualLimit = 5 * time.Minute
	// leastSlowness is for machines that are emulated, which become slower
	// whenever something else uses the processor.
	leastSlowness = 4
	// mostSlowness keeps a test that hangs from hanging for a day.
	mostSlowness = 12
)

// A pace is how slow a machine is, measured by its boots.
type pace struct{ slowest time.Duration }

// booted tells that a boot took so long.
func (p *pace) booted(took time.Duration) { p.slowest = max(p.slowest, took) }

// slowness is how many times slower than usual the machine is.
func (p *pace) slowness() float64 {
	return min(max(float64(p.slowest)/float64(usualBoot), leastSlowness), mostSlowness)
}

// limit is how long a script may be silent.
func (p *pace) limit() time.Duration {
	return time.Duration(float64(usualLimit) * p.slowness())
}

// environment is the beginning of every script. Scripts say "croft start --wait
// $patient" and "croft stop $patient": croft's own timeouts are for machines
// that are not emulated.
func (p *pace) environment() string {
	return fmt.Sprintf("export CROFT_TEST_SLOWNESS=%.1f patient='--timeout %ds'\n", p.slowness(), int(p.limit().Seconds()))
}

func TestPace(t *testing.T) {
	var p pace
	for _, c := range []struct {
		took time.Duration
		want float64
	}{{0, 4}, {3 * time.Second, 4}, {40 * time.Second, 8}, {20 * time.Second, 8}, {time.Hour, 12}} {
		if p.booted(c.took); p.slowness() != c.want {
			t.Errorf("after a boot of %v: %v, not %v", c.took, p.slowness(), c.want)
		}
	}
	if got := p.environment(); !strings.Contains(got, "patient='--timeout 3600s'") {
		t.Error(got)
	}
}
