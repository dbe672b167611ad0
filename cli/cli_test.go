package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"croft/cli/cmdline"
	"croft/cli/command"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"croft": fakeMain})
}

// The scripts test the command line with a fake Manager. "exits N croft …" runs
// croft and expects that exit status. "calls FILE" compares the calls of the
// Manager, except New, with FILE, and forgets them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("FAKE_CALLS", filepath.Join(env.WorkDir, "calls"))
			env.Setenv("TZ", "UTC")
			env.Setenv("CROFT_CONFIG_DIR", filepath.Join(env.WorkDir, "etc"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "calls": calls, "await": await,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func calls(ts *testscript.TestScript, neg bool, args []string) {
	var want string
	if len(args) == 1 {
		want = ts.ReadFile(args[0])
	}
	path := ts.MkAbs("calls")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(data), "\n"), func(l string) bool { return strings.HasPrefix(l, "New ") })
	if got := strings.Join(lines, ""); got != want {
		ts.Fatalf("calls:\n%s\nwant:\n%s", got, want)
	}
	_ = os.Remove(path)
}

// await waits until a file holds a text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), args[1]) {
			return
		}
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

// eachVerb calls do with every verb that is not a family, and its path.
func eachVerb(v *cmdline.Verb, path []string, do func(path []string, v *cmdline.Verb)) {
	for _, sub := range v.Verbs {
		eachVerb(sub, append(slices.Clone(path), sub.Name), do)
	}
	if len(v.Verbs) == 0 {
		do(path, v)
	}
}

// words are some that the verb takes.
func wordsFor(path []string, v *cmdline.Verb) []string {
	switch {
	case v.Name == "completion":
		return []string{"bash"}
	case v.Name == "cp":
		return []string{"web:/etc/hosts", "."}
	case v.Name == "allow" || v.Name == "deny":
		return []string{"web", "80/tcp"}
	case v.Name == "policy":
		return []string{"web", "input", "drop"}
	case v.Name == "add" && path[0] == "publish":
		return []string{"web", "80:80"}
	case v.Name == "add" && path[0] == "route":
		return []string{"web", "192.0.2.0/24"}
	case v.Name == "remove" && path[0] == "firewall":
		return []string{"web", "deny", "80/tcp"}
	case v.Name == "remove" && path[0] == "route":
		return []string{"web", "192.0.2.0/24"}
	case v.Name == "remove" && path[0] == "publish":
		return []string{"web", "1"}
	case v.Args == "FILE|- [NAME]", v.Name == "adopt":
		return []string{"-"}
	case strings.HasSuffix(v.Args, "|-"):
		return []string{"web", "-"}
	case v.Name == "push": // of a template or a VPS
		return []string{"web", "registry.example/web"}
	case v.Args == "REF [NAME]":
		return []string{"registry.example/web"}
	case v.Args == "NAME URL":
		return []string{"lab", "https://lab.example.org"}
	case v.Name == "tag":
		return []string{"debian-12", "base"}
	case v.Name == "move":
		return []string{"web", "host-2"}
	case v.Name == "rename", v.Name == "clone":
		return []string{"web", "www"}
	case path[0] == "snapshot" && v.Name == "mount":
		return []string{"web", "first", "/"}
	case path[0] == "snapshot" && strings.HasPrefix(v.Args, "NAME SNAPSHOT"):
		return []string{"web", "first"}
	case v.Name == "exec":
		return []string{"web", "true"}
	case v.Name == "run":
		return []string{"true"}
	case strings.HasPrefix(v.Args, "NAME"):
		return []string{"web"}
	}
	return nil
}

