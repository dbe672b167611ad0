package template

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/backups"
	"croft/template/layer"
	"croft/template/rootfs"
	"croft/template/rootfs/tree"
	"croft/template/roottest"
)

// A copiedVPS is a VPS whose own files each push copies: here they are always in the same
// directory.
type copiedVPS struct {
	*testing.T
	store   *Store
	hub     *hub
	base    Image
	root    rootfs.Rootfs
	records string
	warned  []string
}

// newCopied returns a VPS over a template, or with plain storage, whose files the script made
// in the directory "$1".
func newCopied(t *testing.T, plain bool, script string) *copiedVPS {
	t.Helper()
	roottest.NeedRoot(t)
	v := &copiedVPS{T: t, hub: newHub(t), records: filepath.Join(t.TempDir(), "pushed")}
	v.store = newStore(t, Options{Warn: func(line string) { v.warned = append(v.warned, line) }})
	v.base = mustImport(t, v.store, "base", roottest.Rootfs(t, roottest.Dir("d/"), roottest.File("d/in", "x"), roottest.Dir("o/"), roottest.File("o/old", "x"),
		roottest.File("gone", "x"), roottest.File("gone2", "x")), ImportOptions{})
	dirs, err := v.store.LayerDirs(v.base)
	roottest.Must(t, err)
	own := rootfs.Frozen{Dir: filepath.Join(t.TempDir(), "own"), First: 700000, Size: 65536}
	v.root = rootfs.Rootfs{Layers: dirs, Frozen: []rootfs.Frozen{own}, First: own.First, Size: own.Size}
	if plain {
		v.root.Tree, v.root.Frozen[0].First = "tree", 0
	}
	roottest.Must(t, os.Mkdir(own.Dir, 0o755))
	v.change(script)
	return v
}

// change runs a script in the own files.
func (v *copiedVPS) change(script string) {
	v.Helper()
	command := exec.Command("sh", "-e", "-c", script)
	command.Dir = v.root.Frozen[0].Dir
	if first := v.root.Frozen[0].First; first > 0 {
		command.Args[3] += "\ncd " + command.Dir + fmt.Sprintf("; find . -uid 0 -exec chown -h %d:%[1]d {} +", first)
	}
	if out, err := command.CombinedOutput(); err != nil {
		v.Fatalf("%v: %s", err, out)
	}
}

// push pushes the VPS, and checks that it is restored as it is now. It returns how many layers
// it has above the template.
func (v *copiedVPS) push(what, ref string, o backups.Options) (backups.Pushed, int) {
	v.Helper()
	return v.pushOnly(what, ref, o), v.restore(what, ref)
}

func (v *copiedVPS) pushOnly(what, ref string, o backups.Options) backups.Pushed {
	v.Helper()
	ref = v.hub.host + "/" + ref
	to, err := v.store.OpenPush(v.Context(), ref, PushOptions{Insecure: true})
	roottest.Must(v.T, err)
	o.Name, o.Settings, o.Created, o.Records = "web", json.RawMessage(theSettings), backupTime, v.records
	o.Remember = func(string) string { return "" }
	got, err := v.store.PushBackup(v.Context(), v.base.Digest, v.root, to, o)
	if err != nil {
		v.Fatalf("%s: %v", what, err)
	}
	return got
}

func (v *copiedVPS) restore(what, ref string) (layers int) {
	v.Helper()
	ref = v.hub.host + "/" + ref
	other := newStore(v, Options{})
	var im Image
	if err := other.PullBackup(v.Context(), ref, PullOptions{Insecure: true}, use(&im, nil)); err != nil {
		v.Fatalf("%s: restore: %v", what, err)
	}
	dirs, err := other.LayerDirs(im)
	roottest.Must(v.T, err)
	own := dirs
	if !v.root.Plain() {
		own = dirs[:len(im.Layers)-len(v.base.Layers)]
		v.sameView(what, dirs)
	}
	v.sameFiles(what, own, dirs[len(own):])
	return len(im.Layers) - len(dirs) + len(own)
}

