package cli

import (
	"io"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/look"
	"croft/cli/networks"
	"croft/cli/options"
	"croft/cli/snapshots"
)

// complete prints the words that the last of typed can become, a line each: the
// word, a tab, and a text about it.
func complete(a *command.App, root *cmdline.Verb, typed []string) {
	for _, found := range cmdline.Complete(root, typed, words(a)) {
		line := found.Word
		if found.About != "" {
			line += "\t" + display.OneLine(found.About)
		}
		_, _ = io.WriteString(a.Stdio.Out, line+"\n")
	}
}

// offered returns the words of a kind.
func offered(o *command.Offers, c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate {
	switch k {
	case command.VPSNames, command.StoppedNames, command.RunningNames, command.ActiveNames, command.PausedNames:
		return o.Names(c, k)
	case command.TemplateNames:
		return o.Templates(c)
	case command.TemplateSources:
		if isPath(c.Typed) {
			return []cmdline.Candidate{{Word: cmdline.FilesWord}}
		}
		return command.Sorted(slices.Concat(o.Templates(c), o.RecipeNames(c), []cmdline.Candidate{{Word: "busybox", About: "a small system in croft"}}))
	case command.VolumeNames:
		return o.Volumes(c)
	case command.MountSources:
		return options.MountSources(o, c)
	case command.MountsOfVPS:
		return options.MountTargets(o, c)
	case command.NetworkNames:
		return o.Networks(c)
	case command.NetworkOrNone:
		return command.Sorted(append(o.Networks(c), cmdline.Candidate{Word: "none", About: "loopback only"}))
	case command.RemoteNames:
		return o.ImageServers(c)
	case command.RecipeNames:
		return o.RecipeNames(c)
	case command.TrashNames:
		return trash(o, c)
	case command.SnapshotsOfVPS:
		return snapshots.Snapshots(o, c)
	case command.CloneSources:
		return cloneSources(o, c)
	case command.ShellNames:
		return cmdline.Bare([]string{"bash", "zsh", "fish"})
	case command.NetworksOfVPS:
		return networks.Attached(o, c)
	case command.AddressesOfVPS:
		return networks.Addresses(o, c)
	case command.DevicesOfVPS:
		return options.Devices(o, c)
	case command.PortsOfVPS:
		return networks.Ports(o, c)
	case command.FirewallRulesOfVPS:
		return networks.FirewallRules(o, c)
	case command.FirewallPolicies:
		return networks.PolicyWords(len(c.Words) - 1)
	case command.RoutesOfVPS:
		return networks.Routes(o, c)
	case command.BootsOfVPS:
		return command.Sorted(look.Boots(o, c))
	case command.ListColumns:
		return look.ColumnCandidates(c.Typed, look.ColumnNames())
	case command.StatsColumnList:
		return look.ColumnCandidates(c.Typed, look.StatsColumnNames())
	case command.ProfileNames:
		return options.ProfileWords(o, c)
	case command.ListFilters:
		return look.Filters(o, c)
	}
	return nil
}

// isPath reports whether a word that names a template begins like a file.
func isPath(word string) bool {
	return strings.HasPrefix(word, "/") || strings.HasPrefix(word, ".") || strings.HasPrefix(word, "~")
}

// words returns what gives the words of each kind for one completion.
func words(a *command.App) func(*cmdline.Completion, cmdline.Kind) []cmdline.Candidate {
	o := &command.Offers{App: a}
	return func(c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate { return offered(o, c, k) }
}
