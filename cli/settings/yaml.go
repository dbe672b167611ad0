package settings

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"croft/internal/fail"
)

// A File is settings in YAML: a mapping whose keys are those of the table.
type File struct {
	Name  string // of the file, for messages
	Words Words
	lines map[string]int
}

// At returns the place of a setting in the file: "web.yaml:3".
func (f File) At(key string) string { return fmt.Sprintf("%s:%d", f.Name, f.lines[key]) }

// Parse reads settings. fail.Usage names all that is wrong with its line: text that
// is not YAML, keys that the table does not have, a setting that is there twice, and
// a value of the wrong form. It does not check the values themselves.
func Parse(name string, data []byte) (File, error) {
	root, err := document(name, data)
	if err != nil || root == nil {
		return File{Name: name, Words: Words{}}, err
	}
	return fromNode(name, root)
}

// A Config is the file croft.yaml.
type Config struct {
	Defaults File              // settings of new VPSs
	Host     map[string]string // other settings, by their key
}

// ParseConfig reads croft.yaml: settings of new VPSs below "defaults", and the keys of
// host with one value each. Its errors are those of Parse.
func ParseConfig(name string, data []byte, host ...string) (Config, error) {
	c := Config{Defaults: File{Name: name, Words: Words{}}, Host: map[string]string{}}
	root, err := document(name, data)
	if err != nil || root == nil {
		return c, err
	}
	var bad problems
	for key, value := range members(name, root, &bad) {
		switch {
		case key.Value == "defaults":
			c.Defaults, err = fromNode(name, value)
			bad.add(err)
		case !slices.Contains(host, key.Value):
			bad.at(name, key, "unknown key %q: use %s", key.Value, strings.Join(append([]string{"defaults"}, host...), ", "))
		case value.Kind != yaml.ScalarNode:
			bad.at(name, value, "%s: use one value", key.Value)
		default:
			c.Host[key.Value] = value.Value
		}
	}
	return c, bad.error()
}

// document returns the top of a YAML document; nil if it is empty.
func document(name string, data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fail.New(fail.Usage, "%s: invalid YAML: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return doc.Content[0], nil
}

// members are the keys and values of a mapping, in order.
func members(name string, node *yaml.Node, bad *problems) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			bad.at(name, node, "use KEY: VALUE")
			return
		}
		seen := map[string]bool{}
		for n := 0; n < len(node.Content); n += 2 {
			key, value := node.Content[n], node.Content[n+1]
			switch {
			case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
				bad.at(name, key, "invalid key: use a word")
			case seen[key.Value]:
				bad.at(name, key, "%s is there twice", key.Value)
			case value.Kind == yaml.AliasNode:
				bad.at(name, value, "%s: aliases cannot be used here", key.Value)
			case !yield(key, value):
				return
			}
			seen[key.Value] = true
		}
	}
}

func fromNode(name string, root *yaml.Node) (File, error) {
	f := File{Name: name, Words: Words{}, lines: map[string]int{}}
	var bad problems
	for key, value := range members(name, root, &bad) {
		s, ok := Find(key.Value)
		if !ok {
			bad.at(name, key, "unknown setting %q", key.Value)
			continue
		}
		words, problem := s.read(value)
		if problem != "" {
			bad.at(name, value, "%s: %s", key.Value, problem)
		}
		f.Words[s.Key], f.lines[s.Key] = words, key.Line
	}
	return f, bad.error()
}

// read returns the words of a value. A value of null is none: the default.
func (s Setting) read(value *yaml.Node) (words []string, problem string) {
	switch {
	case value.Tag == "!!null":
		return nil, ""
	case s.Form == Pairs && value.Kind == yaml.MappingNode:
		var bad problems
		for key, v := range members("", value, &bad) {
			if v.Kind != yaml.ScalarNode {
				return nil, key.Value + ": use one value"
			}
			words = append(words, key.Value+"="+v.Value)
		}
		if len(bad) > 0 {
			return nil, "use KEY: VALUE, each KEY once"
		}
		return words, ""
	case s.Form != Scalar && value.Kind == yaml.SequenceNode:
		for _, v := range value.Content {
			if v.Kind != yaml.ScalarNode {
				return nil, "use a list of words"
			}
			words = append(words, word(v))
		}
		return words, ""
	case value.Kind == yaml.ScalarNode:
		return []string{word(value)}, ""
	case s.Form == Scalar:
		return nil, "use one value"
	case s.Form == Pairs:
		return nil, "use KEY: VALUE"
	}
	return nil, "use a list of words"
}

// word is the text of a value as a user of options types it: yes for true.
func word(v *yaml.Node) string {
	if v.Tag == "!!bool" {
		switch strings.ToLower(v.Value) {
		case "true", "yes", "on":
			return "yes"
		}
		return "no"
	}
	return v.Value
}

// problems are all that is wrong with a file.
type problems []string

func (p *problems) at(name string, node *yaml.Node, format string, args ...any) {
	*p = append(*p, fmt.Sprintf("%s:%d: ", name, node.Line)+fmt.Sprintf(format, args...))
}

func (p *problems) add(err error) {
	if err != nil {
		*p = append(*p, err.Error())
	}
}

func (p problems) error() error {
	if len(p) == 0 {
		return nil
	}
	return fail.New(fail.Usage, "%s", strings.Join(p, "; "))
}

// Text writes settings as YAML below the lines of about, which become comments. The
// settings that words does not have are named in a comment at the end. Parse reads
// the same settings from it.
func Text(words Words, about ...string) []byte {
	var rest []string
	for _, s := range All() {
		if len(words[s.Key]) == 0 && !s.Fixed {
			rest = append(rest, s.Key)
		}
	}
	text := Set(words, about...)
	if len(rest) > 0 {
		text = fmt.Appendf(text, "# not set: %s\n", strings.Join(rest, ", "))
	}
	return text
}

// Set is Text without the comment at the end.
func Set(words Words, about ...string) []byte {
	var b bytes.Buffer
	for _, line := range about {
		fmt.Fprintln(&b, strings.TrimRight("# "+line, " "))
	}
	root := yaml.Node{Kind: yaml.MappingNode}
	for _, s := range All() {
		if w := words[s.Key]; len(w) > 0 {
			root.Content = append(root.Content, plain(s.Key), s.node(w))
		}
	}
	if len(root.Content) > 0 {
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		_ = e.Encode(&root) // neither a buffer nor a node of scalars can fail
	}
	return b.Bytes()
}

func (s Setting) node(words []string) *yaml.Node {
	switch s.Form {
	case Scalar:
		return plain(words[0])
	case Pairs:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, w := range words {
			key, value, _ := strings.Cut(w, "=")
			node.Content = append(node.Content, quotable(key), quotable(value))
		}
		return node
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	for _, w := range words {
		node.Content = append(node.Content, plain(w))
	}
	return node
}

// plain is a word without quotes where YAML needs none. Numbers and yes are read as
// they are written.
func plain(word string) *yaml.Node {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-") == "" && word != "" && !strings.HasPrefix(word, "-") {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: word}
	}
	return quotable(word)
}

// quotable is text that the encoder quotes where it could be read as another type.
func quotable(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}
