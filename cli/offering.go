package cli

import (
	"context"
	"croft/cli/cmdline"
	"croft/internal/sizes"
	"croft/runtime"
	"fmt"
	"slices"
	"strings"
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

func (o *offers) networks(c *cmdline.Completion) []cmdline.Candidate {
	m := o.browse(c)
	if m == nil {
		return nil
	}
	var all []cmdline.Candidate
	networks, _ := m.Networks(context.Background())
	for _, n := range networks {
		all = append(all, cmdline.Candidate{Word: n.Name, About: strings.TrimSpace(string(n.Mode) + " " + n.IPv4 + " " + n.IPv6)})
	}
	return all
}

func (o *offers) volumes(c *cmdline.Completion) []cmdline.Candidate {
	m := o.browse(c)
	if m == nil {
		return nil
	}
	var all []cmdline.Candidate
	volumes, _ := m.Volumes(context.Background())
	for _, v := range volumes {
		all = append(all, cmdline.Candidate{Word: v.Name, About: fmt.Sprintf("%d users", len(v.UsedBy))})
	}
	return all
}
