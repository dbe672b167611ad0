//go:build integration

package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// layersLeft fails the test if its end finds other frozen layers or templates than its
// beginning.
func layersLeft(t *testing.T) {
	t.Helper()
	look := func() []string {
		all := layersOfRoot(t)
		for _, dir := range []string{"blobs/sha256", "layers/sha256", "tmp"} {
			found, err := filepath.Glob(filepath.Join(world.root, "templates", dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found...)
		}
		return all
	}
	must(t, "template", "prune") // the first use of a template leaves its compressed layers
	before := look()
	t.Cleanup(func() {
		must(t, "template", "prune")
		after := look()
		for _, left := range slices.DeleteFunc(slices.Clone(after), func(f string) bool { return slices.Contains(before, f) }) {
			t.Errorf("left: %s", left)
		}
		for _, lost := range slices.DeleteFunc(before, func(f string) bool { return slices.Contains(after, f) }) {
			t.Errorf("lost: %s", lost)
		}
	})
}

// restoredAs destroys the VPS name at the end of the test.
func restoredAs(t *testing.T, name string) string {
	t.Cleanup(func() { try("destroy", "--force", "--if-exists", name) })
	return name
}

const filesForBackup = `mkdir -p /srv/o /srv/d; echo one >/srv/f; ln /srv/f /srv/g; chown 7:8 /srv/f; chmod 4751 /srv/f
rm /etc/issue; mkfifo /srv/p; ln -s /nowhere /srv/l; chmod 1711 /srv/d; : >/srv/empty
dd if=/dev/zero of=/srv/sparse bs=1 count=1 seek=8M 2>/dev/null; touch -d '2001-02-03 04:05:06' /srv/o`

// A VPS that was destroyed comes back from its backup as it was: files, settings,
// identity, addresses and MACs. The archive of a snapshot has the files of then, and other
// tools read the archive as an image.
func TestBackup(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	live, stopped, then := filepath.Join(dir, "live.tar"), filepath.Join(dir, "stopped.tar"), filepath.Join(dir, "then.tar")
	web := boot(t, "busybox", "--memory", "64M", "--label", "tier=web", "--publish", "18080:80")
	sh(t, web, filesForBackup)
	must(t, "exec", web, "--", "sh", "-c", "echo id >/etc/machine-id")
	if r := try("export", web, live); r.status != 0 || !strings.Contains(r.errOut, "stood still") {
		t.Fatalf("export: %s", r)
	}
	refused(t, 4, "exists", "export", web, live)
	must(t, "stop", web)
	must(t, "snapshot", "create", web, "then")
	croft := func(args ...string) string { return must(t, args...) }
	filesOf := func() map[string]string {
		all := treeOf(t, croft, web)
		delete(all, "/var/log/messages") // the running VPS writes into it when it ends
		return all
	}
	tree, was := filesOf(), inspect(t, web)
	must(t, "export", web, stopped)
	must(t, "start", web)
	sh(t, web, "echo later >/srv/f")
	must(t, "export", "--compress", "gzip", "--force", web+"@then", then)
	refused(t, 3, "no snapshot", "export", web+"@none", filepath.Join(dir, "none.tar"))
	if info, err := os.Stat(live); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive is %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*none*")); len(left) > 0 {
		t.Errorf("a failed export left %v", left)
	}
	refused(t, 4, "exists", "import", live)
	refused(t, 2, "is a directory", "export", web, dir)
	refused(t, 2, "is a directory", "import", dir)
	must(t, "destroy", "--force", web)
	for _, archive := range []string{live, stopped, then} {
		if got := must(t, "import", archive); got != web {
			t.Errorf("import prints %q", got)
		}
		now := inspect(t, web)
		for _, same := range []struct{ got, want any }{
			{now.UUID, was.UUID}, {now.Fitted, was.Fitted}, {now.Labels, was.Labels}, {now.Limits, was.Limits},
			{now.Published, was.Published}, {now.Interfaces[0].Addresses, was.Interfaces[0].Addresses}, {now.Interfaces[0].MAC, was.Interfaces[0].MAC},
		} {
			if !reflect.DeepEqual(same.got, same.want) {
				t.Errorf("%s: it has %v and had %v", archive, same.got, same.want)
			}
		}
		if got := filesOf(); !reflect.DeepEqual(got, tree) {
			t.Errorf("%s: its files are other ones:\n%s", archive, changes(tree, got))
		}
		must(t, "start", web)
		if got := sh(t, web, "cat /srv/f"); got != "one" {
			t.Errorf("%s: it has %q", archive, got)
		}
		must(t, "destroy", "--force", web)
	}
	must(t, "template", "import", web, then)
	must(t, "template", "remove", web)
}

