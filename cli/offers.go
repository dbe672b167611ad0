package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"croft/runtime"
)

// What there is to complete with. It is asked of a Manager that changes
// nothing. Who cannot ask it, not being root for example, gets nothing.

// browse returns a Manager that only looks, nil if there is none.
func (c *completion) browse() Manager {
	place := func(name, env string) string {
		for _, word := range slices.Backward(c.line.global) {
			if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
				return value
			}
		}
		return c.getenv(env)
	}
	m, err := c.connect(runtime.Options{
		Root: place("root", "CROFT_ROOT"), Run: place("run-dir", "CROFT_RUN_DIR"), Command: "croft completion", ReadOnly: true,
	})
	if err != nil {
		return nil
	}
	return m
}

// all are all VPSs.
func (c *completion) all() []runtime.Info {
	if c.read {
		return c.vpss
	}
	c.read = true
	if m := c.browse(); m != nil {
		c.vpss, _ = m.List(context.Background())
	}
	return c.vpss
}

// chosen are the VPSs that the line names, all of them if it names none.
func (c *completion) chosen() []runtime.Info {
	words := c.line.words
	if !takesMany(c.line.verb) {
		words = words[:min(1, len(words))]
	}
	if len(words) == 0 {
		return c.all()
	}
	var some []runtime.Info
	for _, v := range c.all() {
		if slices.Contains(words, v.Name) {
			some = append(some, v)
		}
	}
	return some
}

// named are the words of a kind.
func (c *completion) named(k kind) []candidate {
	ctx := context.Background()
	var all []candidate
	switch k {
	case vpsNames, stoppedNames, runningNames, activeNames, pausedNames:
		for _, v := range c.all() {
			if k.fits(v.Status) {
				all = append(all, candidate{v.Name, about(v)})
			}
		}
	case templateNames:
		if m := c.browse(); m != nil {
			images, _ := m.Templates(ctx)
			for _, image := range images {
				if !image.Former {
					all = append(all, candidate{image.Name, "template, " + sizeText(image.Size)})
				}
			}
		}
	case networkNames:
		if m := c.browse(); m != nil {
			networks, _ := m.Networks(ctx)
			for _, n := range networks {
				all = append(all, candidate{n.Name, strings.TrimSpace(string(n.Mode) + " " + n.IPv4 + " " + n.IPv6)})
			}
		}
	case recipeNames:
		recipes, _ := c.recipes.Recipes()
		for _, r := range recipes {
			all = append(all, candidate{r.Name, r.Description})
		}
	case shellNames:
		return bare([]string{"bash", "zsh", "fish"})
	case fileNames:
		return []candidate{{word: completeFiles}}
	case addressesOfVPS:
		for _, v := range c.chosen() {
			for _, i := range v.Interfaces[:min(1, len(v.Interfaces))] {
				for _, a := range i.Addresses {
					address, _, _ := strings.Cut(a, "/")
					all = append(all, candidate{address, "address of " + v.Name})
				}
			}
		}
	case portsOfVPS:
		for _, v := range c.chosen() {
			for n, p := range v.Published {
				all = append(all, candidate{publicationText(p), "number " + strconv.Itoa(n+1)})
			}
		}
	case firewallRulesOfVPS:
		return c.firewallRules()
	case routesOfVPS:
		return c.routes()
	case bootsOfVPS:
		return c.boots()
	}
	return all
}

// firewallRules are the words that can stand after the NAME of firewall remove:
// the numbers of the rules, and what begins the words of one.
func (c *completion) firewallRules() []candidate {
	all := []candidate{{"allow", "the rule that allow added"}, {"deny", "the rule that deny added"}}
	m := c.browse()
	if m == nil {
		return all
	}
	info, err := m.Firewall(context.Background(), c.line.words[0])
	if err != nil {
		return all
	}
	for _, r := range info.Rules {
		about := r.Action + " " + strings.Join(r.Ports, ",")
		for _, w := range []string{r.Protocol, r.From, r.To, strings.Join(r.States, ",")} {
			about = strings.TrimSpace(about + " " + w)
		}
		all = append(all, candidate{strconv.Itoa(r.Number), about + ", chain " + r.Chain})
	}
	return all
}

// routes are the words that can stand after the NAME of route remove: the
// destinations of croft's routes, and what begins the words of a rule.
func (c *completion) routes() []candidate {
	all := []candidate{{"rule", "a routing rule"}}
	m := c.browse()
	if m == nil {
		return all
	}
	info, err := m.Routing(context.Background(), c.line.words[0])
	if err != nil {
		return all
	}
	for _, r := range info.Routes {
		if r.Number > 0 {
			all = append(all, candidate{r.Destination, "number " + strconv.Itoa(r.Number)})
		}
	}
	return all
}

// boots are the newest boots of the VPS, as logs --boot takes them.
func (c *completion) boots() []candidate {
	newest, most := 0, 10
	if len(c.line.words) > 0 {
		for _, v := range c.chosen() {
			newest = v.Boot
		}
	}
	all := []candidate{{"0", "the newest boot"}}
	for n := 1; n < min(most, newest); n++ {
		all = append(all, candidate{strconv.Itoa(-n), "boot " + strconv.Itoa(newest-n)})
	}
	return all
}

// fits reports whether a command for VPSs of the kind is for one with that
// status. One whose state is unknown fits nothing but what is for all.
func (k kind) fits(s runtime.Status) bool {
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
