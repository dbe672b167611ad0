package vps

import (
	"encoding/json"
	"testing"

	"croft/internal/fail"
)

// A policy is saved and shown as the text that a user types.
func TestRestartText(t *testing.T) {
	for text, want := range map[string]Restart{
		"no": {}, "always": {When: RestartAlways}, "on-failure": {When: RestartOnFailure}, "on-failure:5": {RestartOnFailure, 5},
	} {
		r, err := ParseRestart(text)
		if err != nil || r != want || r.String() != text {
			t.Errorf("%s: %+v, %s, %v", text, r, r, err)
		}
		var v VPS
		data, err := json.Marshal(VPS{Restart: r})
		if err == nil {
			err = json.Unmarshal(data, &v)
		}
		if err != nil || v.Restart != r {
			t.Errorf("%s: read back as %s: %v", text, v.Restart, err)
		}
	}
	for _, text := range []string{"", "yes", "no:1", "always:3", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:x", "on-failure:1000001"} {
		if r, err := ParseRestart(text); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %s, %v", text, r, err)
		}
	}
}
