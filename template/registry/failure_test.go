package registry

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/template/transfer"
)

func breakFile(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Answers of a registry become one line with the host in it, and the kind of
// failure decides the exit status.
func TestAnswersOfARegistry(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	repo := mustOpen(t, host+"/team/web:1", false)
	for _, c := range []struct {
		status    int
		kind      fail.Kind
		want      string
		hint      string
		temporary bool
	}{
		{http.StatusNotFound, fail.NotFound, host + " has no team/web:1", "", false},
		{http.StatusUnauthorized, fail.Permission, host + " denies access to team/web:1", "docker login " + host, false},
		{http.StatusForbidden, fail.Permission, host + " denies access to team/web:1", "docker login " + host, false},
		{http.StatusTooManyRequests, fail.Host, host + " received too many requests", "", true},
		{http.StatusRequestTimeout, fail.Host, host + "/team/web:1", "", true},
		{http.StatusInternalServerError, fail.Host, host + "/team/web:1", "", true},
		{http.StatusBadRequest, fail.Host, host + "/team/web:1", "", false},
	} {
		f.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, `{"errors":[{"code":"X","message":"the reason"}]}`)
		}
		_, _, err := repo.Manifest(context.Background(), "", 100)
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the reason") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d: %v", c.status, err)
		}
		var failed *fail.Error
		if errors.As(err, &failed); !strings.HasPrefix(failed.Hint, c.hint) {
			t.Errorf("%d: hint %q", c.status, failed.Hint)
		}
		if IsTemporary(err) != c.temporary {
			t.Errorf("%d: temporary %v", c.status, !c.temporary)
		}
	}
}

func TestNoRegistryThere(t *testing.T) {
	noCredentials(t)
	server := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	_, err := open(t, host+"/team/web:1", false)
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), host+" cannot be reached: ") || !strings.Contains(fail.HintOf(err), "HTTPS_PROXY") || strings.Contains(err.Error(), "http") {
		t.Errorf("error %v", err)
	}
	if !IsTemporary(err) {
		t.Error("it is not temporary")
	}
}

// Credentials never go over plain HTTP unless the user allows it.
func TestPlainHTTPIsRefused(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	ref, err := Parse(host + "/team/web:1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), ref, Options{})
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), host+" does not speak TLS") || IsTemporary(err) {
		t.Errorf("error %v", err)
	}
	if got := f.seen(); got != "" {
		t.Errorf("requests %q", got)
	}
}

func TestCertificates(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs refused handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	d := f.addBlob([]byte("a layer"))
	certs := t.TempDir()
	has := func(o Options) (bool, error) {
		ref, err := Parse(host + "/team/web:1")
		if err != nil {
			return false, err
		}
		repo, err := Open(context.Background(), ref, o)
		if err != nil {
			return false, err
		}
		return repo.Has(context.Background(), d.Digest)
	}
	if _, err := has(Options{Trust: transfer.Trust{CertsDir: certs}}); !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "cannot verify the certificate of "+host) {
		t.Errorf("an unknown certificate: %v", err)
	}
	if ok, err := has(Options{Trust: transfer.Trust{Insecure: true}}); !ok || err != nil {
		t.Errorf("an unknown certificate with --insecure: %v, %v", ok, err)
	}
	dir := filepath.Join(certs, host)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if ok, err := has(Options{Trust: transfer.Trust{CertsDir: certs}}); !ok || err != nil {
		t.Errorf("the registry's own certificate: %v, %v", ok, err)
	}
	breakFile(t, filepath.Join(dir, "ca.crt"))
	if _, err := has(Options{Trust: transfer.Trust{CertsDir: certs}}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestFailureKeepsOtherErrors(t *testing.T) {
	ref, err := Parse("registry.example/team/web:1")
	if err != nil {
		t.Fatal(err)
	}
	classified := fail.New(fail.State, "already classified")
	for _, err := range []error{nil, context.Canceled, classified} {
		if got := failure(ref, err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	if got := failure(ref, context.DeadlineExceeded); !fail.Is(got, fail.Timeout) || !strings.Contains(got.Error(), "registry.example does not answer") {
		t.Errorf("a deadline became %v", got)
	}
	if got := failure(ref, errors.New("something else")); !fail.Is(got, fail.Host) || IsTemporary(got) {
		t.Errorf("another error became %v", got)
	}
	if IsTemporary(os.ErrNotExist) || IsTemporary(transfer.ErrPlain) || IsTemporary(context.Canceled) {
		t.Error("these errors are not temporary")
	}
}
