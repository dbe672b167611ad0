package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"croft/internal/fail"
)

func TestBasicAuthentication(t *testing.T) {
	dir := noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	d := f.addBlob([]byte("a layer"))
	f.challenge = `Basic realm="team"`
	f.login = func(req *http.Request) bool {
		user, password, ok := req.BasicAuth()
		return ok && user == "me" && password == "secret"
	}
	has := func() error {
		repo, err := open(t, host+"/team/web:1", false)
		if err == nil {
			_, err = repo.Has(context.Background(), d.Digest)
		}
		return err
	}
	if err := has(); !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), host+" denies access to team/web:1") {
		t.Errorf("without credentials: %v", err)
	}
	dockerLogin(t, dir, host, "me", "wrong")
	if err := has(); !fail.Is(err, fail.Permission) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	dockerLogin(t, dir, host, "me", "secret")
	if err := has(); err != nil {
		t.Errorf("with credentials: %v", err)
	}
}

// The registry gives out tokens itself
// (https://distribution.github.io/distribution/spec/auth/token).
func TestTokenAuthentication(t *testing.T) {
	dir := noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	d := f.addBlob([]byte("a layer"))
	f.challenge = `Bearer realm="http://` + host + `/token",service="team"`
	f.login = func(req *http.Request) bool { return req.Header.Get("Authorization") == "Bearer good" }
	var asked atomic.Value // the scope of the last request for a token, and its user if there is one
	f.tokens = func(w http.ResponseWriter, req *http.Request) {
		user, _, _ := req.BasicAuth()
		asked.Store(strings.TrimSpace(req.URL.Query().Get("scope") + " " + user))
		if user == "stranger" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"token": "good"})
	}
	for _, c := range []struct {
		user string
		push bool
		want string // scope and user that the token server is asked for
	}{
		{"", false, "repository:team/web:pull"},
		{"", true, "repository:team/web:push,pull"},
		{"me", false, "repository:team/web:pull me"},
	} {
		if c.user != "" {
			dockerLogin(t, dir, host, c.user, "secret")
		}
		repo := mustOpen(t, host+"/team/web:1", c.push)
		if has, err := repo.Has(context.Background(), d.Digest); !has || err != nil {
			t.Errorf("%+v: %v, %v", c, has, err)
		}
		if got := asked.Load(); got != c.want {
			t.Errorf("%+v: asked for %q", c, got)
		}
	}
	dockerLogin(t, dir, host, "stranger", "secret")
	if _, err := open(t, host+"/team/web:1", false); !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), "denies access") {
		t.Errorf("no token for a stranger: %v", err)
	}
}

func TestDamagedCredentials(t *testing.T) {
	dir := noCredentials(t)
	host := newFakeRegistry().listen(t)
	dockerLogin(t, dir, host, "me", "secret")
	t.Setenv("DOCKER_CONFIG", dir)
	breakFile(t, dir+"/config.json")
	if _, err := open(t, host+"/team/web:1", false); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "read the credentials for "+host) {
		t.Errorf("error %v", err)
	}
}
