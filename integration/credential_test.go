//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A VPS has its credentials from its start on, for root inside alone. A change counts
// at the next start. No output of croft and no file that others may read has them.
func TestCredentials(t *testing.T) {
	hostAsBefore(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vps := create(t, "busybox", "--network", "none", "--credential", "db=@"+file, "--credential", "token=abc")
	must(t, "start", "--wait", vps)
	const look = "cd /run/host/credentials && stat -c '%a %u %n' . * && cat *"
	if got := sh(t, vps, look); got != "500 0 .\n400 0 db\n400 0 token\ncorrect horse\nabc" {
		t.Errorf("the credentials are\n%s", got)
	}
	if got := sh(t, vps, "touch /run/host/credentials/x 2>&1 || true; df 2>/dev/null | grep credentials || true; tr '\\0' '\\n' </proc/1/environ | grep CREDENTIALS"); got !=
		"touch: /run/host/credentials/x: Read-only file system\nCREDENTIALS_DIRECTORY=/run/host/credentials" {
		t.Errorf("got %s", got)
	}
	must(t, "set", vps, "--credential", "db=new horse", "--credential", "-token", "--credential", "third=x")
	if got := must(t, "list", "--no-header", "--columns", "pending", vps); got != "credential" {
		t.Errorf("pending is %q", got)
	}
	must(t, "restart", "--wait", vps)
	if got := sh(t, vps, look); got != "500 0 .\n400 0 db\n400 0 third\nnew horsex" {
		t.Errorf("the credentials are now\n%s", got)
	}
	if got := must(t, "inspect", vps); strings.Contains(got, "horse") || !strings.Contains(got, `"db"`) {
		t.Errorf("inspect shows %s", got)
	}
	dir := filepath.Join(world.root, "vps", vps, "credentials")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%s: %v, %v", dir, entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
}

// systemd passes credentials to its services.
func TestCredentialOfAService(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "debian-13-containers", "--network", "none", "--credential", "db=correct horse")
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, "systemd-run --quiet --pipe --wait -p LoadCredential=db sh -c 'cat $CREDENTIALS_DIRECTORY/db'; systemd-creds --system list --no-legend | grep -c ^db"); got != "correct horse1" {
		t.Errorf("the service has %q", got)
	}
	// No file of croft that others may read has it.
	if got := must(t, "inspect", vps); strings.Contains(got, "horse") {
		t.Errorf("inspect shows %s", got)
	}
}
