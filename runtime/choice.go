package runtime

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

// in returns the position of the chosen entry in all, from 1. If there is none
// the error is fail.NotFound. If there are several it is fail.Usage and names
// their numbers. A number that is the position of one entry and the port of
// another one is such a case.
func (c PublicationChoice) in(all []Publication, vps string) (int, error) {
	var found []int
	for i, p := range all {
		if c.matches(p) {
			found = append(found, i+1)
		}
	}
	if c.Number >= 1 && c.Number <= len(all) && !slices.Contains(found, c.Number) {
		found = append(found, c.Number)
		slices.Sort(found)
	}
	hint := fmt.Sprintf("croft publish %s list", vps)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return 0, fail.New(fail.Usage, "%s chooses several published ports: %s; give [ADDRESS:]PORT:PORT/PROTOCOL", c, numberList(found)).WithHint("%s", hint)
	case c.Number != 0:
		return 0, fail.New(fail.NotFound, "no published port %s: %s", c, theLast(len(all))).WithHint("%s", hint)
	}
	return 0, fail.New(fail.NotFound, "no published port %s", c).WithHint("%s", hint)
}

func (c PublicationChoice) matches(p Publication) bool {
	if c.Number != 0 {
		return p.Ports == fmt.Sprint(c.Number)
	}
	return same(c.Protocol, p.Protocol) && same(c.Host, p.Host) && same(c.Ports, p.Ports) && same(c.To, p.To)
}

// same reports whether a field is as chosen; the zero value chooses any.
func same[T comparable](chosen, is T) bool {
	var anything T
	return chosen == anything || chosen == is
}

// numberList is "number 1, number 3".
func numberList(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, fmt.Sprintf("number %d", n))
	}
	return strings.Join(words, ", ")
}
