//go:build integration

package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A registryServer is Debian's docker-registry on a loopback port.
type registryServer struct {
	t    *testing.T
	dir  string // its files
	host string
	env  []string // what croft has to know of it
}

// The registry's user, and his password hashed as htpasswd -B does it.
const (
	registryUser, registryPassword = "croft", "secret"
	registryHash                   = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
)

// startRegistry starts a registry that asks for a password and speaks TLS, with
// a certificate that croft knows by SSL_CERT_FILE. Its home knows the password.
func startRegistry(t *testing.T) *registryServer {
	t.Helper()
	r := &registryServer{t: t, dir: t.TempDir()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.host = l.Addr().String()
	l.Close()
	r.certificate()
	r.write("htpasswd", registryUser+":"+registryHash+"\n")
	r.write("config.yml", fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %[1]s/data}}
http: {addr: %[2]s, tls: {certificate: %[1]s/crt.pem, key: %[1]s/key.pem}}
auth: {htpasswd: {realm: test, path: %[1]s/htpasswd}}
`, r.dir, r.host))
	r.write("home/.docker/config.json", r.auths())
	r.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir + "/home", "SSL_CERT_FILE=" + r.dir + "/crt.pem"}
	var said strings.Builder
	server := exec.Command(tool(t, "docker-registry", "registry"), "serve", r.dir+"/config.yml")
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	eventually(t, "the registry listens", func() bool {
		c, err := net.Dial("tcp", r.host)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return r
}

// tool finds a program of other people's by one of its names; a test is
// skipped where the distribution does not have it.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	var why error
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return path
		}
		why = err
	}
	t.Skip("not here: ", why)
	return ""
}

func (r *registryServer) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// auths is a docker config.json with the password in it.
func (r *registryServer) auths() string {
	word := base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword))
	return fmt.Sprintf(`{"auths": {"%s": {"auth": "%s"}}}`, r.host, word)
}

// certificate makes the registry's own, which vouches for itself.
func (r *registryServer) certificate() {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "croft's test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("crt.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	r.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// try runs croft with what it has to know of the registry, and more.
func (r *registryServer) try(root string, more []string, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := exec.CommandContext(ctx, world.croft, append(where(root, world.run), args...)...)
	cmd.Env = append(append([]string{}, r.env...), more...)
	cmd.Dir, cmd.WaitDelay = "/", slow(30*time.Second)
	return finish(cmd, args)
}

func (r *registryServer) must(root string, args ...string) string {
	r.t.Helper()
	got := r.try(root, nil, args...)
	if got.status != 0 {
		r.t.Fatal(got)
	}
	return strings.TrimSpace(got.out)
}

func TestRegistry(t *testing.T) {
	hostAsBefore(t)
	r := startRegistry(t)
	must(t, "template", "list")
	create(t, "busybox")
	var image struct{ Digest string }
	if err := json.Unmarshal([]byte(must(t, "template", "inspect", "busybox")), &image); err != nil {
		t.Fatal(err)
	}
	ref := r.host + "/team/busybox:1"
	r.must(world.root, "template", "push", "busybox", ref)
	r.must(world.root, "template", "push", "busybox", ref)

	here := newSite(t)
	got := r.must(here.root, "template", "pull", ref)
	if got != "busybox-1@"+image.Digest {
		t.Errorf("pulled %s, pushed %s", got, image.Digest)
	}
	here.must("create", "--template", "busybox-1", "--network", "none", "pulled")
	here.must("start", "--wait", "pulled")
	here.must("destroy", "--force", "pulled")

	// What it must not let through.
	for _, c := range []struct {
		what   string
		env    []string
		args   []string
		status int
		words  string
	}{
		{"no certificate", []string{"SSL_CERT_FILE=/dev/null"}, nil, 8, "certificate"},
		{"no password", []string{"HOME=/nonexistent"}, nil, 7, "denies access"},
		{"no such image", nil, []string{r.host + "/team/none:1"}, 3, "none:1"},
		{"not TLS", nil, []string{plainServer(t) + "/team/x:1"}, 8, "TLS"},
	} {
		args := append([]string{"template", "pull"}, c.args...)
		if c.args == nil {
			args = append(args, ref)
		}
		got := r.try(here.root, c.env, append(args, "other")...)
		checkRefusal(t, got, c.status, c.words)
		if t.Failed() {
			t.Fatalf("%s: %s", c.what, got)
		}
	}
	// --insecure asks for no certificate.
	if got := r.try(here.root, []string{"SSL_CERT_FILE=/dev/null"}, "template", "pull", "--insecure", ref, "insecure"); got.status != 0 {
		t.Error(got)
	}
	// A credential helper.
	r.write("helper/config.json", fmt.Sprintf(`{"credHelpers": {"%s": "test"}}`, r.host))
	r.write("helper/docker-credential-test", fmt.Sprintf("#!/bin/sh\ncat >/dev/null\necho '{\"Username\": \"%s\", \"Secret\": \"%s\"}'\n", registryUser, registryPassword))
	with := []string{"HOME=/nonexistent", "DOCKER_CONFIG=" + r.dir + "/helper", "PATH=" + r.dir + "/helper:" + os.Getenv("PATH")}
	if got := r.try(here.root, with, "template", "pull", ref, "helped"); got.status != 0 {
		t.Error(got)
	}
	here.must("template", "prune")
	here.must("template", "remove", "busybox-1", "insecure", "helped")
	if left, err := os.ReadDir(filepath.Join(here.root, "templates/blobs/sha256")); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// plainServer is a server that speaks plain HTTP.
func plainServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}
