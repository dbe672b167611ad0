package images

import (
	"cmp"
	"encoding/json"
	"maps"
)

// BuildSettings are what a user has given for a build, beside the recipe. The next build of
// `croft template update` has them too.
type BuildSettings struct {
	Set    map[string]string `json:"set,omitempty"`    // values of the recipe's variables
	Mirror string            `json:"mirror,omitempty"` // URL of the distribution's packages
	// Snapshot is the date of the package archive: 2026-01-01 or 20260101T000000Z.
	Snapshot string `json:"snapshot,omitempty"`
}

// labelBuiltWith is the label of a config with its BuildSettings, as JSON. It is missing if there are
// none.
const labelBuiltWith = "croft.built-with"

// LabelsOfOneImage returns the labels of an image that one with more layers does not inherit.
func LabelsOfOneImage() []string {
	return []string{LabelRecipe, LabelContainerEnv, LabelIdentity, LabelBuild, labelBuiltWith}
}

// text returns the label for b, "" for none. Equal settings have equal texts.
func (b BuildSettings) text() string {
	if b.Empty() {
		return ""
	}
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // texts always have a form in JSON
	}
	return string(text)
}

// With returns b with the settings of more, which replace those of b.
func (b BuildSettings) With(more BuildSettings) BuildSettings {
	set := map[string]string{}
	maps.Copy(set, b.Set)
	maps.Copy(set, more.Set)
	return BuildSettings{Set: set, Mirror: cmp.Or(more.Mirror, b.Mirror), Snapshot: cmp.Or(more.Snapshot, b.Snapshot)}
}

// Empty reports whether b has no settings.
func (b BuildSettings) Empty() bool { return len(b.Set) == 0 && b.Mirror == "" && b.Snapshot == "" }

// parseBuildSettings reads a label. One that croft has not written gives no settings.
func parseBuildSettings(label string) (b BuildSettings) {
	if json.Unmarshal([]byte(label), &b) != nil {
		return BuildSettings{}
	}
	return b
}
