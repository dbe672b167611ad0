package template

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/roottest"
	"croft/template/signatures"
	"croft/template/trust/cosigner"
)

// A judge is a store with a policy and keys.
type judge struct {
	*Store
	dir string
	key *ecdsa.PrivateKey
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	j := &judge{dir: t.TempDir()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	roottest.Must(t, err)
	j.key = key
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	roottest.Must(t, err)
	j.write(t, "team.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	j.Store = newStore(t, Options{Policy: signatures.Policy{Path: filepath.Join(j.dir, "policy.yaml"), Lookasides: filepath.Join(j.dir, "registries.d")}})
	return j
}

func (j *judge) write(t *testing.T, name string, text []byte) {
	t.Helper()
	roottest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(j.dir, name)), 0o755))
	roottest.Must(t, os.WriteFile(filepath.Join(j.dir, name), text, 0o644))
}

// policy writes the policy. DIR in it is the directory of the keys.
func (j *judge) policy(t *testing.T, text string) {
	t.Helper()
	j.write(t, "policy.yaml", []byte(strings.ReplaceAll(text, "DIR", j.dir)))
}

// signedText is what a signature signs.
func signedText(kind, ref string, d digest.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, ref, d, kind)
}

// signs puts a signature of the image d into the repository, as cosign does. ref is the name in it.
func (j *judge) signs(t *testing.T, h *hub, repo, ref string, d digest.Digest) {
	t.Helper()
	text := signedText("cosign container image signature", ref, d)
	sum := sha256.Sum256(text)
	made, err := ecdsa.SignASN1(rand.Reader, j.key, sum[:])
	roottest.Must(t, err)
	l := h.put(t, repo, "application/octet-stream", text)
	l.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	l.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(made)}
	h.putSignatures(t, repo, d, l)
}

func (h *hub) putSignatures(t *testing.T, repo string, d digest.Digest, layers ...oci.Descriptor) {
	t.Helper()
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest, Layers: layers}
	m.Config = h.put(t, repo, "application/octet-stream", []byte("{}"))
	m.Config.MediaType = oci.MediaTypeImageConfig
	b, err := json.Marshal(m)
	roottest.Must(t, err)
	h.put(t, repo+":sha256-"+d.Encoded()+".sig", oci.MediaTypeImageManifest, b)
}

const teamPolicy = `
default: [{type: reject}]
transports:
  docker:
    "": [{type: sigstoreSigned, keyPath: DIR/team.pub}]
`

// refuses expects that the policy refuses a pull, and that nothing of the image is left.
func (j *judge) refuses(t *testing.T, what, ref, want string) {
	t.Helper()
	before := ""
	if _, err := os.Stat(j.Dir()); err == nil {
		before = files(t, j.Store)
	}
	_, err := j.Pull(t.Context(), ref, PullOptions{Name: "x", Insecure: true})
	if !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
	if left := files(t, j.Store); left != before {
		t.Errorf("%s: left %s", what, left)
	}
}

