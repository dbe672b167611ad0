package filecopy

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/layer"
	"croft/template/roottest"
)

// New files belong to the root of the tree, and directories of all its users can be
// written to. Afterwards the process is as before.
func TestCreateForTheRootOfATree(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	write(t, dir+"/home/f", "", 700033, 700033, 0o600)
	if err := os.Chmod(dir+"/home", 0o500); err != nil {
		t.Fatal(err)
	}
	err := tree.create(func() error {
		if err := os.WriteFile(dir+"/home/new", nil, 0o600); err != nil {
			return err
		}
		if got := owner(t, dir+"/home/new"); got != "700000:700000 600" {
			t.Errorf("a new file is %s", got)
		}
		return os.Chown(dir+"/home/new", 700001, 700002)
	})
	if err != nil || owner(t, dir+"/home/new") != "700001:700002 600" {
		t.Errorf("%v, %s", err, owner(t, dir+"/home/new"))
	}
	if uid, _ := unix.SetfsuidRetUid(-1); uid != 0 {
		t.Errorf("this thread is user %d", uid)
	}
	host := Tree{IDs: layer.IDs{}}
	if err := host.create(func() error { return os.WriteFile(dir+"/host", nil, 0o600) }); err != nil || owner(t, dir+"/host") != "0:0 600" {
		t.Errorf("on the host: %v", err)
	}
}
