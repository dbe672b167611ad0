package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// decode decodes data, the content of the state file at path, into v. It is
// fail.State if the file is corrupt or was written by a newer croft. This is
// the oldest schema; when there is a second one, it is upgraded here.
func decode(data []byte, path string, v any) error {
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return corrupt(path, err)
	}
	switch {
	case head.Schema == nil || *head.Schema < 1:
		return fail.New(fail.State, "%s is corrupt: it has no schema number", path)
	case *head.Schema > Schema:
		return fail.New(fail.State, "%s was written by a newer croft (schema %d)", path, *head.Schema)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return corrupt(path, err)
	}
	return nil
}

// decodeKnown is decode for a file whose schema is read into *schema: where that
// is one this croft knows, the file is parsed once only.
func decodeKnown(data []byte, path string, v any, schema *int) error {
	if err := json.Unmarshal(data, v); err == nil && 1 <= *schema && *schema <= Schema {
		return nil
	}
	return decode(data, path, v)
}

// decodeVPS decodes the vps.json of name. The result has the name of the
// directory, whatever the file says.
func decodeVPS(data []byte, name vps.Name, path string) (vps.VPS, error) {
	var v vps.VPS
	if err := decodeKnown(data, path, &v, &v.Schema); err != nil {
		return vps.VPS{}, err
	}
	if uint64(v.IDs.First)+uint64(v.IDs.Size) > math.MaxInt32 {
		return vps.VPS{}, fail.New(fail.State, "%s is corrupt: ids %d+%d are out of range", path, v.IDs.First, v.IDs.Size)
	}
	v.Name = name
	if v.RenamedFrom != "" {
		if _, err := vps.ParseName(string(v.RenamedFrom)); err != nil {
			return vps.VPS{}, corrupt(path, err)
		}
	}
	return v, nil
}

// corrupt returns the error for JSON at path that cannot be read, in one line.
// A decoder quotes the text that it failed at, which can be anything.
func corrupt(path string, err error) error {
	line := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	return &fail.Error{Kind: fail.State, Msg: fmt.Sprintf("%s is corrupt: %s", path, line), Err: err}
}

// encode returns the struct v as the JSON of a file: indented by two spaces,
// with a newline at the end. Members of old, the former content of the file,
// that v has no field for are kept, at the end of their object: a newer croft
// or a user wrote them. An old that is not a JSON object is ignored.
func encode(v any, old []byte) ([]byte, error) {
	raw, err := marshal(v)
	if err != nil {
		return nil, err
	}
	if json.Valid(old) {
		raw = keepUnknown(raw, old, reflect.TypeOf(v))
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// marshal does not escape <, > and &, because these files are not web pages.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// A member is one key and value of a JSON object, in the order of its text.
type member struct {
	key   string
	value json.RawMessage
}

// keepUnknown returns fresh, the JSON of a t, with the members of old that no
// field of t is called after. Structs inside are treated likewise, those in
// slices matched by their name.
func keepUnknown(fresh, old []byte, t reflect.Type) []byte {
	switch t.Kind() {
	case reflect.Pointer:
		return keepUnknown(fresh, old, t.Elem())
	case reflect.Slice:
		return keepUnknownOfEach(fresh, old, t.Elem())
	case reflect.Struct:
	default:
		return fresh
	}
	now, ok1 := members(fresh)
	before, ok2 := members(old)
	if !ok1 || !ok2 {
		return fresh
	}
	fields := fieldTypes(t)
	for i, m := range now {
		if j := slices.IndexFunc(before, func(b member) bool { return b.key == m.key }); j >= 0 {
			now[i].value = keepUnknown(m.value, before[j].value, fields[m.key])
		}
	}
	for _, m := range before {
		if !isField(m.key, fields) {
			now = append(now, m)
		}
	}
	return object(now)
}

// keepUnknownOfEach is keepUnknown for the elements of a slice.
func keepUnknownOfEach(fresh, old []byte, t reflect.Type) []byte {
	if _, ok := fieldTypes(t)["name"]; !ok {
		return fresh
	}
	var now, before []json.RawMessage
	if json.Unmarshal(fresh, &now) != nil || json.Unmarshal(old, &before) != nil {
		return fresh
	}
	for i := range now {
		j := slices.IndexFunc(before, func(b json.RawMessage) bool {
			return nameOf(b) != "" && nameOf(b) == nameOf(now[i])
		})
		if j >= 0 {
			now[i] = keepUnknown(now[i], before[j], t)
		}
	}
	out, err := marshal(now)
	if err != nil {
		return fresh
	}
	return out
}

func nameOf(raw json.RawMessage) string {
	var named struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.Name
}

// isField reports whether a decoder would read key into one of the fields. A
// decoder ignores the case of letters, and so does this: an unknown "NAME" that
// is kept would be read as name.
func isField(key string, fields map[string]reflect.Type) bool {
	for name := range fields {
		if strings.EqualFold(name, key) {
			return true
		}
	}
	return false
}

// fieldTypes returns the JSON fields of a struct type, and no fields for types
// that write their own JSON, such as time.Time.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return types
	}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			types[name] = f.Type
		}
	}
	return types
}

// members takes a JSON object apart. A key that is there twice counts with its
// last value, as it does for a decoder.
func members(raw []byte) ([]member, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var all []member
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, false
		}
		var m member
		m.key, _ = t.(string)
		if err := dec.Decode(&m.value); err != nil {
			return nil, false
		}
		all = slices.DeleteFunc(all, func(a member) bool { return a.key == m.key })
		all = append(all, m)
	}
	return all, true
}

// object puts members together again.
func object(all []member) []byte {
	var out bytes.Buffer
	for i, m := range all {
		if i == 0 {
			out.WriteByte('{')
		} else {
			out.WriteByte(',')
		}
		key, err := marshal(m.key)
		if err != nil {
			key = []byte(`""`) // a string always is JSON
		}
		out.Write(bytes.TrimSpace(key))
		out.WriteByte(':')
		out.Write(m.value)
	}
	if len(all) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes()
}