func TestPolicyOfARegistry(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	image := published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer}
	d := h.publish(t, "team/web:1", image)
	ref := h.host + "/team/web:1"
	j.policy(t, teamPolicy)
	j.refuses(t, "unsigned", ref, "policy.yaml refuses "+ref+": line 5: it has no signature")
	j.signs(t, h, "team/web", h.host+"/team/db:1", d.Digest)
	j.refuses(t, "signed as another", ref, "the signature is of "+h.host+"/team/db:1")
	j.signs(t, h, "team/web", ref, digest.FromString("other"))
	h.putSignatures(t, "team/web", d.Digest)
	j.refuses(t, "no signature among those", ref, "it has no signature")
	huge := h.put(t, "team/web", "application/octet-stream", bytes.Repeat([]byte("x"), 2<<20))
	huge.MediaType, huge.Annotations = "application/vnd.dev.cosign.simplesigning.v1+json", map[string]string{"dev.cosignproject.cosign/signature": "eA=="}
	h.putSignatures(t, "team/web", d.Digest, huge)
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge signature: %v", err)
	}
	small := huge
	small.Digest, small.Size = h.put(t, "team/web", "application/octet-stream", []byte("x")).Digest, 1
	h.putSignatures(t, "team/web", d.Digest, bytesOf(101, small)...)
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "more than 100 signatures") {
		t.Errorf("very many signatures: %v", err)
	}

	j.signs(t, h, "team/web", ref, d.Digest)
	im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true})
	if err != nil || len(im.SignedBy) != 1 || !strings.HasPrefix(im.SignedBy[0], "sha256:") {
		t.Fatalf("%+v, %v", im.SignedBy, err)
	}
	// A tag that moves after the signing does not get in, and the template stays.
	h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t, roottest.File("etc/evil", "x"))}, kind: oci.MediaTypeImageLayer})
	before := files(t, j.Store)
	for _, pull := range []func() error{
		func() error { _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); return err },
		func() error { _, err := j.Refresh(t.Context(), "web-1", RefreshOptions{Insecure: true}); return err },
	} {
		if err := pull(); !fail.Is(err, fail.Permission) || files(t, j.Store) != before {
			t.Errorf("a moved tag: %v, %s", err, files(t, j.Store))
		}
	}
	// Its digest still does.
	if _, err := j.Pull(t.Context(), h.host+"/team/web@"+d.Digest.String(), PullOptions{Name: "old", Insecure: true}); err != nil {
		t.Error(err)
	}
}

// The certificate of a signature, and its entry in a log, are beside it in the registry.
func TestPolicyOfAPerson(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
	ref, then := h.host+"/team/web:1", time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	fulcio, rekor := cosigner.NewAuthority(t, then, then.AddDate(1, 0, 0)), cosigner.NewLog(t)
	j.write(t, "fulcio.pem", fulcio.Root())
	j.write(t, "rekor.pub", rekor.Key(t))
	j.policy(t, strings.Replace(teamPolicy, "keyPath: DIR/team.pub", "rekorPublicKeyPath: DIR/rekor.pub, fulcio: {caPath: DIR/fulcio.pem, oidcIssuer: 'https://login.example', subjectEmail: dev@example.org}", 1))
	sign := func(email string) {
		t.Helper()
		s := fulcio.Issue(t, then, email, "https://login.example").Sign(t, rekor, cosigner.Payload(ref, d.Digest), then)
		l := h.put(t, "team/web", "application/octet-stream", s.Payload)
		l.MediaType, l.Annotations = "application/vnd.dev.cosign.simplesigning.v1+json", s.Annotations()
		h.putSignatures(t, "team/web", d.Digest, l)
	}
	j.signs(t, h, "team/web", ref, d.Digest)
	j.refuses(t, "with a key", ref, "the signature has no certificate")
	sign("evil@example.org")
	j.refuses(t, "by another person", ref, `the certificate is for ["evil@example.org"] and not for dev@example.org`)
	sign("dev@example.org")
	im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true})
	if err != nil || len(im.SignedBy) != 1 || im.SignedBy[0] != "dev@example.org,https://login.example" {
		t.Errorf("%v, %v", im.SignedBy, err)
	}
	for _, name := range []string{"fulcio.pem", "rekor.pub"} {
		roottest.Must(t, os.Chmod(filepath.Join(j.dir, name), 0o666))
		if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "other users can change it") {
			t.Errorf("%s that all can write: %v", name, err)
		}
		j.write(t, name, []byte("x"))
		roottest.Must(t, os.Chmod(filepath.Join(j.dir, name), 0o644))
		if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.State) {
			t.Errorf("a damaged %s: %v", name, err)
		}
	}
}

func bytesOf(n int, d oci.Descriptor) (all []oci.Descriptor) {
	for range n {
		all = append(all, d)
	}
	return all
}

