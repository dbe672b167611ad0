package main

import "testing"

func TestSpecVersion(t *testing.T) {
	const goMod = "module x\n\nrequire github.com/a/b v0.1.0\n\nrequire (\n\tgithub.com/c/d v1.2.3 // indirect\n" +
		"\tgithub.com/c/d/e v9.0.0\n\tgithub.com/f/g v0.0.0-20180127040603-bd5ef7bd5415\n)\n"
	for _, test := range []struct{ path, version, revision string }{
		{"github.com/a/b", "v0.1.0", "v0.1.0"},
		{"github.com/c/d", "v1.2.3", "v1.2.3"},
		{"github.com/f/g", "v0.0.0-20180127040603-bd5ef7bd5415", "bd5ef7bd5415"},
		{"github.com/c", "", ""},
	} {
		version := required(goMod, test.path)
		if version != test.version || revision(version) != test.revision {
			t.Errorf("%s: version %q, revision %q", test.path, version, revision(version))
		}
	}
}