// sameView checks that an overlay of the layers shows the files of the VPS.
func (v *copiedVPS) sameView(what string, dirs []string) {
	v.Helper()
	var restored []rootfs.Frozen
	for _, dir := range dirs {
		restored = append(restored, rootfs.Frozen{Dir: dir})
	}
	stacks := [][]rootfs.Frozen{append(slices.Clone(v.root.Frozen), v.root.Below()...), restored}
	roottest.Must(v.T, rootfs.WithViews(filepath.Join(v.TempDir(), "views"), stacks, func(roots []string) error {
		for _, dir := range []string{"d", "e", "etc", "links", "many", "o"} { // and not a data directory, which is not seen here
			both := []string{"", ""}
			for n, root := range roots {
				if _, err := os.Lstat(filepath.Join(root, dir)); err == nil {
					both[n] = exactly(v, filepath.Join(root, dir))
				}
			}
			roottest.SameLines(v, what+": /"+dir, both[1], both[0])
		}
		for _, name := range []string{"big", "gone", "gone2"} {
			_, had := os.Lstat(filepath.Join(roots[0], name))
			if _, has := os.Lstat(filepath.Join(roots[1], name)); (had == nil) != (has == nil) {
				v.Errorf("%s: %s: %v, and it was %v", what, name, has, had)
			}
		}
		return nil
	}))
}

// sameFiles checks that own files that are copied from the layers are those of the VPS: with
// plain storage or a disk limit, and in data directories.
func (v *copiedVPS) sameFiles(what string, layers, below []string) {
	v.Helper()
	r := rootfs.Rootfs{Dir: filepath.Join(v.TempDir(), "fs"), Tree: v.root.Tree, Layers: below, First: v.root.First, Size: v.root.Size}
	for _, dir := range layers {
		r.Frozen = append(r.Frozen, rootfs.Frozen{Dir: dir, Size: r.Size})
	}
	roottest.Must(v.T, os.Mkdir(r.Dir, 0o755))
	all, last := r.Frozen, len(r.Frozen)-1
	if r.Plain() {
		roottest.Must(v.T, tree.CopyTree(v.Context(), all[last], r.Own().Dir, nil))
	} else {
		r.Frozen = all[last:]
		roottest.Must(v.T, tree.MakeOwn(v.Context(), r))
	}
	r.Frozen = all[:last]
	roottest.Must(v.T, tree.Add(v.Context(), r))
	for _, dir := range append(rootfs.DataPaths(), "") {
		had, has := filepath.Join(v.root.Frozen[0].Dir, dir), filepath.Join(r.Own().Dir, dir)
		if _, err := os.Lstat(had); err != nil || dir == "" && !r.Plain() {
			continue
		}
		if !r.Plain() {
			roottest.SameLines(v, what+": /"+dir, exactly(v, has), exactly(v, had))
			continue
		}
		roottest.SameLines(v, what+": the copied files", exactly(v, has), exactly(v, had))
	}
}