// A signature of an index is one of each image in it, as it is found by the index alone.
func TestPolicyOfAnIndex(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	j.policy(t, teamPolicy)
	d := h.publish(t, "team/web", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
	d.Platform = &oci.Platform{OS: "linux", Architecture: thisArch}
	b, err := json.Marshal(oci.Index{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{d}})
	roottest.Must(t, err)
	ix := h.put(t, "team/web:1", oci.MediaTypeImageIndex, b)
	ref, alone := h.host+"/team/web:1", h.host+"/team/web@"+d.Digest.String()
	j.refuses(t, "unsigned", ref, "no signature")
	j.signs(t, h, "team/web", ref, ix.Digest)
	j.refuses(t, "the image without the signed index", alone, "no signature")
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil {
		t.Error("a signed index:", err)
	}
	j.signs(t, h, "team/web", ref, d.Digest)
	if _, err := j.Pull(t.Context(), alone, PullOptions{Insecure: true, Name: "alone"}); err != nil {
		t.Error("a signed image:", err)
	}
}

// A policy with an error in it stops all, also what a former version has allowed.
func TestABadPolicy(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
	ref := h.host + "/team/web:1"
	j.signs(t, h, "team/web", ref, d.Digest)
	for _, c := range []struct {
		policy, want string
		kind         fail.Kind
	}{
		{"default: [{type: insecureAcceptAnything}]\ntransport: {}", `line 2: unknown field "transport"`, fail.Usage},
		{"", "it is empty", fail.Usage},
		{strings.Replace(teamPolicy, "team.pub", "none.pub", 1), "none.pub: no such file", fail.State},
		{strings.Replace(teamPolicy, "team.pub", "policy.yaml", 1), "read a public key", fail.State},
		{"default: [{type: reject}]", "line 1: it rejects all images here", fail.Permission},
	} {
		j.policy(t, c.policy)
		_, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true})
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || files(t, j.Store) != "" {
			t.Errorf("%s: %v, want %s", c.policy, err, c.want)
		}
	}
	for _, name := range []string{"policy.yaml", "team.pub"} {
		j.policy(t, teamPolicy)
		roottest.Must(t, os.Chmod(filepath.Join(j.dir, name), 0o666))
		if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "other users can change it") {
			t.Errorf("%s that all can write: %v", name, err)
		}
		roottest.Must(t, os.Chmod(filepath.Join(j.dir, name), 0o644))
	}
	roottest.Must(t, os.Remove(filepath.Join(j.dir, "policy.yaml")))
	if im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); err != nil || len(im.SignedBy) > 0 {
		t.Errorf("without a policy: %v, %v", im.SignedBy, err)
	}
}

// OpenPGP signatures are beside the registry, in a directory or on a web server.
func TestPolicyWithOpenPGP(t *testing.T) {
	h, j := newHub(t), newJudge(t)
	d := h.publish(t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer})
	ref := h.host + "/team/web:1"
	key, err := openpgp.NewEntity("team", "", "team@example.org", nil)
	roottest.Must(t, err)
	var public, signed bytes.Buffer
	roottest.Must(t, key.Serialize(&public))
	j.write(t, "team.gpg", public.Bytes())
	w, err := openpgp.Sign(&signed, key, nil, nil)
	roottest.Must(t, err)
	w.Write(signedText("atomic container signature", ref, d.Digest))
	roottest.Must(t, w.Close())
	j.policy(t, strings.ReplaceAll(teamPolicy, "sigstoreSigned, keyPath: DIR/team.pub", "signedBy, keyType: GPGKeys, keyPath: DIR/team.gpg"))
	j.write(t, "registries.d/team.yaml", fmt.Appendf(nil, "docker:\n  %s/team:\n    lookaside: file://%s/sigs\n", h.host, j.dir))
	j.refuses(t, "unsigned", ref, "it has no signature")
	at := "sigs/team/web@sha256=" + d.Digest.Encoded() + "/signature-"
	j.write(t, at+"1", []byte("text"))
	j.refuses(t, "no signature", ref, "the signature is damaged")
	j.write(t, at+"2", signed.Bytes())
	im, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true})
	if want := fmt.Sprintf("[%X]", key.PrimaryKey.Fingerprint); err != nil || fmt.Sprint(im.SignedBy) != want {
		t.Errorf("%v, %v", im.SignedBy, err)
	}
	j.write(t, at+"1", bytes.Repeat([]byte("x"), 2<<20))
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge signature: %v", err)
	}
	j.write(t, "registries.d/team.yaml", []byte("default-docker: {sigstore: 'ftp://x'}\n"))
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "ftp") {
		t.Errorf("another URL: %v", err)
	}
	j.write(t, "registries.d/more.yaml", []byte("default-docker: {sigstore: 'file:///x'}\n"))
	if _, err := j.Pull(t.Context(), ref, PullOptions{Insecure: true}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "another file has default-docker too") {
		t.Errorf("two files: %v", err)
	}
}

