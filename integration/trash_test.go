//go:build integration

package integration

import (
	"encoding/json"
	"slices"
	"testing"
)

// A destroyed VPS that was kept comes back as it was: its files, ids, addresses,
// MAC and published port. Its template is not removed meanwhile.
func TestTrash(t *testing.T) {
	hostAsBefore(t)
	web := boot(t, "busybox", "--publish", "8080:80")
	t.Cleanup(func() { try("trash", "empty", web) })
	sh(t, web, "echo precious >/root/note; chown 7:8 /root/note")
	before, v4 := inspect(t, web), address(t, web, 0)
	must(t, "destroy", "--force", "--keep", "1h", web)
	refused(t, 3, web, "start", web)
	refused(t, 5, web+" in the trash", "template", "remove", "busybox")
	var kept []struct {
		Name string
		IDs  struct{ First, Size uint32 }
		Disk int64 `json:"diskBytes"`
	}
	if err := json.Unmarshal([]byte(must(t, "trash", "list", "--json", web)), &kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 1 || kept[0].Name != web || kept[0].IDs != before.IDs || kept[0].Disk <= 0 {
		t.Fatalf("the trash has %+v", kept)
	}

	// A new VPS of this name gets other ids, and here the address of the old one.
	must(t, "create", "--template", "busybox", "--ip", v4, web)
	if now := inspect(t, web); now.IDs == before.IDs || now.UUID == before.UUID {
		t.Errorf("the new %s is %+v", web, now)
	}
	refused(t, 4, "exists", "trash", "restore", web)
	refused(t, 4, "belongs to "+web, "trash", "restore", web, web+"-old")
	must(t, "destroy", web)

	if got := must(t, "trash", "restore", web); got != web {
		t.Errorf("restore prints %q", got)
	}
	must(t, "start", "--wait=network", web)
	after := inspect(t, web)
	if after.UUID != before.UUID || after.IDs != before.IDs || after.Interfaces[0].MAC != before.Interfaces[0].MAC ||
		!slices.Equal(after.Interfaces[0].Addresses, before.Interfaces[0].Addresses) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if got := sh(t, web, "cat /root/note; stat -c %u:%g /root/note; hostname"); got != "precious\n7:8\n"+web {
		t.Errorf("inside is %q", got)
	}
	answers(t, web, "80")
	if got := hostAsks("127.0.0.1", "8080"); got != web {
		t.Errorf("its port is answered by %q", got)
	}

	must(t, "destroy", "--force", "--keep", "1h", web)
	must(t, "trash", "empty", web)
	if got := must(t, "trash", "list", "-q"); got != "" {
		t.Errorf("the trash has %q", got)
	}
	refused(t, 3, "trash", "trash", "restore", web)
}
