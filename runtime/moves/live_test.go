package moves

import (
	"strings"
	"testing"
)

// Processes can be made again on a host that has all that they may use.
func TestLacks(t *testing.T) {
	here := Live{Criu: "4.1", Kernel: "6.12.9-amd64", CPU: []string{"fpu", "avx"}, Cgroups: 2}
	for words, there := range map[string]Live{
		"":                            here,
		"criu is 4.1 here and 4.2":    {Criu: "4.2", Kernel: here.Kernel, CPU: here.CPU, Cgroups: 2},
		"older than 6.12":             {Criu: "4.1", Kernel: "6.1.0", CPU: here.CPU, Cgroups: 2},
		"do not have fpu":             {Criu: "4.1", Kernel: here.Kernel, CPU: []string{"avx"}, Cgroups: 2},
		"version 2 here and 1 there":  {Criu: "4.1", Kernel: here.Kernel, CPU: here.CPU, Cgroups: 1},
		"kernel there is unknown, ol": {Criu: "4.1", Kernel: "unknown", CPU: here.CPU, Cgroups: 2},
	} {
		got := strings.Join(here.Lacks(there), "; ")
		if words == "" && got != "" || !strings.Contains(got, words) || strings.Contains(got, ";") {
			t.Errorf("%+v: %q", there, got)
		}
	}
	newer := here
	newer.Kernel, newer.CPU = "7.0.1", []string{"avx", "more", "fpu"}
	if got := here.Lacks(newer); got != nil {
		t.Errorf("a newer host: %q", got)
	}
}
