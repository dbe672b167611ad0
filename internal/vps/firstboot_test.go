package vps_test

import (
	"slices"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestInterpreter(t *testing.T) {
	for script, want := range map[string][]string{
		"echo a\n":                        {"/bin/sh"},
		"#!/bin/bash\necho a\n":           {"/bin/bash"},
		"#! /bin/bash -e \n":              {"/bin/bash", "-e"},
		"#!/usr/bin/env\t-S python3 -u\n": {"/usr/bin/env", "-S python3 -u"},
		"# a comment\n#!/bin/bash\n":      {"/bin/sh"},
	} {
		if got := vps.Interpreter([]byte(script)); !slices.Equal(got, want) {
			t.Errorf("%q: %q", script, got)
		}
	}
}

func TestCheckFirstBoot(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0": "", "#!/bin/sh": "", " \n": "empty", "\x7fELF\x00": "zero", "#!/bin/sh\r\necho\r\n": "CR LF",
		"#!sh\n": "interpreter", "#!\n": "interpreter", strings.Repeat("#", vps.MaxFirstBoot+1): "more than",
	} {
		err := vps.CheckFirstBoot([]byte(script))
		if want == "" && err != nil || want != "" && (!fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q: %v", script, err)
		}
	}
}

// The last edit counts, also if it is deferred; another edit is none.
func TestFirstBootSet(t *testing.T) {
	script := vps.SetFirstBoot{Script: []byte("true")}
	for _, c := range []struct {
		edits []vps.Edit
		want  string
		ok    bool
	}{
		{[]vps.Edit{vps.SetHostname{}}, "", false},
		{[]vps.Edit{vps.SetFirstBoot{}, vps.AtRestart{Edit: script}}, "true", true},
		{[]vps.Edit{script, vps.SetFirstBoot{}}, "", true},
	} {
		if got, ok := vps.FirstBootSet(c.edits...); string(got) != c.want || ok != c.ok {
			t.Errorf("%v: %q, %v", c.edits, got, ok)
		}
	}
}
