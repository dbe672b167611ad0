package vps

import (
	"fmt"
	"slices"
	"strings"

	"croft/internal/fail"
)

// A PublicationChoice chooses one of a VPS's published ports. With a Number it
// is the entry that publishes this one port of the host, or the entry at this
// position in the list. Otherwise it is the entry whose fields are equal; an
// empty field is equal to any.
type PublicationChoice struct {
	Number                    int
	Protocol, Host, Ports, To string
}

// String is the choice as a person types it.
func (c PublicationChoice) String() string {
	if c.Number != 0 {
		return fmt.Sprint(c.Number)
	}
	text := c.Ports
	if c.To != "" {
		text += ":" + c.To
	}
	switch {
	case strings.Contains(c.Host, ":"):
		text = "[" + c.Host + "]:" + text
	case c.Host != "":
		text = c.Host + ":" + text
	}
	if c.Protocol != "" {
		text += "/" + c.Protocol
	}
	return text
}

// in returns the position of the chosen entry in all, from 1. The errors are
// those of listed.one. A number that is the position of one entry and the port
// of another one chooses both.
func (c PublicationChoice) in(all []Publication, name Name) (int, error) {
	l := listed{what: "published port", family: "publish", vps: name, narrow: "give [ADDRESS:]PORT:PORT/PROTOCOL"}
	var found []int
	for i, p := range all {
		l.texts = append(l.texts, p.String())
		if c.matches(p) || c.Number == i+1 {
			found = append(found, i+1)
		}
	}
	return l.one(c.String(), c.Number, found)
}

func (c PublicationChoice) matches(p Publication) bool {
	if c.Number != 0 {
		return p.Ports == fmt.Sprint(c.Number)
	}
	return matches(c.Protocol, p.Protocol) && matches(c.Host, p.Host) && matches(c.Ports, p.Ports) && matches(c.To, p.To)
}

// A FirewallChoice chooses one rule of a VPS's firewall: the rule at position
// Number in the list, from 1, or with Number 0 the rule that is the same as Rule.
type FirewallChoice struct {
	Number int
	Rule   FirewallRule
}

// String is the choice as a person types it.
func (c FirewallChoice) String() string {
	if c.Number != 0 {
		return fmt.Sprint(c.Number)
	}
	return c.Rule.String()
}

// in returns the position of the chosen rule in all, from 1. The errors are
// those of listed.one.
func (c FirewallChoice) in(all []FirewallRule, name Name) (int, error) {
	l := listed{what: "rule", family: "firewall", vps: name, narrow: "give the number"}
	var found []int
	for i, r := range all {
		l.texts = append(l.texts, r.String())
		if c.Number == i+1 || c.Number == 0 && r.Same(c.Rule) {
			found = append(found, i+1)
		}
	}
	return l.one(c.String(), c.Number, found)
}

// A RouteChoice chooses one route or routing rule of a VPS: the entry at position
// Number in the list, from 1, in which the rules follow the routes. With Number
// 0 it is the route that matches Route or, if Route has no destination, the rule
// that matches Rule. An empty field matches any value.
type RouteChoice struct {
	Number int
	Route  Route
	Rule   RouteRule
}

// String is the choice in words of ip(8).
func (c RouteChoice) String() string {
	switch {
	case c.Number != 0:
		return fmt.Sprint(c.Number)
	case c.Route.Destination != "":
		return c.Route.String()
	}
	return "rule " + c.Rule.String()
}

// in returns the position of the chosen entry in all, from 1. The errors are
// those of listed.one.
func (c RouteChoice) in(all Routing, name Name) (int, error) {
	l := listed{what: "route", family: "route", vps: name, narrow: "give more options or the number"}
	var found []int
	for _, r := range all.Routes {
		l.texts = append(l.texts, r.String())
		if c.Number == 0 && c.Route.Destination != "" && r.Matches(c.Route) {
			found = append(found, len(l.texts))
		}
	}
	for _, r := range all.Rules {
		l.texts = append(l.texts, "rule "+r.String())
		if c.Number == 0 && c.Route.Destination == "" && r.Matches(c.Rule) {
			found = append(found, len(l.texts))
		}
	}
	if c.Number >= 1 && c.Number <= len(l.texts) {
		found = []int{c.Number}
	}
	return l.one(c.String(), c.Number, found)
}

// listed is a numbered list of settings of a VPS, for the errors about it.
type listed struct {
	what   string   // an entry: "published port"
	family string   // the command whose list shows it: "publish"
	vps    Name     // its name
	texts  []string // the entries
	narrow string   // how to choose one of several
}

// one returns the only number in found, the positions that choice selects. No
// position is fail.NotFound. Several are fail.Usage, and the error lists them.
// number is the position that the choice names, or 0.
func (l listed) one(choice string, number int, found []int) (int, error) {
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var candidates []string
		for _, n := range found {
			candidates = append(candidates, fmt.Sprintf("number %d (%s)", n, l.texts[n-1]))
		}
		return 0, fail.New(fail.Usage, "%s chooses several %ss: %s; %s", choice, l.what, strings.Join(candidates, ", "), l.narrow).
			WithHint("croft %s %s list", l.family, l.vps)
	case number != 0:
		return 0, fail.New(fail.NotFound, "no %s %s: %s", l.what, choice, theLast(len(l.texts))).WithHint("croft %s %s list", l.family, l.vps)
	}
	return 0, fail.New(fail.NotFound, "no %s %s", l.what, choice).WithHint("croft %s %s list", l.family, l.vps)
}

// theLast names the last number of a list.
func theLast(n int) string {
	if n == 0 {
		return "there is none"
	}
	return fmt.Sprintf("the last is %d", n)
}

// positions are the positions of the chosen entries, or the first error of in.
func positions[C any](chosen []C, in func(C) (int, error)) ([]int, error) {
	var numbers []int
	for _, c := range chosen {
		n, err := in(c)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// without returns all without the entries at these positions. The first entry has
// the position after+1.
func without[T any](all []T, numbers []int, after int) []T {
	var kept []T
	for i, x := range all {
		if !slices.Contains(numbers, after+i+1) {
			kept = append(kept, x)
		}
	}
	return kept
}
