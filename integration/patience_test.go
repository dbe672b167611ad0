//go:build integration

package integration

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slownessVariable says how many times slower than usual this machine is: the
// tests of a virtual machine measure that and set it. It is 1 if absent.
const slownessVariable = "CROFT_TEST_SLOWNESS"

// usual is how long a command or a condition may take. It ends a test that
// hangs and measures nothing: what it bounds takes a second or two.
var usual = slow(5 * time.Minute)

// slow is limit on this machine: limit where it is as fast as usual.
func slow(limit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(os.Getenv(slownessVariable), 64)
	if err != nil || n < 1 {
		n = 1
	}
	return time.Duration(float64(limit) * n)
}

// patient returns the command line args with croft's own timeouts as long as
// usual, unless args sets them. What croft has by default is meant
// for a machine that has the time for it.
func patient(args []string) []string {
	if len(args) == 0 {
		return args
	}
	has := func(options ...string) bool {
		return slices.ContainsFunc(args, func(arg string) bool {
			name, _, _ := strings.Cut(arg, "=")
			return slices.Contains(options, name)
		})
	}
	add := func(option string) {
		if !has(option) {
			args = slices.Insert(slices.Clone(args), 1, option, usual.String())
		}
	}
	switch args[0] {
	case "start":
		if has("--wait") {
			add("--timeout")
		}
	case "restart":
		if has("--wait") {
			add("--wait-timeout")
		}
		if !has("--fast") {
			add("--timeout")
		}
	case "stop":
		if !has("--fast") {
			add("--timeout")
		}
	}
	return args
}

func TestPatient(t *testing.T) {
	for line, want := range map[string]string{
		"start --wait web":                "start --timeout 5m0s --wait web",
		"start --wait=network a b":        "start --timeout 5m0s --wait=network a b",
		"start web":                       "start web",
		"start --wait --timeout 1s web":   "start --wait --timeout 1s web",
		"stop web":                        "stop --timeout 5m0s web",
		"stop --fast web":                 "stop --fast web",
		"stop --timeout=3s web":           "stop --timeout=3s web",
		"restart --wait web":              "restart --timeout 5m0s --wait-timeout 5m0s --wait web",
		"restart --fast --wait web":       "restart --wait-timeout 5m0s --fast --wait web",
		"exec web -- systemctl stop cron": "exec web -- systemctl stop cron",
	} {
		want = strings.ReplaceAll(want, "5m0s", usual.String())
		if got := strings.Join(patient(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %s, not %s", line, got, want)
		}
	}
}