// changes are the lines that differ between two trees.
func changes(was, now map[string]string) string {
	var all []string
	for name := range was {
		if was[name] != now[name] {
			all = append(all, name+": "+was[name]+" / "+now[name])
		}
	}
	for name := range now {
		if _, ok := was[name]; !ok {
			all = append(all, name+": new")
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// A backup goes from one croft to another through a pipe. Beside the VPS that it is of,
// the copy gets other addresses, and no port that is taken, with warnings.
func TestBackupThroughAPipe(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	web := boot(t, "busybox", "--publish", "18081:80", "--mount", data+":/data")
	sh(t, web, "echo one >/root/f")
	if err := os.Remove(data); err != nil {
		t.Logf("remove its directory: %v", err)
	}
	two, three := restoredAs(t, web+"-2"), restoredAs(t, web+"-3")
	export, load := command(t.Context(), "export", web, "-"), command(t.Context(), "import", "-", two)
	var said, warned bytes.Buffer
	export.Stderr, load.Stderr = &said, &warned
	pipe, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = pipe
	for _, start := range []func() error{export.Start, load.Start, load.Wait, export.Wait} {
		if err := start(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, &said, &warned)
		}
	}
	w, n := inspect(t, web), inspect(t, two)
	for _, words := range []string{"does not get the addresses " + strings.Split(w.Interfaces[0].Addresses[0], "/")[0], "published ports", "MAC addresses", "cannot start yet"} {
		if !strings.Contains(warned.String(), words) {
			t.Errorf("it does not warn of %q: %s", words, &warned)
		}
	}
	if n.UUID == w.UUID || n.IDs == w.IDs || n.Interfaces[0].MAC == w.Interfaces[0].MAC || n.Interfaces[0].Addresses[0] == w.Interfaces[0].Addresses[0] || len(n.Published) > 0 {
		t.Errorf("the copy %+v is not another VPS than %+v", n, w)
	}
	must(t, "set", two, "--mount-del", "/data")
	must(t, "start", two)
	if got := sh(t, two, "cat /root/f; hostname"); got != "one\n"+two {
		t.Errorf("it has %q", got)
	}

	archive := filepath.Join(t.TempDir(), "a.tar")
	must(t, "export", two, archive)
	refused(t, 2, "no network", "import", archive, three, "--network", "unknown=default")
	refused(t, 3, "does not exist here", "import", archive, three, "--network", n.Interfaces[0].Network+"=unknown")
	must(t, "import", archive, three, "--network", "none")
	if got := inspect(t, three); len(got.Interfaces) > 0 {
		t.Errorf("it has %+v", got.Interfaces)
	}
	must(t, "destroy", "--force", three)

	// Options change what it gets. If one cannot be made there is no VPS.
	taken := strings.Split(w.Interfaces[0].Addresses[0], "/")[0]
	refused(t, 4, taken, "import", archive, three, "--ip", taken)
	refused(t, 2, "no interface", "import", archive, three, "--ip", "eth7:"+taken)
	if got := try("import", archive, three, "--publish", "18081:80"); got.status != 4 || !strings.Contains(got.errOut, "18081") {
		t.Errorf("of a published port that is taken: %s", got)
	}
	refused(t, 3, "no VPS", "status", three)
	free := taken[:strings.LastIndex(taken, ".")] + ".233"
	must(t, "import", archive, three, "--ip", free, "--memory", "96M", "--label", "tier=copy", "--hostname", "copy")
	got := inspect(t, three)
	if strings.Split(got.Interfaces[0].Addresses[0], "/")[0] != free || got.Labels["tier"] != "copy" || got.Limits.MemoryBytes != 96<<20 || got.Hostname != "copy" {
		t.Errorf("it has %+v", got)
	}
}

// Of an archive that is cut, and of an import or export that is killed, nothing is left
// but what the next command removes.
func TestBackupCutShort(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	archive, cut := filepath.Join(dir, "a.tar"), filepath.Join(dir, "cut.tar")
	web := create(t, "busybox", "--network", "none")
	must(t, "start", web)
	sh(t, web, "dd if=/dev/urandom of=/srv/big bs=1M count=8 2>/dev/null")
	must(t, "export", web, archive)
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	again := restoredAs(t, web+"-2")
	for _, n := range []int{0, 100, 3000, len(text) / 2, len(text) - 3000} {
		if err := os.WriteFile(cut, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := try("import", cut, again); got.status != 2 {
			t.Errorf("of %d bytes: %s", n, got)
		}
	}
	refused(t, 3, "no VPS", "status", again)

	// The reader of a pipe that ends, and a writer that is killed.
	export := command(t.Context(), "export", web, "-")
	out, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Error(err)
	}
	out.Close()
	if err := export.Wait(); err == nil {
		t.Error("an export into a closed pipe succeeds")
	}
	killHalfway(t, text[:len(text)/2], "import", "-", again)
	killHalfway(t, nil, "export", web, "-")
	must(t, "import", archive, again)
	must(t, "destroy", "--force", again)
}

// killHalfway kills a command that has read the input and waits for more, or that has
// written a part of its output.
func killHalfway(t *testing.T, input []byte, args ...string) {
	t.Helper()
	cmd := command(t.Context(), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if input == nil {
		_, err = out.Read(make([]byte, 100))
	} else {
		_, err = bytes.NewReader(input).WriteTo(in)
	}
	if err != nil {
		t.Error(err)
	}
	kill9(t, cmd.Process.Pid)
	if err := cmd.Wait(); err == nil {
		t.Error("it ends well although it was killed")
	}
}
