package accounts

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

const (
	hash = "$6$rounds=100000$salt$hash"
	key  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJaoFlUE66iTmIVxq3e ann@example"
)

var update = flag.Bool("update", false, "write the golden files")

// day is 20786 days after 1970.
var day = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// debian, alpine and fedora are the account files of these distributions.
var (
	debian = map[string]string{
		"etc/passwd":       "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n",
		"etc/group":        "root:x:0:\nadm:x:4:syslog\nsudo:x:27:\nann:x:1000:\n",
		"etc/shadow":       "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\nann:$y$old:19000:0:99999:7:::\n",
		"etc/gshadow":      "root:*::\nadm:*::syslog\nsudo:*::\nann:!::\n",
		"etc/skel/.bashrc": "# shell\n",
		"etc/skel/.a/b":    "b\n",
		"bin/bash":         "",
		"home/ann/x":       "",
		"etc/login.defs":   "# UID_MIN 5\nUID_MIN\t\t 1000\nUID_MAX 60000\nHOME_MODE 0750\n",
	}
	alpine = map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nguest:x:405:100:guest:/dev/null:/sbin/nologin\n",
		"etc/group":  "root:x:0:root\nwheel:x:10:root\n",
		"etc/shadow": "root:*::0:::::\nguest:!::0:::::\n",
	}
	fedora = map[string]string{
		"etc/passwd":  "root:x:0:0:Super User:/root:/bin/bash\n",
		"etc/group":   "root:x:0:\nwheel:x:10:",
		"etc/shadow":  "root:!unprovisioned::0:99999:7:::\n",
		"etc/gshadow": "root:::\nwheel:::",
	}
	odd = map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\n+::::::\nbob:x:7:7::/srv/bob:/bin/sh\n",
		"etc/shadow": "+::::::::\nzoe:!!:1",
		"etc/group":  "zoe:x:1500:\n+:::\n",
	}
	without = map[string]string{"etc/passwd": "root::0:0::/root:/bin/sh\nold:$1$x$y:1:1::/home/old:/bin/sh\n"}
)

func tree(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return root
}

