package state

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"croft/internal/vps"
)

// docs/state.md names every key of the files.
func TestKeysAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/state.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(doc)
	for heading, v := range map[string]any{"## vps.json": vps.VPS{}, "## run.json": Run{}, "## trash.json": Remains{}, "## snapshots/SNAPSHOT.json": Snapshot{}, "## move.json": Move{}, "## checkpoint/checkpoint.json": Checkpoint{}} {
		_, section, ok := strings.Cut(text, heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !ok {
			t.Fatalf("docs/state.md has no section %s", heading)
		}
		for _, key := range keysOf(reflect.TypeOf(v)) {
			if !strings.Contains(section, "`"+key+"`") {
				t.Errorf("%s does not name `%s`", heading, key)
			}
		}
	}
}

func keysOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	var keys []string
	for name, field := range fieldTypes(t) {
		keys = append(keys, name)
		if field != reflect.TypeFor[vps.VPS]() { // has a section of its own
			keys = append(keys, keysOf(field)...)
		}
	}
	return keys
}