// exactly is roottest.Exact for what a backup has: without the attributes of the root and
// without sockets and device nodes.
func exactly(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(roottest.Exact(t, root, layer.KeptXattr)) {
		switch {
		case strings.HasPrefix(line, `"." `), strings.Contains(line, "socket"):
		case strings.HasSuffix(line, " dev=0\n"):
			name, _, _ := strings.Cut(line, " ")
			b.WriteString(name + " is a whiteout\n")
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// attribute sets an extended attribute of an own file. With value "" it is removed.
func (v *copiedVPS) attribute(path, name, value string) {
	v.Helper()
	path = filepath.Join(v.root.Frozen[0].Dir, path)
	if value == "" {
		roottest.Must(v.T, unix.Removexattr(path, name))
	} else {
		roottest.Must(v.T, unix.Setxattr(path, name, []byte(value), 0))
	}
}

const ownFiles = `
	mkdir -p d/sub e/deep links many var/lib/docker/overlay2/one/diff var/lib/docker/overlay2/two/diff
	head -c 500000 /dev/urandom >big; echo one >d/in; echo two >d/sub/two; echo three >e/deep/three
	for i in $(seq 50); do echo $i >many/$i; done
	echo linked >links/a; ln links/a links/b; ln links/a e/c; ln -s ../big e/soft; mkfifo e/pipe
	echo x >e/attributes; echo x >e/capable; truncate -s 8M e/sparse; touch -d 2001-02-03 e/deep
	echo layer >var/lib/docker/overlay2/one/diff/file; echo x >var/lib/docker/overlay2/two/diff/x; mknod var/lib/docker/overlay2/one/diff/white c 0 0
	chown -R OWNER:OWNER .; chown $((OWNER+5)):$((OWNER+6)) d/in; chmod 4755 d/sub/two`

// Capabilities of root inside with the first id 0, and with OWNER: vfs_cap_data.
const (
	capInside  = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	capOutside = "\x01\x00\x00\x03\x00\x20\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x60\xae\x0a\x00"
)

// Later pushes of a VPS whose files are copied send what has changed, and restore exactly
// what is there.
func TestPushOfWhatHasChanged(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain=", plain), func(t *testing.T) {
			owner, capability := "700000", capOutside
			if plain {
				owner, capability = "0", capInside
			}
			v := newCopied(t, plain, strings.ReplaceAll(ownFiles, "OWNER", owner))
			v.attribute("e/attributes", "user.note", "a b")
			v.attribute("e/capable", "security.capability", capability)
			v.attribute("e", "user.dir", "x")
			roottest.Must(t, unix.Mknod(filepath.Join(v.root.Frozen[0].Dir, "e/socket"), unix.S_IFSOCK|0o600, 0))
			if !plain { // of the template: removed, replaced, and hidden
				v.change(`mknod gone c 0 0; mkdir -p o; echo new >o/new; chown -R 700000:700000 o`)
				v.attribute("o", layer.XattrOpaque, "y")
			}
			first, n := v.push("first", "web:1", backups.Options{})
			if n != 1 || first.Sent < 500000 || first.LeftOut.Sockets != 1 {
				t.Errorf("the first push: %d layers, %+v", n, first)
			}
			for i, c := range []struct {
				what, script string
				layers       int
			}{
				{"nothing", `true`, 1},
				{"a file", `echo changed >many/7`, 2},
				{"attributes", `chmod 600 many/8; touch -h -d 2005-01-01 e/soft; chown OWNER links/a`, 3},
				{"removed and renamed", `rm many/9 e/pipe; rm -r d/sub; mv many/10 e/ten; mv e/deep e/deeper`, 4},
				{"links", `rm links/b; ln links/a links/z; ln many/1 e/first`, 5},
				{"kinds", `rm e/soft; mkdir e/soft; echo x >e/soft/x; rm -r e/deeper; echo file >e/deeper`, 6},
				{"containers", `cd var/lib/docker/overlay2; rm two/diff/x; mknod two/diff/x c 0 0; rm one/diff/white; mkdir -p three/diff; echo y >three/diff/y; mknod three/diff/w c 0 0`, 7},
				{"containers again", `cd var/lib/docker/overlay2; rm two/diff/x; echo z >two/diff/z; rm -r one; echo x >three/diff/w2`, 8},
				{"back", `mkdir -p e/deep many; rm e/deeper; echo nine >many/9; echo three >e/deep/three`, 9},
			} {
				v.change(strings.ReplaceAll(c.script, "OWNER", strings.TrimSuffix(owner, "0")+"7"))
				if c.what == "attributes" {
					v.attribute("e/attributes", "user.note", "c")
					v.attribute("e", "user.dir", "")
				}
				got, n := v.push(c.what, fmt.Sprintf("web:a%d", i), backups.Options{})
				if n != c.layers || got.Sent > 20000 || got.Shared < first.Sent-20000 || got.LeftOut.Sockets != 1 {
					t.Errorf("%s: %d layers and not %d, %+v", c.what, n, c.layers, got)
				}
			}
			if !plain {
				v.change(`mknod gone2 c 0 0; rm -r o; mknod o c 0 0; rm d/in; mkdir d/in; echo x >d/in/x; chown -R 700000:700000 d`)
				v.attribute("d/in", layer.XattrOpaque, "y")
				if got, n := v.push("the template's", "web:hidden", backups.Options{}); n != 10 || got.Sent > 20000 {
					t.Errorf("the template's: %d layers, %+v", n, got)
				}
				// What the layers below have cannot be shown again.
				v.change(`rm gone`)
				if got, n := v.push("shown again", "web:shown", backups.Options{}); n != 1 || got.Sent < 500000 {
					t.Errorf("shown again: %d layers, %+v", n, got)
				}
			}
			if len(v.warned) > 0 {
				t.Errorf("warnings: %q", v.warned)
			}
		})
	}
}

