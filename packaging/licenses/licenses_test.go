package licenses

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each module whose code is in croft or in its holder has licenses that are known and
// allowed.
func TestModulesHaveAllowedLicenses(t *testing.T) {
	if _, err := os.ReadFile("../../go.mod"); err != nil { // go test then runs this again after a change of it
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-tags", "seccomp,netgo,osusergo,urfave_cli_no_docs",
		"-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}`, ".", "./runtime/holder/program")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(slices.Values(strings.Split(strings.TrimSpace(string(out)), "\n"))))
	if len(modules) < 10 {
		t.Fatalf("croft has few modules: %q", modules)
	}
	for _, line := range modules {
		module, dir, _ := strings.Cut(line, " ")
		if module == "" {
			continue
		}
		ids, err := Of(dir)
		if err != nil {
			t.Errorf("%s: %v", module, err)
			continue
		}
		if refused := Refused(module, ids); refused != nil {
			t.Errorf("%s has the license %s: croft must not be linked with it before packaging/licenses says why it may", module, strings.Join(refused, ", "))
		}
		t.Logf("%s %s", module, strings.Join(ids, " AND "))
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		module    string
		ids, want []string
	}{
		{"example.com/a", []string{"Apache-2.0", "MIT"}, nil},
		{"example.com/a", []string{"MIT", "MPL-2.0"}, []string{"MPL-2.0"}},
		{"example.com/a", []string{"GPL-3.0-only"}, []string{"GPL-3.0-only"}},
		{"github.com/cyphar/filepath-securejoin", []string{"BSD-3-Clause", "MPL-2.0"}, nil},
		{"github.com/cyphar/filepath-securejoin", []string{"AGPL-3.0-only"}, []string{"AGPL-3.0-only"}},
	} {
		if got := Refused(c.module, c.ids); !slices.Equal(got, c.want) {
			t.Errorf("Refused(%s, %v) = %v, want %v", c.module, c.ids, got, c.want)
		}
	}
}

func TestIdentify(t *testing.T) {
	const bsd2 = "Redistributions of source code must retain the above\n// copyright notice. Redistributions in binary form must reproduce"
	for _, c := range []struct {
		text string
		want []string
	}{
		{"All rights reserved.", nil},
		{"see the Apache License", nil},
		{"// Licensed under the Apache License, Version 2.0 (the “License”);", []string{"Apache-2.0"}},
		{bsd2, []string{"BSD-2-Clause"}},
		{bsd2 + " be used to endorse or promote products derived from\n   this software without specific prior written permission", []string{"BSD-3-Clause"}},
		{"# GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007\n You may convey verbatim copies", []string{"GPL-3.0-only"}},
		{"GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3", []string{"LGPL-3.0-only"}},
	} {
		if got := Identify(c.text); !slices.Equal(got, c.want) {
			t.Errorf("Identify(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

// A module without a license, and one with a text that is unknown, are errors: neither
// may pass for a module with an allowed license.
func TestOfFailsForUnknownLicenses(t *testing.T) {
	dir := t.TempDir()
	if ids, err := Of(dir); err == nil {
		t.Errorf("a directory without a license has %v", ids)
	}
	license, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "LICENSE"), string(license))
	if ids, err := Of(dir); err != nil || !slices.Equal(ids, []string{"Apache-2.0"}) {
		t.Errorf("croft's own license is %v, %v", ids, err)
	}
	write(t, filepath.Join(dir, "LICENSE.commercial"), "Pay first.")
	if ids, err := Of(dir); err == nil {
		t.Errorf("a directory with an unknown license has %v", ids)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
