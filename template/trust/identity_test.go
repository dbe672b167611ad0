package trust

import "testing"

func TestIdentity(t *testing.T) {
	const d = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	exact, either, repository := Identity{Kind: MatchExact}, Identity{Kind: MatchRepoDigestOrExact}, Identity{Kind: MatchRepository}
	remap := Identity{Kind: RemapIdentity, Prefix: "mirror.example/vendor", ToPrefix: "vendor.example"}
	for _, c := range []struct {
		identity      Identity
		image, signed string
		want          bool
	}{
		{exact, "r.example/web:1", "r.example/web:1", true},
		{exact, "r.example/web:1", "r.example/web:2", false},
		{exact, "r.example/web" + d, "r.example/web:1", false},
		{exact, "r.example/web" + d, "r.example/web" + d, true},
		{either, "r.example/web:1", "r.example/web:1", true},
		{either, "r.example/web:1", "r.example/web:2", false},
		{either, "r.example/web:1", "r.example/web", false}, // as cosign signs
		{either, "r.example/web" + d, "r.example/web:2", true},
		{either, "r.example/web:1" + d, "r.example/web:2", true},
		{either, "r.example/web" + d, "r.example/db:2", false},
		{either, "docker.io/library/web:1", "web:1", true},
		{repository, "r.example/web:1", "r.example/web:2", true},
		{repository, "r.example/web:1", "r.example/web", true},
		{repository, "r.example/web:1", "r.example/web/more:1", false},
		{repository, "r.example/web:1", "s.example/web:1", false},
		{Identity{Kind: ExactReference, Reference: "r.example/web:1"}, "mirror.example/x:7", "r.example/web:1", true},
		{Identity{Kind: ExactReference, Reference: "r.example/web:1"}, "mirror.example/x:7", "r.example/web:2", false},
		{Identity{Kind: ExactReference, Reference: "r.example/web:1"}, "", "r.example/web:1", true},
		{Identity{Kind: ExactRepository, Reference: "r.example/web"}, "mirror.example/x:7", "r.example/web:2", true},
		{Identity{Kind: ExactRepository, Reference: "r.example/web"}, "mirror.example/x:7", "mirror.example/x:7", false},
		{remap, "mirror.example/vendor/web:1", "vendor.example/web:1", true},
		{remap, "mirror.example/vendor/web:1", "vendor.example/web:2", false},
		{remap, "mirror.example/vendor/web:1", "mirror.example/vendor/web:1", false},
		{remap, "mirror.example/vendors/web:1", "mirror.example/vendors/web:1", true},
		{either, "", "r.example/web:1", false},
		{either, "r.example/web:1", "No Name", false},
	} {
		im := Image{}
		if c.image != "" {
			var err error
			if im.Name, err = ParseReference(c.image); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.identity.Check(im.Name, c.signed); (err == nil) != c.want {
			t.Errorf("%s: image %s, signature of %s: %v", c.identity.Kind, c.image, c.signed, err)
		}
	}
}
