package template

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/backups"
	"croft/template/registry"
	"croft/template/roottest"
	"croft/template/trust"
)

// signingKey returns the key of j as croft reads it.
func (j *judge) signingKey(t *testing.T) *trust.Key {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(j.key)
	roottest.Must(t, err)
	key, err := trust.ReadSigningKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	roottest.Must(t, err)
	return &key
}

// signaturesOf returns the signatures in a registry of the image d.
func (h *hub) signaturesOf(t *testing.T, repo, d string) oci.Manifest {
	t.Helper()
	ref, err := registry.Parse(h.host + "/" + repo + ":" + strings.Replace(d, ":", "-", 1) + ".sig")
	roottest.Must(t, err)
	s := newStore(t, Options{})
	r, err := registry.Open(t.Context(), ref, registry.Options{Trust: s.trust(true)})
	roottest.Must(t, err)
	b, _, err := r.Manifest(t.Context(), "", 1<<20)
	roottest.Must(t, err)
	var m oci.Manifest
	roottest.Must(t, json.Unmarshal(b, &m))
	return m
}

// An image that is signed when it is pushed passes the policy with its key, and no other key. Several
// keys can sign it.
func TestPushSigned(t *testing.T) {
	h, one, two := newHub(t), newJudge(t), newJudge(t)
	one.policy(t, teamPolicy)
	two.policy(t, teamPolicy)
	s := newStore(t, Options{})
	im := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	ref := h.host + "/team/web:1"
	push := func(at string, j *judge) {
		t.Helper()
		roottest.Must(t, s.Push(t.Context(), "web", at, PushOptions{Insecure: true, SignKey: j.signingKey(t)}))
	}
	push(ref, one)
	if got, err := one.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil || got.Digest != im.Digest || len(got.SignedBy) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	two.refuses(t, "with another key", ref, "not by a key of the policy")
	push(ref, one) // again: there is nothing new
	if m := h.signaturesOf(t, "team/web", im.Digest); len(m.Layers) != 1 || m.Config.MediaType != oci.MediaTypeImageConfig || m.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" {
		t.Errorf("signatures %+v", m)
	}
	push(ref, two)
	push(h.host+"/team/web:2", one)
	if m := h.signaturesOf(t, "team/web", im.Digest); len(m.Layers) != 3 {
		t.Errorf("%d signatures of three", len(m.Layers))
	}
	for _, j := range []*judge{one, two} {
		if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil {
			t.Error(err)
		}
	}
	two.refuses(t, "another tag", h.host+"/team/web:2", "the signature is of "+ref)
	// What croft does not understand it does not replace.
	h.put(t, "team/web:"+strings.Replace(im.Digest, ":", "-", 1)+".sig", registry.DockerManifest, []byte(`{"schemaVersion":2}`))
	if err := s.Push(t.Context(), "web", ref, PushOptions{Insecure: true, SignKey: one.signingKey(t)}); !fail.Is(err, fail.State) {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestPushOfASignedBackup(t *testing.T) {
	roottest.NeedRoot(t)
	h, j := newHub(t), newJudge(t)
	j.policy(t, strings.Replace(teamPolicy, "\n  docker:", "\n  tarball: {'': [{type: insecureAcceptAnything}]}\n  docker:", 1))
	base := mustImport(t, j.Store, "base", roottest.Rootfs(t), ImportOptions{})
	ref := h.host + "/backups/web:1"
	to, err := j.OpenPush(t.Context(), ref, PushOptions{Insecure: true, SignKey: j.signingKey(t)})
	roottest.Must(t, err)
	got, err := j.PushBackup(t.Context(), base.Digest, frozen(t, j.Store, base, func(string) {}), to, backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Remember: func(dir string) string { return dir + ".json" }})
	roottest.Must(t, err)
	_, d, _ := strings.Cut(got.Reference, "@")
	if m := h.signaturesOf(t, "backups/web", digest.Digest(d).String()); len(m.Layers) != 1 {
		t.Errorf("%+v", m)
	}
	var im Image
	if err := j.PullBackup(t.Context(), ref, PullOptions{Insecure: true}, use(&im, nil)); err != nil {
		t.Error(err)
	}
}
