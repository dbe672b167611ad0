package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/internal/sizes"
	"croft/runtime"
)

// The kinds of words and values that completion knows: see offers.
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
	volumeNames
	mountSources
	mountsOfVPS
	recipeNames
	shellNames
	addressesOfVPS // of the VPSs on the line
	networksOfVPS
	devicesOfVPS
	portsOfVPS
	firewallRulesOfVPS
	firewallPolicies // CHAIN, then the policy
	routesOfVPS
	bootsOfVPS
	listColumns
	listFilters
	statsColumnList
	profileNames
	trashNames
	snapshotsOfVPS
	cloneSources // VPSs and NAME@SNAPSHOT
)

// namesVPSs reports whether words of the kind are names of VPSs.
func namesVPSs(k cmdline.Kind) bool { return k >= vpsNames && k <= pausedNames }

// complete prints the words that the last of words can become, a line each: the
// word, a tab, and a text about it.
func (a *app) complete(root *cmdline.Verb, words []string) {
	o := offers{app: a}
	for _, found := range cmdline.Complete(root, words, o.words) {
		line := found.Word
		if found.About != "" {
			line += "\t" + display.OneLine(found.About)
		}
		_, _ = io.WriteString(a.stdio.Out, line+"\n")
	}
}

// offers are the words that one completion can offer. They come from a Manager that
// changes nothing. Without permission, for example without root, there are none.
type offers struct {
	*app
	vpss []runtime.Info // see all
	read bool
}

// browse returns a Manager that only reads; nil without permission, and if the command
// is for another host, which is not asked.
func (o *offers) browse(c *cmdline.Completion) Manager {
	if c.Global("host") != "" || o.getenv("CROFT_HOST") != "" {
		return nil
	}
	place := func(option, env string) string {
		if value := c.Global(option); value != "" {
			return value
		}
		return o.getenv(env)
	}
	m, err := o.connect(runtime.Options{
		Root: place("root", "CROFT_ROOT"), Run: place("run-dir", "CROFT_RUN_DIR"), Command: "croft completion", ReadOnly: true,
	})
	if err != nil {
		return nil
	}
	return m
}

// all returns all VPSs. It asks once.
func (o *offers) all(c *cmdline.Completion) []runtime.Info {
	if o.read {
		return o.vpss
	}
	o.read = true
	if m := o.browse(c); m != nil {
		o.vpss, _ = m.List(context.Background())
	}
	return o.vpss
}

// chosen returns the VPSs on the line; all of them if it names none.
func (o *offers) chosen(c *cmdline.Completion) []runtime.Info {
	words := c.Words
	if !c.Verb.TakesMany() {
		words = words[:min(1, len(words))]
	}
	if len(words) == 0 {
		return o.all(c)
	}
	var some []runtime.Info
	for _, v := range o.all(c) {
		if slices.Contains(words, string(v.Name)) {
			some = append(some, v)
		}
	}
	return some
}

// words returns the words of a kind.
func (o *offers) words(c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate {
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
		return o.profiles(c)
	case listFilters:
		return o.filters(c)
	}
	return nil
}

// sorted returns all in alphabetical order, each word once.
func sorted(all []cmdline.Candidate) []cmdline.Candidate {
	slices.SortStableFunc(all, func(a, b cmdline.Candidate) int { return strings.Compare(a.Word, b.Word) })
	return slices.CompactFunc(all, func(a, b cmdline.Candidate) bool { return a.Word == b.Word })
}

func (o *offers) names(c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.all(c) {
		if fits(k, v.Status) {
			all = append(all, cmdline.Candidate{Word: string(v.Name), About: about(v)})
		}
	}
	return all
}

// fits reports whether a command for VPSs of the kind is for a VPS with this
// status. A VPS in an unknown state only fits commands for all VPSs.
func fits(k cmdline.Kind, s runtime.Status) bool {
	switch k {
	case stoppedNames:
		return s == runtime.StatusStopped
	case runningNames:
		return s == runtime.StatusRunning || s == runtime.StatusStarting || s == runtime.StatusOrphaned
	case activeNames:
		return s != runtime.StatusStopped && s != runtime.StatusBroken
	case pausedNames:
		return s == runtime.StatusPaused
	}
	return true
}

// about describes a VPS in a few words.
func about(v runtime.Info) string {
	if v.Template == "" {
		return string(v.Status)
	}
	return fmt.Sprintf("%s, %s", v.Status, v.Template)
}

func (o *offers) templates(c *cmdline.Completion) []cmdline.Candidate {
	m := o.browse(c)
	if m == nil {
		return nil
	}
	var all []cmdline.Candidate
	images, _ := m.Templates(context.Background())
	for _, image := range images {
		if !image.Former {
			all = append(all, cmdline.Candidate{Word: image.Name, About: "template, " + sizes.Text(image.Size)})
		}
	}
	return all
}

func (o *offers) recipeNames() []cmdline.Candidate {
	var all []cmdline.Candidate
	recipes, _ := o.recipes.Recipes()
	for _, r := range recipes {
		all = append(all, cmdline.Candidate{Word: r.Name, About: r.Description})
	}
	return all
}

// columnCandidates completes the last of names that commas separate.
func columnCandidates(typed string, all []string) []cmdline.Candidate {
	before := typed[:strings.LastIndex(typed, ",")+1]
	names := slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains(strings.Split(before, ","), name)
	})
	return cmdline.Prefixed(before, cmdline.Bare(names))
}

// filters completes KEY=VALUE, with the values that VPSs have now.
func (o *offers) filters(c *cmdline.Completion) []cmdline.Candidate {
	key, value, hasKey := strings.Cut(c.Typed, "=")
	if !hasKey {
		var all []string
		for _, name := range append(columnNames(), "label") {
			all = append(all, name+"=")
		}
		return cmdline.Bare(all)
	}
	var all []string
	for _, v := range o.all(c) {
		if key == "label" {
			for k, of := range v.Labels {
				if all = append(all, k); strings.HasPrefix(value, k) {
					all = append(all, k+"="+of)
				}
			}
		}
		for _, by := range columns() {
			if by.name == key {
				all = append(all, strings.Split(by.text(vpsRow{Info: v}), ",")...)
			}
		}
	}
	all = slices.DeleteFunc(append(all, valuesOf(key)...), func(one string) bool {
		return one == "" || strings.ContainsAny(one, " \t\n")
	})
	slices.Sort(all)
	return cmdline.Prefixed(key+"=", cmdline.Bare(slices.Compact(all)))
}
