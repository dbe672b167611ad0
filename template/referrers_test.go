package template

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/roottest"
	"croft/template/trust/cosigner"
)

const cosignReferrer = "application/vnd.dev.cosign.artifact.sig.v1+json"

// refer puts a manifest of this type into the repository that refers to the image d. The type is that
// of the config, as cosign has it for signatures.
func (h *hub) refer(t *testing.T, repo string, d oci.Descriptor, kind string, layers ...oci.Descriptor) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Subject: &d, Layers: layers}
	m.Config = h.put(t, repo, "application/octet-stream", []byte("{}"))
	m.Config.MediaType = kind
	b, err := json.Marshal(m)
	roottest.Must(t, err)
	made := h.put(t, repo, oci.MediaTypeImageManifest, b)
	made.ArtifactType = kind
	return made
}

// tagReferrers puts the list of referrers where a registry without the API has it.
func (h *hub) tagReferrers(t *testing.T, repo string, d digest.Digest, all ...oci.Descriptor) {
	t.Helper()
	b, err := json.Marshal(oci.Index{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: all})
	roottest.Must(t, err)
	h.put(t, repo+":"+d.Algorithm().String()+"-"+d.Encoded(), oci.MediaTypeImageIndex, b)
}

// layer puts a signature by the key of j into the repository.
func (j *judge) layer(t *testing.T, h *hub, repo, ref string, d digest.Digest) oci.Descriptor {
	t.Helper()
	s := cosigner.Signature{Payload: cosigner.Payload(ref, d)}
	s.Signature = cosigner.Sign(t, j.key, s.Payload)
	l := h.put(t, repo, "application/octet-stream", s.Payload)
	l.MediaType, l.Annotations = "application/vnd.dev.cosign.simplesigning.v1+json", s.Annotations()
	return l
}

// A signature that refers to the image is found by the registry's API, or by the tag for registries that
// have none.
func TestSignaturesThatReferToTheImage(t *testing.T) {
	for name, o := range map[string][]ggcr.Option{"API": {ggcr.WithReferrersSupport(true)}, "tag": nil} {
		t.Run(name, func(t *testing.T) {
			h, j := newHub(t, o...), newJudge(t)
			d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
			other := h.publish(t, "team/web:2", published{layers: [][]byte{roottest.Rootfs(t, roottest.File("x", "x"))}, kind: oci.MediaTypeImageLayer})
			ref := h.host + "/team/web:1"
			j.policy(t, teamPolicy)
			list := func(all ...oci.Descriptor) {
				t.Helper()
				if name == "tag" {
					h.tagReferrers(t, "team/web", d.Digest, all...)
				}
			}
			ofOther := h.refer(t, "team/web", d, cosignReferrer, j.layer(t, h, "team/web", h.host+"/team/web:2", other.Digest))
			sbom := h.refer(t, "team/web", d, "application/spdx+json", j.layer(t, h, "team/web", ref, d.Digest))
			list(sbom)
			j.refuses(t, "another artifact", ref, "no signature")
			list(sbom, ofOther)
			j.refuses(t, "the signature of another image", ref, "the signature is of another image, "+other.Digest.String())
			good := h.refer(t, "team/web", d, cosignReferrer, j.layer(t, h, "team/web", ref, d.Digest))
			list(sbom, ofOther, good)
			if im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil || len(im.SignedBy) != 1 {
				t.Errorf("%v, %v", im.SignedBy, err)
			}
		})
	}
}

// Bundles of cosign 3 are referrers too. They sign no name.
func TestBundlesThatReferToTheImage(t *testing.T) {
	const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	for name, o := range map[string][]ggcr.Option{"API": {ggcr.WithReferrersSupport(true)}, "tag": nil} {
		t.Run(name, func(t *testing.T) {
			h, j := newHub(t, o...), newJudge(t)
			d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
			ref := h.host + "/team/web:1"
			s := cosigner.Signature{Payload: cosigner.Statement(d.Digest)}
			s.Signature = cosigner.Sign(t, j.key, cosigner.Enveloped(s.Payload))
			l := h.put(t, "team/web", "application/octet-stream", s.Bundle(t))
			l.MediaType = bundleType
			// The API of this registry tells the type of the config alone.
			kind := map[string]string{"API": oci.MediaTypeEmptyJSON, "tag": bundleType}[name]
			notary := h.refer(t, "team/web", d, "application/vnd.cncf.notary.signature")
			h.tagReferrers(t, "team/web", d.Digest, notary)
			j.policy(t, teamPolicy)
			j.refuses(t, "a signature of another kind", ref, "it has a signature of the type application/vnd.cncf.notary.signature, which croft cannot read")
			h.tagReferrers(t, "team/web", d.Digest, h.refer(t, "team/web", d, kind, l))
			j.refuses(t, "no name", ref, "signedIdentity {type: matchDigest}")
			j.policy(t, strings.Replace(teamPolicy, "DIR/team.pub", "DIR/team.pub, signedIdentity: {type: matchDigest}", 1))
			if im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil || len(im.SignedBy) != 1 {
				t.Errorf("%v, %v", im.SignedBy, err)
			}
		})
	}
}

// What a registry answers instead of a list of referrers.
func TestBadListsOfReferrers(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
	ref := h.host + "/team/web:1"
	j.policy(t, teamPolicy)
	inner := h.inner
	for _, c := range []struct {
		status     int
		body, want string
		kind       fail.Kind
	}{
		{http.StatusOK, "x", "an invalid list of referrers", fail.Usage},
		{http.StatusOK, strings.Repeat(" ", 1<<20) + "{}", "is larger than", fail.Usage},
		{http.StatusNotFound, "", "it has no signature", fail.Permission},
		{http.StatusMethodNotAllowed, "", "it has no signature", fail.Permission},
	} {
		h.mu.Lock()
		h.inner = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if !strings.Contains(req.URL.Path, "/referrers/") {
				inner.ServeHTTP(w, req)
				return
			}
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		})
		h.mu.Unlock()
		if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %.10q: %v", c.status, c.body, err)
		}
	}
	// The tag leads to no index, or to a damaged one.
	h.put(t, "team/web:"+strings.Replace(d.Digest.String(), ":", "-", 1), oci.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
	j.refuses(t, "a manifest", ref, "it has no signature")
	h.mu.Lock()
	h.inner = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/manifests/sha256-") && !strings.HasSuffix(req.URL.Path, ".sig") {
			w.Header().Set("Content-Type", oci.MediaTypeImageIndex)
			w.Write([]byte("x"))
			return
		}
		inner.ServeHTTP(w, req)
	})
	h.mu.Unlock()
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "an invalid list of referrers") {
		t.Errorf("a damaged index: %v", err)
	}
}
