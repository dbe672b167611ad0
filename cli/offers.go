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
	case bootsOfVPS:
		return c.boots()
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
