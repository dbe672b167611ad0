package network

import (
	"strings"
	"testing"
)

// What repairs a network's rules is one change for each table, with the guards
// in it: it is read by one iptables-restore.
func TestRepairOfRulesIsOneChange(t *testing.T) {
	want := NewHostPlan(fixed()).RulesOf(false)
	text := RepairText(ParseSavedRules(""), "croft0", want)
	for table, n := range map[string]int{"*filter\n": 1, "*nat\n": 1, "COMMIT\n": 2, ":CROFT-FORWARD - [0:0]\n": 1, "-I FORWARD 1 -j CROFT-FORWARD\n": 1} {
		if got := strings.Count(text, table); got != n {
			t.Errorf("%d times %q in\n%s", got, table, text)
		}
	}
	there := ParseSavedRules("*filter\n:CROFT-FORWARD - [0:0]\n-A FORWARD -j CROFT-FORWARD\n-A FORWARD -j CROFT-FORWARD\n" +
		"-A CROFT-FORWARD -i croft0 -m comment --comment croft0 -j ACCEPT\n-A CROFT-FORWARD -i other -m comment --comment other -j ACCEPT\nCOMMIT\n")
	text = RepairText(there, "croft0", want)
	if strings.Contains(text, "other") || strings.Contains(text, ":CROFT-FORWARD") || strings.Count(text, "-D FORWARD -j CROFT-FORWARD\n") != 1 ||
		!strings.Contains(text, "-D CROFT-FORWARD -i croft0 -m comment --comment croft0 -j ACCEPT\n") {
		t.Errorf("beside another network:\n%s", text)
	}
}
