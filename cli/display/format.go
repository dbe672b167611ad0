package display

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// A Format is a value of --format.
type Format struct {
	Name     string             // table, json or csv; "" is a template
	template *template.Template // for each object that JSON has
}

const (
	FormatTable = "table"
	FormatJSON  = "json"
	FormatCSV   = "csv"
)

// templateFunctions are the functions of templates, in addition to those of
// text/template.
var templateFunctions = template.FuncMap{
	"json": func(v any) (string, error) {
		text, err := json.Marshal(v)
		return escapeControls(string(text)), err
	},
	"join": func(all []any, between string) string {
		var texts []string
		for _, one := range all {
			texts = append(texts, fmt.Sprint(one))
		}
		return strings.Join(texts, between)
	},
}

// ParseFormat reads table, json, csv or a template. In a template \t and \n mean
// a tab and a new line, which are hard to type in a shell.
func ParseFormat(s string) (Format, error) {
	if slices.Contains([]string{FormatTable, FormatJSON, FormatCSV}, s) {
		return Format{Name: s}, nil
	}
	bad := fmt.Errorf("invalid format %q: use table, json, csv, or a Go template such as '{{.name}}'", s)
	if !strings.Contains(s, "{{") {
		return Format{}, bad
	}
	text := strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(s)
	t, err := template.New("format").Option("missingkey=zero").Funcs(templateFunctions).Parse(text)
	if err != nil {
		return Format{}, fmt.Errorf("invalid template: %s", withoutPlace(err))
	}
	return Format{template: t}, nil
}

// withoutPlace returns an error of text/template without the name of the template.
func withoutPlace(err error) string {
	return strings.TrimPrefix(err.Error(), "template: ")
}

// Check refuses a template with a key that objects of this type do not have. It
// cannot check results of functions, variables and parentheses.
func (f Format) Check(of reflect.Type) error {
	if f.template == nil {
		return nil
	}
	for _, t := range f.template.Templates() {
		if t.Tree == nil {
			continue
		}
		dot := of
		if t.Name() != f.template.Name() {
			dot = nil // whatever it is called with
		}
		if err := (keyCheck{of}).list(t.Root, dot); err != nil {
			return err
		}
	}
	return nil
}

// A keyCheck looks at the fields in a template for objects of one type.
type keyCheck struct{ root reflect.Type }

// list checks nodes with a dot of this type; nil is an unknown type.
func (k keyCheck) list(l *parse.ListNode, dot reflect.Type) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := k.node(n, dot); err != nil {
			return err
		}
	}
	return nil
}

func (k keyCheck) node(n parse.Node, dot reflect.Type) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		return k.node(n.Pipe, dot)
	case *parse.IfNode:
		return k.branch(&n.BranchNode, dot, dot)
	case *parse.WithNode:
		return k.branch(&n.BranchNode, dot, k.typeOf(n.Pipe, dot))
	case *parse.RangeNode:
		return k.branch(&n.BranchNode, dot, elementOf(k.typeOf(n.Pipe, dot)))
	case *parse.TemplateNode:
		return k.node(n.Pipe, dot)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				if err := k.node(arg, dot); err != nil {
					return err
				}
			}
		}
	case *parse.FieldNode:
		return checkKeys(n.Ident, dot)
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return checkKeys(n.Ident[1:], k.root)
		}
	case *parse.ChainNode:
		return k.node(n.Node, dot)
	}
	return nil
}

func (k keyCheck) branch(b *parse.BranchNode, dot, inside reflect.Type) error {
	return errors.Join(k.node(b.Pipe, dot), k.list(b.List, inside), k.list(b.ElseList, dot))
}

// typeOf returns the type of a pipe that is a single field; nil for others.
func (k keyCheck) typeOf(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return nil
	}
	field, ok := p.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok {
		return nil
	}
	for _, name := range field.Ident {
		dot = typeOfKey(dot, name)
	}
	return dot
}

// checkKeys follows a chain of keys, as far as the types are known.
func checkKeys(chain []string, from reflect.Type) error {
	for _, name := range chain {
		if from = plainType(from); from == nil {
			return nil
		}
		if from.Kind() == reflect.Struct && typeOfKey(from, name) == nil {
			return fmt.Errorf("no key %q: use %s", name, strings.Join(keysOf(from), ", "))
		}
		from = typeOfKey(from, name)
	}
	return nil
}