// text writes a plan down.
func (p Plan) text() string {
	var b strings.Builder
	for _, s := range p.Steps {
		kind, by := "file", ""
		if s.Directory {
			kind = "directory"
		}
		if s.ByRoot {
			by = " by root"
		}
		fmt.Fprintf(&b, "%s %s %04o %d:%d%s\n", kind, s.Path, s.Mode, s.UID, s.GID, by)
		for line := range strings.Lines(string(s.Content)) {
			fmt.Fprintf(&b, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	return b.String()
}

func TestPlans(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		access vps.Access
	}{
		"debian-root":     {debian, vps.Access{Hash: hash, Keys: []string{key}}},
		"debian-new-user": {debian, vps.Access{User: "deploy", Groups: []string{"sudo", "adm"}, Keys: []string{key}}},
		"debian-existing": {debian, vps.Access{User: "ann", Groups: []string{"sudo"}, Hash: hash, Keys: []string{key}}},
		"alpine-new-user": {alpine, vps.Access{User: "deploy", Groups: []string{"wheel"}, Hash: hash}},
		"alpine-root":     {alpine, vps.Access{Keys: []string{key}}},
		"fedora-new-user": {fedora, vps.Access{User: "deploy", Groups: []string{"wheel"}, Hash: hash}},
		"odd-new-user":    {odd, vps.Access{User: "zoe", Hash: hash}},
		"odd-existing":    {odd, vps.Access{User: "bob", Hash: hash}},
		"without-shadow":  {without, vps.Access{Hash: hash}},
		"without-files":   {map[string]string{}, vps.Access{Hash: hash}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := For(tree(c.files), c.access, day)
			if err != nil {
				t.Fatal(err)
			}
			file, got := "testdata/"+name+".txt", p.text()
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got != string(want) {
				t.Errorf("%v; got\n%swant\n%s", err, got, want)
			}
			again := again(c.files, p)
			if p, err := For(again, c.access, day); err != nil || len(p.Steps) > 0 {
				t.Errorf("a second time: %v\n%s", err, p.text())
			}
		})
	}
}

// again is the tree after the plan.
func again(files map[string]string, p Plan) fstest.MapFS {
	root := tree(files)
	for _, s := range p.Steps {
		mode := s.Mode
		if s.Directory {
			mode |= fs.ModeDir
		}
		root[s.Path[1:]] = &fstest.MapFile{Data: s.Content, Mode: mode}
	}
	return root
}

// A plan that was carried out in part is made again, and leads to the same end.
func TestPlansCutShort(t *testing.T) {
	access := vps.Access{User: "deploy", Groups: []string{"sudo"}, Hash: hash, Keys: []string{key}}
	whole, err := For(tree(debian), access, day)
	if err != nil {
		t.Fatal(err)
	}
	want := again(debian, whole)
	for n := range whole.Steps {
		files := again(debian, Plan{whole.Steps[:n]})
		p, err := For(files, access, day)
		if err != nil {
			t.Errorf("after %d steps: %v", n, err)
			continue
		}
		for _, s := range p.Steps {
			files[s.Path[1:]] = &fstest.MapFile{Data: s.Content}
		}
		for _, name := range []string{"etc/passwd", "etc/shadow", "etc/group", "etc/gshadow", "home/deploy/.ssh/authorized_keys"} {
			if got := files[name]; got == nil || string(got.Data) != string(want[name].Data) {
				t.Errorf("after %d steps %s is %v", n, name, got)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	full := map[string]string{"etc/passwd": "a:x:1000:1000::/a:/bin/sh\n", "etc/login.defs": "UID_MIN 1000\nUID_MAX 1000\n"}
	linked := tree(debian)
	linked["etc/shadow"] = &fstest.MapFile{Data: []byte("/host/shadow"), Mode: fs.ModeSymlink}
	keys := tree(debian)
	keys["root/.ssh/authorized_keys"] = &fstest.MapFile{Data: []byte("/etc/shadow"), Mode: fs.ModeSymlink}
	fifo := tree(debian)
	fifo["etc/group"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	homeless := map[string]string{"etc/passwd": "app:x:33:33::/:/bin/sh\n"}
	occupied := tree(debian)
	occupied["home/deploy"] = &fstest.MapFile{}
	for _, c := range []struct {
		root   fs.FS
		access vps.Access
		kind   fail.Kind
		want   string
	}{
		{tree(full), vps.Access{User: "b"}, fail.State, "no user id from 1000 to 1000"},
		{tree(debian), vps.Access{User: "deploy", Groups: []string{"wheel"}}, fail.State, "no group wheel"},
		{tree(debian), vps.Access{User: "sudo"}, fail.State, "a group of that name"},
		{linked, vps.Access{Hash: hash}, fail.State, "cannot read /etc/shadow inside: it is a link"},
		{keys, vps.Access{Keys: []string{key}}, fail.State, "authorized_keys inside: it is a link"},
		{fifo, vps.Access{User: "deploy"}, fail.State, "not a regular file"},
		{occupied, vps.Access{User: "deploy"}, fail.State, "/home/deploy inside is not a directory"},
		{tree(homeless), vps.Access{User: "app", Keys: []string{key}}, fail.State, "no home directory"},
		{tree(map[string]string{"etc/passwd": "bad:x:one:1::/:/bin/sh\n"}), vps.Access{User: "bad"}, fail.State, "entry of bad is invalid"},
		{tree(debian), vps.Access{User: "Deploy"}, fail.Usage, "invalid name"},
		{tree(debian), vps.Access{User: "a:b"}, fail.Usage, "invalid name"},
		{tree(debian), vps.Access{Hash: "$6$a:b"}, fail.Usage, "invalid hash"},
		{tree(debian), vps.Access{Hash: "plain"}, fail.Usage, "invalid hash"},
		{tree(debian), vps.Access{Keys: []string{"a\nb"}}, fail.Usage, "not one line"},
	} {
		if _, err := For(c.root, c.access, day); !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, not %q", c.access, err, c.want)
		}
	}
}

// A key that is there keeps its options and its comment.
func TestKeysAreAddedOnce(t *testing.T) {
	root := tree(debian)
	const mine = "# mine\nrestrict,command=\"/bin/x y\" " + key + " other comment\n\nssh-rsa AAAAB3 rsa"
	root["root/.ssh/authorized_keys"] = &fstest.MapFile{Data: []byte(mine)}
	p, err := For(root, vps.Access{Keys: []string{key, "ssh-rsa AAAAB4 new", "ssh-rsa AAAAB4 twice"}}, day)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Steps[len(p.Steps)-1]; string(got.Content) != mine+"\nssh-rsa AAAAB4 new\n" {
		t.Errorf("got %s", got.Content)
	}
}

// Whatever the files contain, the lines of others stay as they are.
func FuzzFor(f *testing.F) {
	for _, files := range []map[string]string{debian, alpine, fedora, odd, without} {
		f.Add(files["etc/passwd"], files["etc/shadow"], files["etc/group"])
	}
	f.Fuzz(func(t *testing.T, passwd, shadow, group string) {
		root := tree(map[string]string{"etc/passwd": passwd, "etc/shadow": shadow, "etc/group": group})
		p, err := For(root, vps.Access{User: "deploy", Hash: hash, Keys: []string{key}}, day)
		if err != nil {
			return
		}
		for _, s := range p.Steps {
			was, ok := root[s.Path[1:]]
			if !ok || s.Directory || strings.HasPrefix(s.Path, "/home") {
				continue
			}
			left := strings.Split(string(s.Content), "\n")
			for line := range strings.SplitSeq(string(was.Data), "\n") {
				if !strings.HasPrefix(line, "deploy:") && !slices.Contains(left, line) {
					t.Errorf("%s has lost %q: %q", s.Path, line, s.Content)
				}
			}
		}
	})
}
