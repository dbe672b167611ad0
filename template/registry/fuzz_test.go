package registry

import (
	"testing"

	"croft/internal/fail"
)

// A reference that is accepted has a repository, and a tag or a digest; its text means the same.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{
		"docker.io/library/debian:12", "debian", "localhost:5000/a", "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"[::1]:5000/a:b", "https://x/y", "a:b@sha256:0", "a@", "A/B",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			if fail.KindOf(err) != fail.Usage {
				t.Errorf("kind %v: %v", fail.KindOf(err), err)
			}
			return
		}
		if r.Repository() == "" || r.Tag() == "" && r.Digest() == "" {
			t.Errorf("accepted %q: %+v", text, r)
		}
		if again, err := Parse(r.String()); err != nil || again.String() != r.String() || again.Digest() != r.Digest() {
			t.Errorf("%q is %v, and that is %v, %v", text, r, again, err)
		}
	})
}