// Every option refuses empty and invalid values before the first call of the
// Manager. The error has its name.
func TestOptionsRefuseNonsense(t *testing.T) {
	const nonsense = "%$š"
	anything := map[string]bool{
		"template build --recipe":       true, // a file may be called so
		"template remote add --key":     true,
		"set --file":                    true, // read later
		"snapshot create --description": true,
		"adopt --config":                true, "adopt --rootfs": true,
		"adopt --description": true, "adopt --ssh-key": true, "adopt --first-boot": true, "adopt --user-data": true, "adopt --password-file": true,
		"create --description": true, "run --description": true, "set --description": true, "clone --description": true, "import --description": true,
		"create --ssh-key": true, "run --ssh-key": true, "set --ssh-key": true, "clone --ssh-key": true, "import --ssh-key": true, "reinstall --ssh-key": true,
		"create --first-boot": true, "run --first-boot": true, "set --first-boot": true, "clone --first-boot": true, "import --first-boot": true, "reinstall --first-boot": true,
		"create --user-data": true, "run --user-data": true, "set --user-data": true, "clone --user-data": true, "import --user-data": true, "reinstall --user-data": true,
		"create --password-file": true, "run --password-file": true, "set --password-file": true, "clone --password-file": true, "import --password-file": true, "reinstall --password-file": true,
	}
	root := commands((&command.App{}))
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		if v.Name == "help" || v.Foreign {
			return
		}
		want := 2
		if v.StatusInside {
			want = 125
		}
		var args []string
		args = append(args, path...)
		if _, ok := v.Option("template"); ok {
			args = append(args, "--template", "busybox")
		}
		for _, o := range append(slices.Clone(v.Options), root.Options...) {
			for _, value := range []string{"", nonsense} {
				if value == nonsense && anything[strings.Join(path, " ")+" --"+o.Name] {
					continue
				}
				line := append(slices.Concat(args, []string{"--" + o.Name + "=" + value}), wordsFor(path, v)...)
				r := croft(t, nil, line...)
				if r.status != want || !strings.Contains(r.err, "--"+o.Name+": ") || r.called != "" || r.out != "" ||
					strings.Count(r.err, "\n") != 2 || !strings.HasPrefix(strings.SplitAfter(r.err, "\n")[1], "croft: hint: ") {
					t.Errorf("%q: status %d, want %d; called %q; said %q%s", line, r.status, want, r.called, r.out, r.err)
				}
			}
		}
	})
}

