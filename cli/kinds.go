package cli

import "croft/cli/cmdline"

// The kinds of words and values that completion knows: see offers.go.
const (
	vpsNames cmdline.Kind = cmdline.FirstKind + iota
	stoppedNames
	runningNames
	activeNames // VPSs that run or are paused
	pausedNames
	templateNames
	templateSources // templates, and the names of recipes and of built-in templates
	networkNames
	networkOrNone
	recipeNames
	shellNames
	addressesOfVPS // of the VPSs on the line
	portsOfVPS
	firewallRulesOfVPS
	firewallPolicies // CHAIN, then the policy
	routesOfVPS
	bootsOfVPS
	listColumns
	listFilters
)

// namesVPSs reports whether words of the kind are names of VPSs.
func namesVPSs(k cmdline.Kind) bool { return k >= vpsNames && k <= pausedNames }
