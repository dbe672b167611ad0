package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/template/transfer"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// A fakeRegistry is a registry with one repository, team/web. It keeps the blobs
// and manifests that it receives.
type fakeRegistry struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string]manifest      // by tag and by digest
	requests  []string                 // METHOD PATH of those below the repository, with their range
	answer    http.HandlerFunc         // instead of the registry's own answers below the repository; nil is fine
	login     func(*http.Request) bool // reports whether a request is authenticated; nil: all are
	challenge string                   // WWW-Authenticate for one that is not
	tokens    http.HandlerFunc         // answers at /token; nil: the registry gives no tokens
}

type manifest struct {
	mediaType string
	body      []byte
}

const repositoryPath = "/v2/team/web/"

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{blobs: map[string][]byte{}, manifests: map[string]manifest{}}
}

// listen serves the registry without TLS, and returns its HOST:PORT.
func (f *fakeRegistry) listen(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if f.tokens != nil && req.URL.Path == "/token" {
		f.tokens(w, req)
		return
	}
	if f.login != nil && !f.login(req) {
		w.Header().Set("WWW-Authenticate", f.challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	rest, below := strings.CutPrefix(req.URL.Path, repositoryPath)
	if !below {
		return // /v2/: this is a registry
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, strings.TrimSpace(req.Method+" "+rest+" "+req.Header.Get("Range")))
	kind, id, _ := strings.Cut(rest, "/")
	switch {
	case f.answer != nil:
		f.answer(w, req)
	case req.Method == http.MethodPost:
		w.Header().Set("Location", repositoryPath+"blobs/uploads/1?state=a")
		w.WriteHeader(http.StatusAccepted)
	case req.Method == http.MethodPut && kind == "blobs":
		f.putBlob(w, req)
	case req.Method == http.MethodPut:
		f.putManifest(w, req, id)
	case kind == "blobs" && f.blobs[id] != nil:
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(f.blobs[id]))
	case kind == "manifests" && f.manifests[id].body != nil:
		w.Header().Set("Content-Type", f.manifests[id].mediaType+"; charset=utf-8")
		w.Write(f.manifests[id].body)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fakeRegistry) putBlob(w http.ResponseWriter, req *http.Request) {
	b, _ := io.ReadAll(req.Body)
	d := req.URL.Query().Get("digest")
	if digest.FromBytes(b).String() != d || req.URL.Query().Get("state") != "a" || req.ContentLength != int64(len(b)) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.blobs[d] = b
	w.WriteHeader(http.StatusCreated)
}

func (f *fakeRegistry) putManifest(w http.ResponseWriter, req *http.Request, id string) {
	b, _ := io.ReadAll(req.Body)
	f.addManifest(id, req.Header.Get("Content-Type"), b)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(b).String())
	w.WriteHeader(http.StatusCreated)
}

func (f *fakeRegistry) addBlob(b []byte) oci.Descriptor {
	d := oci.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
	f.blobs[d.Digest.String()] = b
	return d
}

func (f *fakeRegistry) addManifest(tag, mediaType string, b []byte) digest.Digest {
	d := digest.FromBytes(b)
	f.manifests[tag], f.manifests[d.String()] = manifest{mediaType, b}, manifest{mediaType, b}
	return d
}

// seen returns the requests so far, and forgets them.
func (f *fakeRegistry) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return strings.Join(all, ", ")
}

// noCredentials makes the user one without any credentials, and returns the
// directory of a docker configuration.
func noCredentials(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, key := range []string{"HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"} {
		t.Setenv(key, dir)
	}
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "none.json"))
	return dir
}

// dockerLogin writes down the credentials of user for host as docker login does.
func dockerLogin(t *testing.T, dir, host, user, password string) {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	text := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// open opens the repository as a pull or push of text with --insecure does.
func open(t *testing.T, text string, push bool) (*Repository, error) {
	t.Helper()
	ref, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return Open(context.Background(), ref, Options{Trust: transfer.Trust{Insecure: true}, Push: push})
}

func mustOpen(t *testing.T, text string, push bool) *Repository {
	t.Helper()
	repo, err := open(t, text, push)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}
