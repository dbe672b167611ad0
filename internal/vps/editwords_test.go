package vps

import (
	"slices"
	"testing"
)

// The words for a log have no value of an environment variable.
func TestWords(t *testing.T) {
	got := Words(LimitMemory.Set(64), SetEnv{Text: "TOKEN=secret"}, AtRestart{SetEnv{Text: "KEY=secret"}}, AtRestart{LimitPIDs.Set(7)})
	want := []string{"memory 64", "env TOKEN", "at restart: env KEY", "at restart: pids 7"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
