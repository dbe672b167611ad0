package runtime

import (
	"os"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// A monitor that has read the settings before a set replaces a credential gives the new
// one. Without the file of a credential the VPS does not start, and it says which one.
func TestCredentialsAtStart(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	before, err := f.m.store.Get("web")
	if err != nil || len(before.Credentials) != 1 {
		t.Fatalf("%+v, %v", before.Credentials, err)
	}
	if err := f.m.Change(background, "web", aCredential("token", "2")); err != nil {
		t.Fatal(err)
	}
	if got := f.credentials("web"); len(got) != 1 || got[0] != "token:2 secret <nil>" {
		t.Errorf("the files are %q", got)
	}
	mon := &monitor{Manager: f.m, name: "web"}
	if err := mon.giveCredentials(before); err != nil {
		t.Errorf("with the settings from before: %v", err)
	}
	if err := os.RemoveAll(paths.Credentials(f.m.store.VPSDir("web"))); err != nil {
		t.Fatal(err)
	}
	if err := mon.giveCredentials(before); !fail.Is(err, fail.Host) {
		t.Errorf("without the file: %v", err)
	}
	if err := f.m.Change(background, "web", vps.RemoveCredential{Name: "token"}); err != nil {
		t.Fatal(err)
	}
	if now, err := f.m.store.Get("web"); err != nil || mon.giveCredentials(now) != nil {
		t.Errorf("after its removal: %v", err)
	}
}
