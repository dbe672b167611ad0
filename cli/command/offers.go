package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/internal/sizes"
	"croft/runtime"
)

// The kinds of words and values that completion knows: see offers.
const (
	VPSNames cmdline.Kind = cmdline.FirstKind + iota
	StoppedNames
	RunningNames
	ActiveNames // VPSs that run or are paused
	PausedNames
	TemplateNames
	TemplateSources // templates, and the names of recipes and of built-in templates
	NetworkNames
	NetworkOrNone
	VolumeNames
	MountSources
	MountsOfVPS
	RecipeNames
	ShellNames
	AddressesOfVPS // of the VPSs on the line
	NetworksOfVPS
	DevicesOfVPS
	PortsOfVPS
	FirewallRulesOfVPS
	FirewallPolicies // CHAIN, then the policy
	RoutesOfVPS
	BootsOfVPS
	ListColumns
	ListFilters
	StatsColumnList
	ProfileNames
	TrashNames
	SnapshotsOfVPS
	CloneSources // VPSs and NAME@SNAPSHOT
	RemoteNames  // image servers
)

// NamesVPSs reports whether words of the kind are names of VPSs.
func NamesVPSs(k cmdline.Kind) bool { return k >= VPSNames && k <= PausedNames }

// Offers are the words that one completion can offer. They come from a Manager that
// changes nothing. Without permission, for example without root, there are none.
type Offers struct {
	*App
	vpss []runtime.Info // see all
	read bool
}

// Browse returns a Manager that only reads; nil without permission, and if the command
// is for another host, which is not asked.
func (o *Offers) Browse(c *cmdline.Completion) Manager {
	if c.Global("host") != "" || o.Getenv("CROFT_HOST") != "" {
		return nil
	}
	m, err := o.Connect(runtime.Options{
		Root: o.place(c, "root", "CROFT_ROOT"), Run: o.place(c, "run-dir", "CROFT_RUN_DIR"), Command: "croft completion", ReadOnly: true,
	})
	if err != nil {
		return nil
	}
	return m
}

// place returns the directory that an option of every command names, or else the variable env.
// "" is the default.
func (o *Offers) place(c *cmdline.Completion, option, env string) string {
	return cmp.Or(c.Global(option), o.Getenv(env))
}

// All returns all VPSs. It asks once.
func (o *Offers) All(c *cmdline.Completion) []runtime.Info {
	if o.read {
		return o.vpss
	}
	o.read = true
	if m := o.Browse(c); m != nil {
		o.vpss, _ = m.List(context.Background())
	}
	return o.vpss
}

// Chosen returns the VPSs on the line; all of them if it names none.
func (o *Offers) Chosen(c *cmdline.Completion) []runtime.Info {
	words := c.Words
	if !c.Verb.TakesMany() {
		words = words[:min(1, len(words))]
	}
	if len(words) == 0 {
		return o.All(c)
	}
	var some []runtime.Info
	for _, v := range o.All(c) {
		if slices.Contains(words, string(v.Name)) {
			some = append(some, v)
		}
	}
	return some
}

// Sorted returns all in alphabetical order, each word once.
func Sorted(all []cmdline.Candidate) []cmdline.Candidate {
	slices.SortStableFunc(all, func(a, b cmdline.Candidate) int { return strings.Compare(a.Word, b.Word) })
	return slices.CompactFunc(all, func(a, b cmdline.Candidate) bool { return a.Word == b.Word })
}

// Names returns the VPSs that fit words of the kind.
func (o *Offers) Names(c *cmdline.Completion, k cmdline.Kind) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.All(c) {
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
	case StoppedNames:
		return s == runtime.StatusStopped
	case RunningNames:
		return s == runtime.StatusRunning || s == runtime.StatusStarting || s == runtime.StatusOrphaned
	case ActiveNames:
		return s != runtime.StatusStopped && s != runtime.StatusBroken
	case PausedNames:
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

// Templates returns the templates that the store has.
func (o *Offers) Templates(c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
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

// ConfigDir is the directory of the configuration that the line names.
func (o *Offers) ConfigDir(c *cmdline.Completion) string {
	return o.place(c, "config-dir", "CROFT_CONFIG_DIR")
}

// RecipeNames returns the names of the recipes.
func (o *Offers) RecipeNames(c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	recipes, _ := o.Recipes(o.ConfigDir(c)).Recipes()
	for _, r := range recipes {
		all = append(all, cmdline.Candidate{Word: r.Name, About: r.Description})
	}
	return all
}

// ImageServers returns the image servers, with the colon that a reference has.
func (o *Offers) ImageServers(c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
	if m == nil {
		return nil
	}
	var all []cmdline.Candidate
	servers, _ := m.ImageServers(context.Background())
	for _, r := range servers {
		all = append(all, cmdline.Candidate{Word: r.Name + ":", About: r.URL})
	}
	return all
}

// Networks returns the networks.
func (o *Offers) Networks(c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
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

// Volumes returns the volumes.
func (o *Offers) Volumes(c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
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