// Files have no signatures: the policy accepts them or not.
func TestPolicyOfFiles(t *testing.T) {
	roottest.NeedRoot(t)
	j := newJudge(t)
	tree, layout, docker := roottest.Rootfs(t), layoutDir(t, func(*oci.Index, *oci.Manifest) {}), dockerArchive(t, roottest.Rootfs(t), func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage { return all })
	imports := map[string]func() error{
		"tarball": func() error { _, err := j.Import(t.Context(), "a", bytes.NewReader(tree), ImportOptions{}); return err },
		"oci": func() error {
			_, err := j.Import(t.Context(), "a", strings.NewReader(""), ImportOptions{Dir: layout})
			return err
		},
		"docker-archive": func() error {
			_, err := j.Import(t.Context(), "a", bytes.NewReader(docker), ImportOptions{})
			return err
		},
		"oci-archive": func() error { return j.AcceptBackup("") },
	}
	for name, one := range imports {
		j.policy(t, "default: [{type: insecureAcceptAnything}]\ntransports: {"+name+": {'': [{type: reject}]}}")
		for other, one := range imports {
			err := one()
			if other == name && (!fail.Is(err, fail.Permission) || strings.Count(files(t, j.Store), "\n") > 1) { // index.json
				t.Errorf("%s: %v, %s", name, err, files(t, j.Store))
			} else if other != name && err != nil {
				t.Errorf("%s, and only %s is rejected: %v", other, name, err)
			}
			if err == nil && other != "oci-archive" {
				roottest.Must(t, j.Remove(t.Context(), "a", noUsers))
				roottest.Must(t, j.Prune(t.Context(), noUsers))
			}
		}
		j.policy(t, "default: [{type: sigstoreSigned, keyPath: DIR/team.pub}]")
		if err := one(); !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), "it has no signature") {
			t.Errorf("%s, and a signature is needed: %v", name, err)
		}
		j.policy(t, "default: [{type: reject}]\ntransports: {"+name+": {'': [{type: insecureAcceptAnything}]}}")
		if err := one(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		j.policy(t, "default: [{type: insecureAcceptAnything}]")
		if name != "oci-archive" {
			roottest.Must(t, j.Remove(t.Context(), "a", noUsers))
			roottest.Must(t, j.Prune(t.Context(), noUsers))
		}
	}
	// A directory that links hide is found by its true path.
	link := filepath.Join(t.TempDir(), "link")
	roottest.Must(t, os.Symlink(layout, link))
	real, err := filepath.EvalSymlinks(layout)
	roottest.Must(t, err)
	j.policy(t, "default: [{type: insecureAcceptAnything}]\ntransports: {oci: {'"+real+"': [{type: reject}]}}")
	if _, err := j.Import(t.Context(), "a", strings.NewReader(""), ImportOptions{Dir: link}); !fail.Is(err, fail.Permission) {
		t.Errorf("a link: %v", err)
	}
	// --template FILE is the same.
	file := filepath.Join(t.TempDir(), "system.tar")
	roottest.Must(t, os.WriteFile(file, tree, 0o644))
	j.policy(t, "default: [{type: insecureAcceptAnything}]\ntransports: {oci: {'"+real+"': [{type: reject}]}, tarball: {'': [{type: reject}]}}")
	for _, at := range []string{"oci:" + link, file} {
		if _, err := j.Ensure(t.Context(), at); !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), "rejects") {
			t.Errorf("%s: %v", at, err)
		}
	}
	// The archive of a container of another tool is a tarball.
	j.policy(t, "default: [{type: insecureAcceptAnything}]\ntransports: {tarball: {'': [{type: reject}]}}")
	err = j.ImportSystem(t.Context(), System{Name: "y", Archive: bytes.NewReader(tree)}, func(Image) error { return nil }, noUsers)
	if !fail.Is(err, fail.Permission) {
		t.Errorf("an archive to adopt: %v", err)
	}
}