// signKey returns a private key.
func signKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Every option of every verb has an effect: it changes the calls of the Manager or
// the output.
func TestOptionsAreNotIgnored(t *testing.T) {
	values := map[string]string{
		"ip": "10.88.0.9", "dns": "192.0.2.1", "search": "example", "sysctl": "net.x=1", "allow": "vsock", "cap-add": "SYS_TIME", "cap-drop": "NET_RAW", "env": "A=b", "device": "/dev/kvm", "device-add": "/dev/sdb:/dev/xvda:r", "device-del": "gpu", "label": "a=b",
		"memory": "64M", "swap": "0", "disk": "10G", "inodes": "5000", "cpus": "1.5", "pids": "9", "memory-low": "32M", "cpu-weight": "200", "cpuset": "0", "io-weight": "50", "io-read": "10M", "io-write": "50iops", "id-size": "131072", "storage": "plain", "privileged": "no", "hostname": "h", "network": "dmz", "network-add": "dmz:ip=10.7.0.9,mac=02:00:00:00:00:07", "network-del": "default", "mode": "routed", "bridge": "br7", "parent": "eth7", "ipv4": "10.7.0.0/16", "ipv6": "none", "gateway": "10.7.0.9",
		"template": "busybox", "snapshot": "2026-01-01", "clone": "web@first", "every": "weekly", "timeout": "9s", "wait-timeout": "9s", "signal": "HUP", "user": "me", "cwd": "/x",
		"wait": "network", "name": "n", "boot": "-1", "lines": "7", "for": "running", "columns": "uuid", "sort": "memory", "filter": "name=web",
		"recipe": "f", "set": "port=8080", "mirror": "http://archive.invalid/x", "distribution": "d", "release": "r", "variant": "v",
		"via": "10.0.0.1", "dev": "eth1", "src": "10.0.0.2", "mtu": "1300", "advmss": "1200", "table": "100", "metric": "5", "priority": "7",
		"ip-add": "10.88.0.9", "ip-del": "10.88.0.10", "rate": "10M", "connections": "500", "owner": "5:6", "interval": "0",
		"chain": "output", "from": "10.0.0.0/8", "to": "fd00::1", "state": "new", "at": "1",
		"architecture": "arm64", "description": "a text", "root": "/r", "config-dir": "/c", "cgroup-manager": "cgroupfs", "run-dir": "/x", "lock-timeout": "7s",
		"publish": "8080:80", "since": "90m", "names": "no", "mount": "data:/srv", "mount-add": "tmpfs:/cache", "mount-del": "/srv",
		"image": "x", "format": "{{1}}",
		"onboot": "no", "boot-order": "9", "stop-timeout": "9s", "restart": "always", "fit": "fstab", "protect": "yes", "dmesg": "off", "seccomp": "minimal", "max-size": "500G", "remote": "lab=https://lab.example.org", "key": "testdata/image-server.asc", "keep": "7d", "expire": "7d", "compress": "gzip",
	}
	// Options without an effect here. For --host see TestAnotherHost. --wide has one on a terminal: see
	// TestTablesFitTheTerminal.
	silent := map[string]bool{
		"inspect --json": true, "template inspect --json": true, "network inspect --json": true, "volume inspect --json": true,
		"exec --no-terminal": true, "run --no-terminal": true, // there is no terminal
		"exec --terminal": true, "run --terminal": true, // see TestTerminal
		"template export --force":    true, // into standard output
		"export --force":             true,
		"logs --raw":                 true, // there is no terminal: see TestLogsOnATerminal
		"exec --interactive":         true, // croft passes stdin anyway
		"cp --archive":               true, // croft keeps owners and copies directories anyway
		"cp --recursive":             true,
		"run --interactive":          true,
		"create --password-stdin":    true, // standard input is empty: see TestPasswordFromStandardInput
		"run --password-stdin":       true,
		"set --password-stdin":       true,
		"clone --password-stdin":     true,
		"adopt --password-stdin":     true, // standard input has the archive
		"import --password-stdin":    true,
		"reinstall --password-stdin": true,
		"stats --watch":              true, // goes on until interrupted: see the script stats
		"events --follow":            true, // the same: see TestFollowersEndWithTheirReader
	}
	needs := map[string][]string{"start --timeout": {"--wait"}, "host boot --timeout": {"--wait"}, "restart --wait-timeout": {"--wait"}, "create --insecure": {"--from=registry.example/web"}}
	fromRegistry := map[string]bool{"create --from": true, "create --insecure": true}
	config := t.TempDir()
	write(t, filepath.Join(config, "profiles", "small.yaml"), "memory: 128M\n")
	write(t, filepath.Join(config, "key.pub"), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJaoFlUE66iTmIVxq3e+ubo8MlCRGLcJhje8WUMwmxUV ann\n")
	write(t, filepath.Join(config, "password"), "secret\n")
	values["sign-key"] = filepath.Join(config, "sign.pem")
	write(t, values["sign-key"], signKey(t))
	write(t, filepath.Join(config, "user-data"), "#cloud-config\n")
	write(t, filepath.Join(config, "first-boot"), "true\n")
	values["first-boot"] = filepath.Join(config, "first-boot")
	values["credential"], values["timezone"], values["locale"], values["user-data"] = "a=b", "Europe/Berlin", "de_DE.UTF-8", filepath.Join(config, "user-data")
	values["ssh-key"], values["password-file"] = filepath.Join(config, "key.pub"), filepath.Join(config, "password")
	values["profile"], values["file"] = "small", filepath.Join(config, "profiles", "small.yaml")
	root := commands((&command.App{}))
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		// These ask no Manager, so it does not matter to them where it is.
		alone := slices.Contains([]string{"version", "completion", "man", "recipe"}, v.Name)
		if v.Name == "help" || v.Foreign || v.Name == "metrics" { // metrics goes on until interrupted: see TestMetrics
			return
		}
		for _, o := range append(slices.Clone(v.Options), root.Options...) {
			id := strings.Join(path, " ") + " --" + o.Name
			if _, global := root.Option(o.Name); silent[id] || o.Here || o.Name == "wide" || o.Name == "help" || global && alone || o.Name == "debug" {
				continue
			}
			words := wordsFor(path, v)
			base := append(slices.Clone(path), needs[id]...)
			if path[0] == "route" && v.Name == "remove" && slices.Contains([]string{"from", "to", "priority"}, o.Name) {
				words, base = []string{"web", "rule"}, append(base, "--table=100")
			}
			if id == "run --detach" || id == "move --receive" {
				words = nil
			}
			if slices.Contains([]string{"move --abort", "move --take-over", "move --settle"}, id) {
				words = []string{"web"}
			}
			if id == "template recipe --json" || o.Name == "all" {
				words = nil
			}
			if path[0] == "network" && v.Name == "set" {
				base = append(base, "--names=yes")
			} else if v.Name == "set" { // something has to be set
				base = append(base, "--onboot=yes")
			}
			if v.Name == "convert" && o.Name != "storage" {
				base = append(base, "--storage=plain")
			}
			if v.Name == "stats" && o.Name != "interval" {
				base = append(base, "--interval=0")
			}
			if v.Name == "rule" { // something has to be ruled
				base = append(base, "--table=9")
				if o.Name != "to" { // whose value is of another family
					base = append(base, "--from=10.0.0.3")
				}
			}
			if _, ok := v.Option("template"); ok && o.Name != "template" && o.Name != "clone" && !fromRegistry[id] {
				base = append(base, "--template", "debian-12")
			}
			value := values[o.Name]
			switch id {
			case "reinstall --keep":
				value = "/home"
			case "create --from":
				value = "registry.example/web"
			case "import --network":
				value = "default=dmz"
			case "adopt --from":
				value = "lxc"
			case "adopt --config", "adopt --rootfs":
				value = "f"
			case "template export --format":
				value = "rootfs"
			case "snapshot schedule --format":
				value = "cron"
			case "move --network":
				value = "lan=dmz"
			case "snapshot schedule --expire":
				value = "9d"
			}
			if v.Name == "create" && path[0] == "template" { // it is made of something
				if value = "db"; o.Name != "from" {
					base, value = append(base, "--from=web"), values[o.Name]
				}
			}
			if o.Name == "storage" && (v.Name == "set" || v.Name == "clone" || v.Name == "import") { // what it has already
				value = "overlay"
			}
			if v.Name == "stats" && o.Name == "columns" {
				value = "swap"
			}
			if o.Name == "inodes" {
				base = append(base, "--disk=10G")
			}
			with := "--" + o.Name
			if o.TakesValue() {
				if value == "" {
					t.Fatalf("no value to try --%s with", o.Name)
				}
				with += "=" + value
			}
			env := map[string]string{"FAKE_REFUSE": "Exec web: command 126", "CROFT_CONFIG_DIR": config, "EDITOR": "true"}
			a := croft(t, env, append(slices.Clone(base), words...)...)
			b := croft(t, env, slices.Concat(base, []string{with}, words)...)
			if b.status == 3 && (v.Name == "remove" || o.Name == "ip-del" || o.Name == "device-del" || o.Name == "mount-del") {
				b.status = 0 // it chooses an entry that the VPS does not have
			}
			if v.StatusInside == (b.status == 0) && v.Name != "run" && v.Name != "enter" || b.status == 2 || b.status == 125 {
				t.Errorf("%s: exit status %d: %s", id, b.status, b.err)
			}
			if a == b {
				t.Errorf("%s changes nothing:\n%s%s%s", id, b.called, b.out, b.err)
			}
		}
	})
}

