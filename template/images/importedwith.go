package images

import "encoding/json"

// ImportSettings are what a user has given for an import of a file or directory, beside its
// path. The next import of `croft template update` has them too.
type ImportSettings struct {
	Image        string   `json:"image,omitempty"` // one of several: a name or a digest
	Distribution string   `json:"distribution,omitempty"`
	Release      string   `json:"release,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	Env          []string `json:"env,omitempty"`
	MaxSize      int64    `json:"maxSize,omitempty"` // the largest size after unpacking, in bytes
}

// Text returns the annotation for i, "" for none. Equal settings have equal texts.
func (i ImportSettings) Text() string {
	text, err := json.Marshal(i)
	if err != nil {
		panic(err) // texts and numbers always have a form in JSON
	}
	if string(text) == "{}" {
		return ""
	}
	return string(text)
}

// parseImportSettings reads an annotation. One that croft has not written gives no settings.
func parseImportSettings(text string) (i ImportSettings) {
	if json.Unmarshal([]byte(text), &i) != nil {
		return ImportSettings{}
	}
	return i
}