// The catalogue of an image server must be signed by the keys of the policy, and by those of the
// server.
func TestPolicyOfAnImageServer(t *testing.T) {
	j := newJudge(t)
	server := imageServer(t, j.Store, anImage(t, "1", "x"))
	owner, err := openpgp.NewEntity("lab", "", "lab@example.org", nil)
	roottest.Must(t, err)
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	roottest.Must(t, err)
	roottest.Must(t, owner.Serialize(w))
	roottest.Must(t, w.Close())
	j.write(t, "lab.asc", b.Bytes())
	for _, c := range []struct{ policy, want string }{
		{"default: [{type: reject}]", "refuses the image server lab"},
		{"default: [{type: sigstoreSigned, keyPath: DIR/team.pub}]", "asks for other signatures"},
	} {
		j.policy(t, c.policy)
		if _, err := pullLab(t, j.Store, "test/7", PullOptions{}); !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.policy, err)
		}
	}
	j.policy(t, "default: [{type: reject}]\ntransports: {images: {'': [{type: signedBy, keyType: GPGKeys, keyPath: DIR/lab.asc}]}}")
	if _, err := pullLab(t, j.Store, "test/7", PullOptions{}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "does not sign") {
		t.Errorf("unsigned: %v", err)
	}
	server.Sign = func(kind string, text []byte) []byte {
		var b bytes.Buffer
		if kind != ".sjson" {
			return nil
		}
		w, err := clearsign.Encode(&b, owner.PrivateKey, nil)
		roottest.Must(t, err)
		w.Write(text)
		roottest.Must(t, w.Close())
		return b.Bytes()
	}
	server.Serve(anImage(t, "1", "x"))
	if _, err := pullLab(t, j.Store, "test/7", PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPolicyOfBackupsInARegistry(t *testing.T) {
	roottest.NeedRoot(t)
	h, j := newHub(t), newJudge(t)
	ref := h.host + "/backups/web:1"
	base := mustImport(t, j.Store, "base", roottest.Rootfs(t), ImportOptions{})
	got := pushed(t, j.Store, base, frozen(t, j.Store, base, func(string) {}), ref)
	j.policy(t, teamPolicy)
	var im Image
	called := use(&im, nil)
	called.Check = func(json.RawMessage) (string, error) {
		t.Error("its settings are used")
		return "", nil
	}
	before := files(t, j.Store)
	err := j.PullBackup(t.Context(), ref, PullOptions{Insecure: true}, called)
	if !fail.Is(err, fail.Permission) || files(t, j.Store) != before {
		t.Errorf("%v, and now there is %s", err, files(t, j.Store))
	}
	_, d, _ := strings.Cut(got.Reference, "@")
	j.signs(t, h, "backups/web", ref, digest.Digest(d))
	if err := j.PullBackup(t.Context(), ref, PullOptions{Insecure: true}, use(&im, nil)); err != nil {
		t.Error(err)
	}
}
