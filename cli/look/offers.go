package look

import (
	"slices"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
)

// Boots returns the newest boots of the VPS, as logs --boot takes them.
func Boots(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	newest, most := 0, 10
	if len(c.Words) > 0 {
		for _, v := range o.Chosen(c) {
			newest = v.Boot
		}
	}
	all := []cmdline.Candidate{{Word: "0", About: "the newest boot"}}
	for n := 1; n < min(most, newest); n++ {
		all = append(all, cmdline.Candidate{Word: strconv.Itoa(-n), About: "boot " + strconv.Itoa(newest-n)})
	}
	return all
}

// ColumnCandidates completes the last of names that commas separate.
func ColumnCandidates(typed string, all []string) []cmdline.Candidate {
	before := typed[:strings.LastIndex(typed, ",")+1]
	names := slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains(strings.Split(before, ","), name)
	})
	return cmdline.Prefixed(before, cmdline.Bare(names))
}

// Filters completes KEY=VALUE, with the values that VPSs have now.
func Filters(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	key, value, hasKey := strings.Cut(c.Typed, "=")
	if !hasKey {
		var all []string
		for _, name := range append(ColumnNames(), "label") {
			all = append(all, name+"=")
		}
		return cmdline.Bare(all)
	}
	var all []string
	for _, v := range o.All(c) {
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
