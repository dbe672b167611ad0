package trust

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// target returns the node that n stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// An entry is one of a map.
type entry struct{ key, value *yaml.Node }

// entries returns the entries of a map. A key that is no text or that occurs twice is a flaw.
func (p *parser) entries(n *yaml.Node) (all []entry) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		p.flaw(n, "a map is expected")
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.flaw(key, "a key is a text")
		case seen[key.Value]:
			p.flaw(key, "%q occurs twice", key.Value)
		default:
			seen[key.Value] = true
			all = append(all, entry{key, target(n.Content[i+1])})
		}
	}
	return all
}

// fields returns the fields of a map by name. One that is not known is a flaw. It is nil if n is
// no map.
func (p *parser) fields(n *yaml.Node, known ...string) map[string]*yaml.Node {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		p.flaw(n, "a map is expected")
		return nil
	}
	found := map[string]*yaml.Node{}
	for _, e := range p.entries(n) {
		if !slices.Contains(known, e.key.Value) {
			p.flaw(e.key, "unknown field %q; there are %s", e.key.Value, strings.Join(known, ", "))
			continue
		}
		found[e.key.Value] = e.value
	}
	return found
}

// peek returns the text of a field, "" if there is none.
func (p *parser) peek(n *yaml.Node, name string) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name && n.Content[i+1].Kind == yaml.ScalarNode {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// texts returns the text n, or with many those of the list n. Anything else, and an empty one, is
// a flaw.
func (p *parser) texts(n *yaml.Node, many bool) []*yaml.Node {
	all := []*yaml.Node{n}
	if many {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			p.flaw(n, "a list of texts is expected")
			return nil
		}
		all = n.Content
	}
	for _, one := range all {
		if one.Kind != yaml.ScalarNode || one.Tag != "!!str" || one.Value == "" {
			p.flaw(n, "a text is expected")
			return nil
		}
	}
	return all
}