// keysOf returns the keys of the JSON of a struct.
func keysOf(of reflect.Type) []string {
	var keys []string
	for field := range of.Fields() {
		key := keyOf(field)
		switch {
		case key != "":
			keys = append(keys, key)
		case embeds(field):
			keys = append(keys, keysOf(field.Type)...)
		}
	}
	return keys
}

// keyOf returns the key of a field in JSON; "" if it has none.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if key == "-" {
		return ""
	}
	return key
}

// embeds reports whether JSON has the keys of the field as if they were own ones.
func embeds(field reflect.StructField) bool {
	plain := plainType(field.Type)
	return field.Anonymous && keyOf(field) == "" && plain == field.Type && plain.Kind() == reflect.Struct
}

// typeOfKey returns the type of the value of a key; nil if it is unknown.
func typeOfKey(of reflect.Type, key string) reflect.Type {
	if of = plainType(of); of == nil || of.Kind() != reflect.Struct {
		return elementOf(of)
	}
	for field := range of.Fields() {
		if keyOf(field) == key {
			return field.Type
		}
	}
	for field := range of.Fields() {
		if embeds(field) {
			if t := typeOfKey(field.Type, key); t != nil {
				return t
			}
		}
	}
	return nil
}

// elementOf returns the type of the elements of a list or map.
func elementOf(of reflect.Type) reflect.Type {
	if of = plainType(of); of != nil && (of.Kind() == reflect.Slice || of.Kind() == reflect.Map) {
		return of.Elem()
	}
	return nil
}

// plainType returns of without pointers; nil for a type with JSON of its own.
func plainType(of reflect.Type) reflect.Type {
	for of != nil && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of == nil {
		return nil
	}
	for _, by := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if of.Implements(by) || reflect.PointerTo(of).Implements(by) {
			return nil
		}
	}
	return of
}

// Fill executes the template for one object. The result is clean, and ends with
// a newline.
func (f Format) Fill(object any) (string, error) {
	v, err := forTemplate(reflect.ValueOf(object))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := f.template.Execute(&out, v); err != nil {
		return "", errors.New(withoutPlace(err))
	}
	return clean(out.String()) + "\n", nil
}

// forTemplate returns v with the keys of its JSON, also the keys that JSON omits
// because they are empty. null becomes the empty text, or an object without keys.
func forTemplate(v reflect.Value) (any, error) {
	if plain := plainType(v.Type()); plain == nil && v.Kind() != reflect.Pointer {
		return asDecoded(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return forTemplate(v.Elem())
		}
		if plain := plainType(v.Type()); plain != nil && plain.Kind() == reflect.Struct {
			return map[string]string(nil), nil
		}
		return absent(""), nil
	case reflect.Struct:
		object := map[string]any{}
		for field, value := range v.Fields() { // keys of an embedded struct count less than own ones
			if embeds(field) {
				one, err := forTemplate(value)
				if err != nil {
					return nil, err
				}
				maps.Copy(object, one.(map[string]any))
			}
		}
		for field, value := range v.Fields() {
			if key := keyOf(field); key != "" {
				one, err := forTemplate(value)
				if err != nil {
					return nil, err
				}
				object[key] = one
			}
		}
		return object, nil
	case reflect.Slice:
		all := []any{}
		for i := range v.Len() {
			one, err := forTemplate(v.Index(i))
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	case reflect.String:
		return v.String(), nil
	case reflect.Bool, reflect.Float64, reflect.Map: // maps are the user's labels, and counts
		return v.Interface(), nil
	}
	if v.CanInt() {
		return v.Int(), nil
	}
	if v.CanUint() {
		return v.Uint(), nil
	}
	return asDecoded(v)
}

// absent is null: the empty text, and false.
type absent string

func (absent) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// asDecoded returns v as a reader of its JSON gets it.
func asDecoded(v reflect.Value) (any, error) {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	var decoded any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a float is not written as whole numbers are
	if err := d.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return decoded, nil
}
