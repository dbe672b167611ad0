package cli

import (
	"slices"
	"testing"

	"croft/cli/command"
	"croft/cli/settings"
)

// Each setting that create has is in the table of settings with its form, and set
// has the options that the table names.
func TestTableOfSettings(t *testing.T) {
	root := commands((&command.App{}))
	create, set := root.Verb("create"), root.Verb("set")
	notSettings := []string{"profile", "if-missing", "from", "insecure", "user", "password-stdin", "password-file"} // of the command, and not of a VPS
	for _, o := range create.Options {
		s, ok := settings.Find(o.Name)
		if !ok && !slices.Contains(notSettings, o.Name) {
			t.Errorf("--%s of create is not in the table of settings", o.Name)
		}
		if ok && o.Many != (s.Form != settings.Scalar) {
			t.Errorf("--%s of create: repeated is %t", o.Name, o.Many)
		}
	}
	var known []string
	for _, s := range settings.All() {
		if _, ok := create.Option(s.Key); !ok {
			t.Errorf("the table has %s, and create does not", s.Key)
		}
		options := []string{s.Key}
		if s.Add != "" {
			options = []string{s.Add}
		}
		if s.Remove != nil {
			name, _ := s.Remove("x")
			options = append(options, name)
		}
		for _, name := range options {
			if _, ok := set.Option(name); ok == s.Fixed {
				t.Errorf("%s: fixed is %t, and --%s of set: %t", s.Key, s.Fixed, name, ok)
			}
		}
		known = append(known, options...)
	}
	for _, o := range set.Options {
		if !slices.Contains(append(known, "file", "at-restart", "all", "user", "password-stdin", "password-file"), o.Name) {
			t.Errorf("--%s of set is not in the table of settings", o.Name)
		}
	}
}
