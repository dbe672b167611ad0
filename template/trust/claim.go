package trust

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"croft/template/reference"

	"github.com/opencontainers/go-digest"
)

// The types of signed texts.
const (
	simpleType = "atomic container signature"
	cosignType = "cosign container image signature"
)

// A claim is what a signature says: the image with this digest has this name.
type claim struct {
	digest    digest.Digest
	reference string
}

// parseClaim reads a signed text (containers-signature(5)). It is strict, so that no other tool
// reads it differently.
func parseClaim(text []byte, kind string) (claim, error) {
	bad := func(err error) (claim, error) {
		return claim{}, fmt.Errorf("the signed text is damaged: %w", err)
	}
	top, err := object(text, "critical", "optional")
	if err != nil {
		return bad(err)
	}
	critical, err := object(top["critical"], "type", "image", "identity")
	if err != nil {
		return bad(err)
	}
	image, err := object(critical["image"], "docker-manifest-digest")
	if err != nil {
		return bad(err)
	}
	identity, err := object(critical["identity"], "docker-reference")
	if err != nil {
		return bad(err)
	}
	var said string
	var c claim
	for _, f := range []struct {
		from json.RawMessage
		to   *string
	}{{critical["type"], &said}, {image["docker-manifest-digest"], (*string)(&c.digest)}, {identity["docker-reference"], &c.reference}} {
		if err := json.Unmarshal(f.from, f.to); err != nil {
			return bad(err)
		}
	}
	if said != kind {
		return bad(fmt.Errorf("its type is %q and not %q", said, kind))
	}
	if err := c.digest.Validate(); err != nil {
		return bad(fmt.Errorf("digest %q: %w", c.digest, err))
	}
	return c, nil
}

// object reads a JSON object with exactly these keys; the value of "optional" may be missing.
func object(text []byte, keys ...string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, fmt.Errorf("%v in place of an object", t)
	}
	found := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := found[key]; twice || !slices.Contains(keys, key) {
			return nil, fmt.Errorf("the key %q is not expected", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		found[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after its end")
	}
	for _, key := range keys {
		if _, ok := found[key]; !ok && key != "optional" {
			return nil, fmt.Errorf("%q is missing", key)
		}
	}
	return found, nil
}

// textOf returns the text of this type that a signature of the image with this digest signs. Its name is that of ref, with a tag if there is one.
func textOf(ref *reference.Named, d digest.Digest, kind string) ([]byte, error) {
	if ref.Digest != "" {
		ref = ref.Repository()
	}
	type m = map[string]any
	return json.Marshal(m{
		"critical": m{
			"identity": m{"docker-reference": ref.String()},
			"image":    m{"docker-manifest-digest": d.String()},
			"type":     kind,
		},
		"optional": m{"creator": "croft"},
	})
}
