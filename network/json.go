package network

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Up to schema 2 the JSON of a table contains thousands of claims. plainTable
// decodes them fast: its claims have no UnmarshalJSON method. It works only if
// the JSON has no unknown field, which is the usual case.
type plainTable struct {
	tableFields
	Claims []plainClaim `json:"claims"` // replaces tableFields.Claims
}

type (
	tableFields Table
	plainClaim  Claim
)

// MarshalJSON writes the known fields in their order, then the unknown ones.
func (t Table) MarshalJSON() ([]byte, error) { return joinObject(tableFields(t), t.extra) }

// UnmarshalJSON also keeps fields that Table does not know.
func (t *Table) UnmarshalJSON(data []byte) error {
	if known, ok := onlyKnown(data); ok {
		*t = known
		return nil
	}
	var p tableFields
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	extra, err := unknownFields(data, reflect.TypeFor[tableFields]())
	*t = Table(p)
	t.extra = extra
	return err
}

// onlyKnown decodes a table without unknown fields. It returns false if there
// is an unknown field or another error.
func onlyKnown(data []byte) (Table, bool) {
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	var p plainTable
	if err := strict.Decode(&p); err != nil || strict.More() {
		return Table{}, false
	}
	t := Table(p.tableFields)
	t.Claims = make([]Claim, len(p.Claims))
	for i, c := range p.Claims {
		t.Claims[i] = Claim(c)
	}
	return t, true
}

// MarshalJSON writes the known fields in their order, then the unknown ones.
func (c Claim) MarshalJSON() ([]byte, error) {
	type plain Claim
	return joinObject(plain(c), c.extra)
}

// UnmarshalJSON also keeps fields that Claim does not know.
func (c *Claim) UnmarshalJSON(data []byte) error {
	type plain Claim
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	extra, err := unknownFields(data, reflect.TypeFor[plain]())
	*c = Claim(p)
	c.extra = extra
	return err
}

func joinObject(known any, extra map[string]json.RawMessage) ([]byte, error) {
	data, err := json.Marshal(known)
	if err != nil || len(extra) == 0 {
		return data, err
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSuffix(data, []byte("}"))
	return append(append(data, ','), more[1:]...), nil
}

// unknownFields returns the members of the object data that are not fields of
// typ. Like encoding/json, it ignores case.
func unknownFields(data []byte, typ reflect.Type) (map[string]json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for key := range all {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && strings.EqualFold(name, key) {
				delete(all, key)
			}
		}
	}
	return all, nil
}
