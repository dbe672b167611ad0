package cli

import (
	"io"
	"slices"

	"croft/cli/cmdline"
	"croft/cli/display"
)

// complete prints the words that the last of typed can become, a line each: the
// word, a tab, and a text about it.
func (a *app) complete(root *cmdline.Verb, typed []string) {
	for _, found := range cmdline.Complete(root, typed, words(a)) {
		line := found.Word
		if found.About != "" {
			line += "\t" + display.OneLine(found.About)
		}
		_, _ = io.WriteString(a.stdio.Out, line+"\n")
	}
}

// offered returns the words of a kind.
func offered(o *offers, c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate {
	switch k {
	case vpsNames, stoppedNames, runningNames, activeNames, pausedNames:
		return o.names(c, k)
	case templateNames:
		return o.templates(c)
	case templateSources:
		return sorted(slices.Concat(o.templates(c), o.recipeNames(), []cmdline.Candidate{{Word: "busybox", About: "a small system in croft"}}))
	case volumeNames:
		return o.volumes(c)
	case mountSources:
		return o.mountSources(c)
	case mountsOfVPS:
		return o.mountTargets(c)
	case networkNames:
		return o.networks(c)
	case networkOrNone:
		return sorted(append(o.networks(c), cmdline.Candidate{Word: "none", About: "loopback only"}))
	case recipeNames:
		return o.recipeNames()
	case trashNames:
		return o.trash(c)
	case snapshotsOfVPS:
		return o.snapshots(c)
	case cloneSources:
		return o.cloneSources(c)
	case shellNames:
		return cmdline.Bare([]string{"bash", "zsh", "fish"})
	case networksOfVPS:
		return o.networksOf(c)
	case addressesOfVPS:
		return o.addresses(c)
	case devicesOfVPS:
		return o.devices(c)
	case portsOfVPS:
		return o.ports(c)
	case firewallRulesOfVPS:
		return o.firewallRules(c)
	case firewallPolicies:
		return firewallPolicyWords(len(c.Words) - 1)
	case routesOfVPS:
		return o.routes(c)
	case bootsOfVPS:
		return sorted(o.boots(c))
	case listColumns:
		return columnCandidates(c.Typed, columnNames())
	case statsColumnList:
		return columnCandidates(c.Typed, statsColumnNames())
	case profileNames:
		return o.profileWords(c)
	case listFilters:
		return o.filters(c)
	}
	return nil
}

// words returns what gives the words of each kind for one completion.
func words(a *app) func(*cmdline.Completion, cmdline.Kind) []cmdline.Candidate {
	o := &offers{app: a}
	return func(c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate { return offered(o, c, k) }
}