// A push sends all files again if it must, or if many small layers are in the way.
func TestPushOfAllFilesAgain(t *testing.T) {
	v := newCopied(t, false, `mkdir d; head -c 300000 /dev/urandom >d/big; for i in 1 2 3; do echo $i >d/$i; done; chown -R 700000:700000 .`)
	small := func(what, ref string, o backups.Options, layers int) {
		t.Helper()
		v.change(`date +%N >d/1`)
		if got, n := v.push(what, ref, o); n != layers || got.Sent > 20000 {
			t.Errorf("%s: %d layers, %+v", what, n, got)
		}
	}
	all := func(what, ref string, o backups.Options) {
		t.Helper()
		v.change(`date +%N >d/1`)
		if got, n := v.push(what, ref, o); n != 1 || got.Sent < 300000 {
			t.Errorf("%s: %d layers, %+v", what, n, got)
		}
	}
	all("the first", "one:1", backups.Options{})
	small("the second", "one:2", backups.Options{}, 2)
	all("another repository", "two:1", backups.Options{})
	small("the former repository", "one:3", backups.Options{}, 3)
	all("another compression", "one:4", backups.Options{Compress: backups.CompressGzip})
	small("the same compression", "one:5", backups.Options{Compress: backups.CompressGzip}, 2)
	all("the former compression", "one:6", backups.Options{})
	records := func(do func(path string)) {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(v.records, "*"))
		roottest.Must(t, err)
		if len(paths) == 0 {
			t.Error("there is no record")
		}
		for _, path := range paths {
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Mode&0o777 != 0o600 {
				t.Errorf("%s has the mode %o, %v", path, st.Mode, err)
			}
			do(path)
		}
	}
	records(func(path string) { roottest.Must(t, os.Truncate(path, 300)) })
	all("a damaged record", "one:7", backups.Options{})
	records(func(path string) { roottest.Must(t, os.WriteFile(path, []byte("croft record 2\n"), 0o600)) })
	all("a newer record", "one:8", backups.Options{})
	records(func(path string) { roottest.Must(t, os.Remove(path)) })
	all("no record", "one:9", backups.Options{})
	v.hub.loses()
	all("a registry that has lost it", "one:10", backups.Options{})

	// Many small layers become one, and not all files.
	for n := 2; n <= 17; n++ {
		v.change(`date +%N >d/1`)
		if got := v.pushOnly("many", "one:many", backups.Options{}); got.Sent > 20000 {
			t.Errorf("many: %d layers, %+v", n, got)
		}
	}
	if n := v.restore("many", "one:many"); n != 17 {
		t.Errorf("many: %d layers", n)
	}
	small("too many", "one:more", backups.Options{}, 2)
	small("after that", "one:most", backups.Options{}, 3)

	v.change(`head -c 200000 /dev/urandom >d/other`)
	if got := v.pushOnly("a large change", "one:large", backups.Options{}); got.Sent > 220000 {
		t.Errorf("a large change: %+v", got)
	}
	v.change(`head -c 310000 /dev/urandom >d/big`)
	all("a larger change", "one:large2", backups.Options{})

	for n := range 6 {
		v.pushOnly("repositories", fmt.Sprintf("r%d:1", n), backups.Options{})
	}
	if left, err := os.ReadDir(v.records); err != nil || len(left) != 4 {
		t.Errorf("there are records %v, %v", left, err)
	}
	// The VPS is renamed during a push, or the disk is full: the push is done.
	v.records = filepath.Join(t.TempDir(), "missing", "pushed")
	all("of a VPS that is gone", "one:gone", backups.Options{})
	if len(v.warned) > 0 {
		t.Errorf("warnings: %q", v.warned)
	}
	v.records = filepath.Join(t.TempDir(), "file")
	roottest.Must(t, os.WriteFile(v.records, nil, 0o600))
	all("without a place for records", "one:file", backups.Options{})
	if len(v.warned) != 1 || !strings.Contains(v.warned[0], "next push") {
		t.Errorf("warnings: %q", v.warned)
	}
}
