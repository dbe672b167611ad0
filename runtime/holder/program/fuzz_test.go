package main

import (
	"slices"
	"strings"
	"testing"
)

// A message of init is ready exactly if one of its lines is READY=1.
func FuzzReady(f *testing.F) {
	for _, seed := range []string{"READY=1", "STATUS=x\nREADY=1\n", "READY=11", "XREADY=1", "\n\n", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if got, want := saysReady(message), slices.Contains(strings.Split(string(message), "\n"), "READY=1"); got != want {
			t.Errorf("saysReady(%q) = %v", message, got)
		}
	})
}
