package template

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
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

// Signatures of OpenPGP are written where the policy looks for them.
func TestPushSignedWithOpenPGP(t *testing.T) {
	roottest.NeedRoot(t)
	h, j := newHub(t), newJudge(t)
	key := func(name string) *trust.Key {
		t.Helper()
		e, err := openpgp.NewEntity(name, "", name+"@example.org", nil)
		roottest.Must(t, err)
		var public, private bytes.Buffer
		roottest.Must(t, e.SerializePrivate(&private, nil))
		roottest.Must(t, e.Serialize(&public))
		j.write(t, name+".gpg", public.Bytes())
		k, err := trust.ReadSigningKey(private.Bytes(), nil)
		roottest.Must(t, err)
		return &k
	}
	team, other := key("team"), key("other")
	j.policy(t, strings.ReplaceAll(teamPolicy, "sigstoreSigned, keyPath: DIR/team.pub", "signedBy, keyType: GPGKeys, keyPath: DIR/team.gpg")+"  tarball: {'': [{type: insecureAcceptAnything}]}\n")
	im := mustImport(t, j.Store, "web", roottest.Rootfs(t), ImportOptions{})
	ref := h.host + "/team/web:1"
	push := func(k *trust.Key) error {
		return j.Push(t.Context(), "web", ref, PushOptions{Insecure: true, SignKey: k})
	}
	beside := func(text string) {
		j.write(t, "registries.d/team.yaml", []byte(strings.ReplaceAll("docker:\n  "+h.host+": {"+text+"}\n", "DIR", j.dir)))
	}
	beside("lookaside: 'https://sigs.example'")
	if err := push(team); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), `at "https://sigs.example", and croft writes only into directories`) {
		t.Errorf("a web server: %v", err)
	}
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true, Name: "x"}); !fail.Is(err, fail.NotFound) {
		t.Errorf("an image whose signature has failed is there: %v", err)
	}
	for dir, text := range map[string]string{
		"one": "lookaside: 'file://DIR/one'", "two": "lookaside: 'file://DIR/none', lookaside-staging: 'file://DIR/two'",
		"three": "sigstore: 'file://DIR/three'", "four": "sigstore: 'file://DIR/none', sigstore-staging: 'file://DIR/four'",
	} {
		beside(text)
		for _, k := range []*trust.Key{other, team, team, other} { // a key that has signed does nothing more
			roottest.Must(t, push(k))
		}
		at := filepath.Join(j.dir, dir, "team/web@"+strings.Replace(im.Digest, ":", "=", 1))
		all, err := os.ReadDir(at)
		roottest.Must(t, err)
		if len(all) != 2 || all[0].Name() != "signature-1" || all[1].Name() != "signature-2" {
			t.Fatalf("%s has %v", dir, all)
		}
		if info, err := all[0].Info(); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	beside("lookaside: 'file://DIR/one'")
	got, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true, Name: "again"})
	if err != nil || len(got.SignedBy) != 1 {
		t.Errorf("%v, %v", got.SignedBy, err)
	}
	beside("lookaside: 'file://DIR/empty'")
	roottest.Must(t, push(other))
	j.refuses(t, "by another key", ref, "not by a key of the policy")

	backup := h.host + "/team/backup:1"
	to, err := j.OpenPush(t.Context(), backup, PushOptions{Insecure: true, SignKey: team})
	roottest.Must(t, err)
	_, err = j.PushBackup(t.Context(), im.Digest, frozen(t, j.Store, im, func(string) {}), to, backups.Options{Name: "web", Settings: json.RawMessage(theSettings), Created: backupTime, Remember: func(dir string) string { return dir + ".json" }})
	roottest.Must(t, err)
	var restored Image
	if err := j.PullBackup(t.Context(), backup, PullOptions{Insecure: true}, use(&restored, nil)); err != nil {
		t.Error(err)
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