func TestHelpGolden(t *testing.T) {
	root := commands((&command.App{}))
	check := func(path []string) {
		r := croft(t, nil, append([]string{"help"}, path...)...)
		if r.status != 0 || r.err != "" || r.called != "" {
			t.Errorf("help %v: %+v", path, r)
		}
		if again := croft(t, nil, append(slices.Clone(path), "--help")...); again.out != r.out {
			t.Errorf("croft %v --help says something else", path)
		}
		file := filepath.Join("testdata/help", strings.Join(append([]string{"croft"}, path...), "-")+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(r.out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if r.out != string(want) {
			t.Errorf("help %v is:\n%s\nand not:\n%s", path, r.out, want)
		}
		for line := range strings.Lines(r.out) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("help %v: a line of %d characters: %s", path, n, line)
			}
		}
	}
	if *update {
		if err := os.MkdirAll("testdata/help", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	check(nil)
	for _, v := range root.Verbs {
		if len(v.Verbs) > 0 {
			check([]string{v.Name})
		}
	}
	eachVerb(root, nil, func(path []string, v *cmdline.Verb) {
		if v.Name != "help" {
			check(path)
		}
	})
}

// Verbs and options fit together, and each has what help shows.
func TestVerbsAreWhole(t *testing.T) {
	root := commands((&command.App{}))
	var walk func(path string, v *cmdline.Verb)
	walk = func(path string, v *cmdline.Verb) {
		if v.Summary == "" || strings.HasSuffix(v.Summary, ".") || (v.Run == nil) == (len(v.Verbs) == 0) && v != root {
			t.Errorf("%s is no whole verb", path)
		}
		seen := map[string]bool{}
		for _, o := range v.Shown() {
			for _, name := range []string{o.Name, o.Short} {
				if name != "" && seen[name] {
					t.Errorf("%s: two options %s", path, name)
				}
				seen[name] = true
			}
			if o.Usage == "" || len(o.Short) > 1 || len(o.Name) < 2 {
				t.Errorf("%s: option %s is not whole", path, o.Name)
			}
			if _, ok := root.Option(o.Name); ok && v != root {
				t.Errorf("%s: --%s hides the option of every command", path, o.Name)
			}
		}
		for _, sub := range v.Verbs {
			if sub.Name == "monitor" {
				t.Errorf("%s: croft itself is executed by that name", sub.Name)
			}
			for _, other := range v.Verbs {
				for _, name := range slices.Concat(sub.Synonyms, sub.Aliases, sub.AtRoot) {
					if name == other.Name || other != sub && slices.Contains(other.Aliases, name) {
						t.Errorf("%s: %s is another name of %s, and a command", path, name, sub.Name)
					}
				}
			}
			walk(path+" "+sub.Name, sub)
		}
	}
	walk("croft", root)
}
