//go:build integration

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"croft/template/trust/cosigner"
)

// A signing is a registry, keys, and the policies of croft and of skopeo.
type signing struct {
	*registryServer
	site *site
}

func startSigning(t *testing.T) *signing {
	t.Helper()
	g := &signing{startRegistry(t), newSite(t)}
	g.env = append(g.env, "CROFT_CONFIG_DIR="+g.dir+"/croft")
	return g
}

// run runs another program, which knows the registry.
func (g *signing) run(args ...string) string {
	g.t.Helper()
	cmd := exec.Command(tool(g.t, args[0]), args[1:]...)
	cmd.Env = append(append([]string{}, g.env...), "GNUPGHOME="+g.dir+"/gpg", "REGISTRY_AUTH_FILE="+g.dir+"/home/.docker/config.json")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// policy writes the requirement of images of the registry, for croft and for skopeo.
func (g *signing) policy(requirement string) {
	g.t.Helper()
	text := fmt.Sprintf(`{"default": [{"type": "reject"}], "transports": {"docker": {"%s": [%s]}}}`, g.host, requirement)
	g.write("croft/policy.yaml", text)
	g.write("policy.json", text)
}

func (g *signing) pull(ref, name string) result {
	return g.try(g.site.root, nil, "template", "pull", ref, name)
}

func (g *signing) key(name string) string {
	return fmt.Sprintf(`{"type": "sigstoreSigned", "keyPath": "%s/%s"}`, g.dir, name)
}

// accepts pulls an image and expects that it is recorded who has signed it.
func (g *signing) accepts(ref, name string) {
	g.t.Helper()
	if got := g.pull(ref, name); got.status != 0 {
		g.t.Error(got)
		return
	}
	var image struct{ SignedBy []string }
	if err := json.Unmarshal([]byte(g.site.must("template", "inspect", name).out), &image); err != nil || len(image.SignedBy) != 1 {
		g.t.Errorf("%s: signed by %v (%v)", ref, image.SignedBy, err)
	}
}

// refuses pulls an image, and expects that nothing of it stays.
func (g *signing) refuses(ref, words string) {
	g.t.Helper()
	before, err := os.ReadDir(filepath.Join(g.site.root, "templates/blobs/sha256"))
	checkRefusal(g.t, g.pull(ref, "refused"), 7, words)
	after, err2 := os.ReadDir(filepath.Join(g.site.root, "templates/blobs/sha256"))
	if len(before) != len(after) || err2 != nil && err == nil {
		g.t.Errorf("%s: %d blobs before, %d after", ref, len(before), len(after))
	}
}

// cosignKey makes a key as cosign does, in cosign.key and cosign.pub.
func (g *signing) cosignKey(password string) {
	g.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err == nil {
		private, err = encrypted.Encrypt(private, []byte(password))
	}
	public, err2 := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil || err2 != nil {
		g.t.Fatal(err, err2)
	}
	g.write("cosign.key", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED COSIGN PRIVATE KEY", Bytes: private})))
	g.write("cosign.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	g.write("password", password)
}

// tellLookaside says on this host where the OpenPGP signatures of this registry are.
func (g *signing) tellLookaside() {
	g.t.Helper()
	dir := "/etc/containers/registries.d"
	if _, err := os.Stat(dir); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			g.t.Fatal(err)
		}
		g.t.Cleanup(func() { os.Remove(dir) })
	}
	file := filepath.Join(dir, "croft-test-"+strings.ReplaceAll(g.host, ":", "-")+".yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "docker:\n  %s:\n    lookaside: file://%s/lookaside\n", g.host, g.dir), 0o644); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { os.Remove(file) })
}

// Images that skopeo has signed with GnuPG get in by the policy that skopeo reads too.
func TestSignaturesOfOtherTools(t *testing.T) {
	hostAsBefore(t)
	g := startSigning(t)
	unsigned := g.host + "/team/busybox:1"
	must(t, "template", "list")
	create(t, "busybox")
	g.must(world.root, "template", "push", "busybox", unsigned)
	g.cosignKey("secret")
	g.policy(g.key("cosign.pub"))
	g.refuses(unsigned, "no signature")

	if err := os.Mkdir(g.dir+"/gpg", 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", g.dir+"/gpg", "--kill", "all").Run() })
	g.run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "team@example.org", "ed25519", "sign", "never")
	g.run("gpg", "--batch", "--output", g.dir+"/team.gpg", "--export", "team@example.org")
	byGPG := g.host + "/team/busybox:gpg"
	g.tellLookaside()
	g.run("skopeo", "--insecure-policy", "copy", "--sign-by", "team@example.org", "docker://"+unsigned, "docker://"+byGPG)
	g.policy(fmt.Sprintf(`{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "%s/team.gpg"}`, g.dir))
	g.accepts(byGPG, "by-gpg")
	g.refuses(unsigned, "the signature is of "+byGPG) // the same image, with another tag
	g.run("skopeo", "--policy", g.dir+"/policy.json", "copy", "--remove-signatures", "docker://"+byGPG, "dir:"+g.dir+"/copied")

	// croft makes such signatures too, with the same key.
	g.run("gpg", "--batch", "--armor", "--output", g.dir+"/team.sec", "--export-secret-keys", "team@example.org")
	byCroft := g.host + "/team/busybox:croft"
	g.must(world.root, "template", "push", "busybox", byCroft)
	g.refuses(byCroft, "the signature is of "+byGPG)
	g.must(world.root, "template", "push", "--sign-key", g.dir+"/team.sec", "busybox", byCroft)
	g.accepts(byCroft, "by-croft")
	g.run("skopeo", "--policy", g.dir+"/policy.json", "copy", "--remove-signatures", "docker://"+byCroft, "dir:"+g.dir+"/copied-too")

	// A policy with a mistake stops even that.
	g.write("croft/policy.yaml", "default: [{type: reject}]\ntransprots: {}\n")
	checkRefusal(t, g.pull(byGPG, "other"), 2, `line 2: unknown field "transprots"`)
	g.write("croft/policy.yaml", "default: [{type: reject}]\n")
	checkRefusal(t, g.try(g.site.root, nil, "create", "--template", unsigned, "--network", "none", "x"), 7, "line 1: it rejects all images here")
	g.run("tar", "-C", g.dir, "-cf", g.dir+"/root.tar", "gpg")
	checkRefusal(t, g.try(g.site.root, nil, "import", g.dir+"/root.tar", "x"), 7, "line 1: it rejects all images here")
}

// croft signs templates and backups with a key of cosign, whose password it gets, and openssl finds the
// signature where cosign puts it. With the public key in the policy, no other image gets in.
func TestSigning(t *testing.T) {
	hostAsBefore(t)
	g := startSigning(t)
	ref := g.host + "/team/busybox:1"
	must(t, "template", "list")
	create(t, "busybox")
	g.cosignKey("another")
	g.run("cp", g.dir+"/cosign.pub", g.dir+"/other.pub")
	g.cosignKey("secret")
	key := g.dir + "/cosign.key"
	checkRefusal(t, g.try(world.root, []string{"COSIGN_PASSWORD=wrong"}, "template", "push", "--sign-key", key, "busybox", ref), 2, "decryption failed")
	if got := g.pull(ref, "none"); got.status != 3 {
		t.Errorf("an image whose signature has failed is there: %s", got)
	}
	password := []string{"COSIGN_PASSWORD=secret"}
	if got := g.try(world.root, password, "template", "push", "--sign-key", key, "busybox", ref); got.status != 0 {
		t.Fatal(got)
	}
	g.policy(g.key("other.pub"))
	g.refuses(ref, "not by a key of the policy")
	g.policy(g.key("cosign.pub"))
	g.accepts(ref, "signed")

	// The signature is what cosign makes.
	digest := strings.TrimSpace(g.run("skopeo", "inspect", "--format", "{{.Digest}}", "docker://"+ref))
	g.run("skopeo", "--insecure-policy", "copy", "docker://"+g.host+"/team/busybox:"+strings.Replace(digest, ":", "-", 1)+".sig", "dir:"+g.dir+"/sig")
	var m struct {
		Layers []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	text, err := os.ReadFile(g.dir + "/sig/manifest.json")
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil || len(m.Layers) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	made, err := base64.StdEncoding.DecodeString(m.Layers[0].Annotations["dev.cosignproject.cosign/signature"])
	if err != nil {
		t.Fatal(err)
	}
	g.write("made", string(made))
	signedText := g.dir + "/sig/" + strings.TrimPrefix(m.Layers[0].Digest, "sha256:")
	g.run("openssl", "dgst", "-sha256", "-verify", g.dir+"/cosign.pub", "-signature", g.dir+"/made", signedText)
	if text, err := os.ReadFile(signedText); err != nil || !strings.Contains(string(text), digest) || !strings.Contains(string(text), ref) {
		t.Errorf("it signs %s (%v)", text, err)
	}

	// A tag that is moved to another image.
	vps := create(t, "busybox")
	moved := "moved-" + vps
	must(t, "template", "create", moved, "--from", vps)
	t.Cleanup(func() { try("template", "remove", moved) })
	g.must(world.root, "template", "push", moved, ref)
	g.refuses(ref, "no signature")
	checkRefusal(t, g.try(g.site.root, nil, "template", "update", "signed"), 7, "no signature")

	// A backup, with a key of openssl.
	g.run("openssl", "genpkey", "-algorithm", "RSA", "-out", g.dir+"/rsa.pem")
	g.run("openssl", "pkey", "-in", g.dir+"/rsa.pem", "-pubout", "-out", g.dir+"/rsa.pub")
	backup := g.host + "/backups/web:1"
	g.must(world.root, "push", vps, backup)
	g.policy(g.key("rsa.pub"))
	checkRefusal(t, g.try(g.site.root, nil, "create", "--from", backup, "--network", "none", "web"), 7, "no signature")
	g.must(world.root, "push", "--sign-key", g.dir+"/rsa.pem", vps, backup)
	if got := g.try(g.site.root, nil, "create", "--from", backup, "--network", "none", "web"); got.status != 0 {
		t.Error(got)
	}
}

// A person without a key signs as cosign does with Fulcio and Rekor. The policy names the person.
func TestKeylessSignature(t *testing.T) {
	hostAsBefore(t)
	g := startSigning(t)
	ref, then := g.host+"/team/busybox:1", time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	must(t, "template", "list")
	create(t, "busybox")
	g.must(world.root, "template", "push", "busybox", ref)
	d := digest.Digest(strings.TrimSpace(g.run("skopeo", "inspect", "--format", "{{.Digest}}", "docker://"+ref)))
	fulcio, rekor := cosigner.NewAuthority(t, then, then.AddDate(1, 0, 0)), cosigner.NewLog(t)
	g.write("fulcio.pem", string(fulcio.Root()))
	g.write("rekor.pub", string(rekor.Key(t)))
	g.attach(d, fulcio.Issue(t, then, "dev@example.org", "https://login.example").Sign(t, rekor, cosigner.Payload(ref, d), then))
	by := func(email, log string) string {
		return fmt.Sprintf(`{"type": "sigstoreSigned", "rekorPublicKeyPath": "%[1]s/%[3]s", "fulcio": {"caPath": "%[1]s/fulcio.pem", "oidcIssuer": "https://login.example", "subjectEmail": "%[2]s"}}`, g.dir, email, log)
	}
	g.policy(by("boss@example.org", "rekor.pub"))
	g.refuses(ref, `the certificate is for ["dev@example.org"] and not for boss@example.org`)
	g.write("other.pub", string(cosigner.NewLog(t).Key(t)))
	g.policy(by("dev@example.org", "other.pub"))
	g.refuses(ref, "not signed by a key of Rekor in the policy")
	g.policy(by("dev@example.org", "rekor.pub"))
	g.accepts(ref, "by-person")
}

// attach puts a signature of the image d into the registry, where cosign puts it.
func (g *signing) attach(d digest.Digest, s cosigner.Signature) {
	g.t.Helper()
	config, text := []byte("{}"), s.Payload
	type m = map[string]any
	manifest, err := json.Marshal(m{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": m{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.FromBytes(config), "size": len(config)},
		"layers": []m{{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": digest.FromBytes(text), "size": len(text), "annotations": s.Annotations()}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.write("attached/version", "Directory Transport Version: 1.1\n")
	g.write("attached/manifest.json", string(manifest))
	for _, b := range [][]byte{config, text} {
		g.write("attached/"+digest.FromBytes(b).Encoded(), string(b))
	}
	g.run("skopeo", "--insecure-policy", "copy", "--preserve-digests", "dir:"+g.dir+"/attached", "docker://"+g.host+"/team/busybox:"+strings.Replace(d.String(), ":", "-", 1)+".sig")
}
