package trust

import "testing"

// A signed text or a bundle of others never ends the program, and a text that is accepted
// names an image.
func FuzzSignedTexts(f *testing.F) {
	const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f.Add([]byte(`{"critical":{"type":"cosign container image signature","image":{"docker-manifest-digest":"` + sum + `"},"identity":{"docker-reference":"example/x"}},"optional":null}`))
	f.Add([]byte(`{"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":""},"identity":{"docker-reference":""}},"optional":{}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AA=="},"tlogEntries":[{"logIndex":"1","integratedTime":"1"}]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range []string{simpleType, cosignType} {
			if c, err := parseClaim(text, kind); err == nil && c.digest.Validate() != nil {
				t.Errorf("accepted the digest %q", c.digest)
			}
		}
		if s, err := parseBundle(text); err == nil && !s.enveloped {
			t.Errorf("accepted %+v", s)
		}
	})
}
