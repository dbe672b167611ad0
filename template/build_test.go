package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
	"croft/template/busybox"
	"croft/template/images"
	"croft/template/recipe"
	"croft/template/roottest"
)

func TestToolOutput(t *testing.T) {
	for _, c := range []struct{ name, lines, says string }{
		{"an error of its own", "I: running apt-get update...\nE: one\nE: two", "mmdebstrap: one (exit"},
		{"only chatter", "Reading...\n\ncould not connect\n", "mmdebstrap: could not connect (exit"},
		{"a script of the recipe", "I: x\nusermod: no such user\ncroft-failed: post-install\nE: setup failed", "the recipe's post-install script: usermod: no such user (exit"},
		{"a full disk", "tar: x: Cannot write: No space left on device\nE: tar failed", "the disk is full"},
		{"nothing", "", "it printed nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			tr := &toolOutput{tool: "mmdebstrap", marks: []string{"E: "}, to: func(Update) {}, log: &log, refused: func() string { return "" }}
			tr.read(strings.NewReader(c.lines))
			err := tr.failure(errors.New("exit status 1"))
			if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			roottest.OneLine(t, err)
			if strings.TrimRight(log.String(), "\n") != strings.TrimRight(c.lines, "\n") {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}

// A package archive that another key has signed is said, with where to look, also by tools that
// do not call that an error.
func TestToolOutputOfAnotherKey(t *testing.T) {
	for name, lines := range map[string]string{
		"alpine-3.22":  "WARNING: fetching http://example.org/v3.22/main/x86_64/APKINDEX.tar.gz: BAD signature\nERROR: unable to select packages:\n  alpine-base-1.0-r0:\n    masked in: --no-network\n    satisfies: world[alpine-base]\n",
		"void-rolling": "[*] Updating repository `http://example.org/current/x86_64-repodata' ...\n`http://example.org/current' repository has been RSA signed by \"x\"\nFingerprint: e0:79:00\n",
	} {
		r, err := recipe.OpenCookbook("").Read(name)
		if err != nil {
			t.Fatal(err)
		}
		j, err := recipe.Plan(r, "tool", "")
		if err != nil {
			t.Fatal(err)
		}
		tr := &toolOutput{tool: j.Tool, marks: j.Marks, to: func(Update) {}, refused: func() string { return "" }}
		tr.read(strings.NewReader(lines))
		err = tr.failure(errors.New("exit status 1"))
		if !strings.Contains(fail.HintOf(err), "key") || strings.Contains(err.Error(), "unable to select") {
			t.Errorf("%s: %v, hint %q", name, err, fail.HintOf(err))
		}
	}
}

func TestToolOutputTellsStepsOnceAndDates(t *testing.T) {
	var reported []Update
	tr := &toolOutput{to: func(u Update) { reported = append(reported, u) }}
	tr.read(strings.NewReader("I: Extracting a...\nI: Extracting b...\ncroft-date: Sat, 10 Jun 2023 08:53:33 UTC\n" +
		"croft-date: Fri, 09 Jun 2023 08:53:33 UTC\ncroft-date: yesterday\nI: creating tarball...\n" + strings.Repeat("long ", 100000)))
	want := []Update{{Step: "unpacking the base system", Done: 35, Total: 100}, {Step: "storing the image", Done: 85, Total: 100}}
	if fmt.Sprint(reported) != fmt.Sprint(want) {
		t.Errorf("reported %v, want %v", reported, want)
	}
	if at := tr.newest.Format(time.RFC3339); at != "2023-06-10T08:53:33Z" {
		t.Errorf("the date is %s", at)
	}
}

func TestBuildRefuses(t *testing.T) {
	s := newStore(t, Options{})
	roottest.Must(t, s.Make())
	for name, want := range map[string]fail.Kind{"nothing-like-that": fail.NotFound, "debian": fail.Usage, "../x": fail.Usage} {
		if _, err := s.Build(context.Background(), name, BuildOptions{}); !fail.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, mirror := range map[string]string{"debian-12": "--help", "debian-13": "deb http://x y", busybox.Name: "http://mirror.example.org"} {
		if _, err := s.Build(context.Background(), name, BuildOptions{BuildSettings: BuildSettings{Mirror: mirror}}); !fail.Is(err, fail.Usage) {
			t.Errorf("%s with mirror %s: %v", name, mirror, err)
		}
	}
	if _, err := s.Build(context.Background(), "x", BuildOptions{RecipeFile: filepath.Join(t.TempDir(), "none")}); !fail.Is(err, fail.NotFound) {
		t.Errorf("no file: %v", err)
	}
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
}

// runJob runs a script as a build does, in a stage of its own.
func runJob(ctx context.Context, t *testing.T, s *Store, script string, o BuildOptions) (string, error) {
	t.Helper()
	if err := s.Make(); err != nil {
		t.Fatal(err)
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Remove(); err != nil {
			t.Error(err)
		}
	}()
	if o.Progress == nil {
		o.Progress = func(Update) {}
	}
	j := recipe.Job{Tool: "script", Marks: []string{"E: "}, Shell: "mount -t proc proc /proc\ncd /tmp/croft\n" + script, Env: []string{"PATH=" + os.Getenv("PATH")}, Files: map[string]string{"note": "hello\n"}}
	l, _, err := s.run(ctx, st, j, o)
	if err != nil {
		return "", err
	}
	return roottest.List(t, st.Path(images.LayerName(l.DiffID))), nil
}

func TestABuildHasNoPowerOverTheHost(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := roottest.Mounts(t)
	got, err := runJob(context.Background(), t, s, `
mkdir root && chown 7:8 root && cd root
cp ../note note
id -u >uid
awk '{ print $1, $2, $3 }' /proc/self/uid_map >map
ls /tmp >tmp
for d in /home /root /run /srv; do ls -A "$d"; done >hidden
tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' ' >net
echo $$ >pid
{ true >`+victim+`; } 2>/dev/null && echo yes >wrote || echo no >wrote
kill -0 `+fmt.Sprint(os.Getpid())+` 2>/dev/null && echo yes >signalled || echo no >signalled
echo 1 2>/dev/null >/proc/sys/kernel/printk && echo yes >sysctl || echo no >sysctl
mount -t tmpfs none /mnt
exec tar c .
`, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("-rw-r--r-- hidden \"\"\n-rw-r--r-- map \"0 %d 65536\\n\"\n-rw-r--r-- net \"lo\\n\"\n-rw-r--r-- note \"hello\\n\"\n-rw-r--r-- pid \"1\\n\"\n-rw-r--r-- signalled \"no\\n\"\n"+
		"-rw-r--r-- sysctl \"no\\n\"\n-rw-r--r-- tmp \"croft\\n\"\n-rw-r--r-- uid \"0\\n\"\n-rw-r--r-- wrote \"no\\n\"\n", DefaultBuildIDs)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if after := roottest.Mounts(t); after != before {
		t.Errorf("mounts were\n%sand are\n%s", before, after)
	}
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
}

// A build is limited before it begins, and no longer when it has ended.
func TestABuildIsLimited(t *testing.T) {
	roottest.NeedRoot(t)
	removed := 0
	s := newStore(t, Options{Bound: func(_ context.Context, pid int) (func(), error) {
		err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 77, Max: 77}, nil)
		return func() { removed++ }, err
	}})
	got, err := runJob(context.Background(), t, s, "mkdir root && cd root && ulimit -n >limit && exec tar c .", BuildOptions{})
	if want := "-rw-r--r-- limit \"77\\n\"\n"; err != nil || got != want || removed != 1 {
		t.Errorf("got %s, %v; the limits were removed %d times", got, err, removed)
	}
	warned := ""
	s = newStore(t, Options{Warn: func(w string) { warned += w }, Bound: func(context.Context, int) (func(), error) { return nil, errors.New("no cgroups") }})
	if _, err := runJob(context.Background(), t, s, "mkdir root && cd root && exec tar c .", BuildOptions{}); err != nil || !strings.Contains(warned, "no limits of memory and processes: no cgroups") {
		t.Errorf("%v; the warning is %q", err, warned)
	}
}

func TestABuildThatFails(t *testing.T) {
	roottest.NeedRoot(t)
	for _, c := range []struct{ name, script, says string }{
		{"before it writes", "echo 'E: no network' >&2; exit 3", "no network (exit status 3)"},
		{"in the middle", "mkdir r; head -c 100000 /dev/zero >r/f; tar c r | head -c 5000; echo 'E: cut' >&2; exit 4", "cut (exit status 4)"},
		{"with a whole archive", "mkdir r; tar c r; exit 5", "exit status 5"},
		{"with no archive and no error", "echo hello", "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, Options{})
			_, err := runJob(context.Background(), t, s, c.script, BuildOptions{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if left := files(t, s); left != "" {
				t.Errorf("left\n%s", left)
			}
		})
	}
}

func TestACancelledBuildEndsWithAllItsProcesses(t *testing.T) {
	roottest.NeedRoot(t)
	s := newStore(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	mark := fmt.Sprintf("croft-test-%d", os.Getpid())
	_, err := runJob(ctx, t, s, `
for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP INT; sleep 1000; : `+mark+`' & done
echo "I: creating tarball" >&2
wait
`, BuildOptions{Progress: func(Update) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		if b, err := os.ReadFile(p); err == nil && bytes.Contains(b, []byte(mark)) {
			t.Errorf("%s still runs: %q", p, b)
		}
	}
	if left := files(t, s); left != "" {
		t.Errorf("left\n%s", left)
	}
}

// The next command removes the files of a killed one. The store has no incomplete
// image.
func TestAKilledImportIsSweptAway(t *testing.T) {
	if dir := os.Getenv("CROFT_TEST_IMPORT"); dir != "" {
		_, err := Open(dir, Options{}).Import(context.Background(), "x", os.Stdin, ImportOptions{})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	s := newStore(t, Options{})
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledImportIsSweptAway$")
	cmd.Env = append(os.Environ(), "CROFT_TEST_IMPORT="+s.Dir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tarball := roottest.Rootfs(t)
	if _, err := in.Write(tarball[:len(tarball)-1024]); err != nil {
		t.Fatal(err)
	}
	unpacked := filepath.Join(s.Dir(), "tmp", "stage-*", "unpack", "etc", "os-release")
	waitFor(t, "a half of the layer", func() bool { found, _ := filepath.Glob(unpacked); return len(found) == 1 })

	other := mustImport(t, s, "other", roottest.Rootfs(t, roottest.File("etc/x", "")), ImportOptions{}) // does not touch what is at work
	if found, _ := filepath.Glob(unpacked); len(found) != 1 {
		t.Error("the stage of a command that runs was swept away")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].Digest != other.Digest {
		t.Errorf("listed %+v (%v)", all, err)
	}
	if err := s.Prune(context.Background(), noUsers); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(filepath.Join(s.Dir(), "tmp", "*")); len(found) != 0 {
		t.Errorf("left %v", found)
	}
}

// waitFor waits until what is true. The test fails after two minutes.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited two minutes for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOnThread(t *testing.T) {
	var on int
	nsthread.Do(func() { on = syscall.Gettid() })
	if on == 0 || on == os.Getpid() {
		t.Errorf("ran on %d of process %d", on, os.Getpid())
	}
	waitFor(t, "the thread to end", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", on))
		return os.IsNotExist(err)
	})
}
