//go:build integration

package integration

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// entryScript is what the test's image runs: it shows what it was given.
const entryScript = `#!/bin/sh
trap 'echo asked to stop; exit 7' USR1
echo "args: $*"
echo "in $(pwd) as $(id -u):$(id -g) home $HOME A=$A B=$B"
case $1 in
serve) while :; do sleep 0.1; done;;
*) exec "$@";;
esac
`

// applicationImage is a docker archive of busybox without an init, whose config
// says how its entrypoint is run.
func applicationImage(t *testing.T) string {
	t.Helper()
	var system []entry
	for _, e := range smallSystem(t) {
		if e.Name != "sbin/init" && e.Name != "etc/inittab" {
			system = append(system, e)
		}
	}
	system = append(system,
		entry{Header: tar.Header{Name: "bin/entry", Typeflag: tar.TypeReg, Mode: 0o755}, content: []byte(entryScript)},
		entry{Header: tar.Header{Name: "srv/", Typeflag: tar.TypeDir, Mode: 0o777}},
		entry{Header: tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, content: []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:5:6::/srv:/bin/sh\n")},
	)
	for _, applet := range []string{"pwd", "kill", "seq", "ps", "env"} {
		system = append(system, entry{Header: tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}})
	}
	layer := archive(t, system)
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		"config": map[string]any{"User": "web", "WorkingDir": "/srv/made/deep", "Env": []string{"A=image", "B=image", "PATH=/bin"},
			"Entrypoint": []string{"entry"}, "Cmd": []string{"serve"}, "StopSignal": "SIGUSR1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) entry {
		return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content: content}
	}
	image := archive(t, []entry{
		file("manifest.json", []byte(`[{"Config":"config.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]`)),
		file("config.json", config), file("layer.tar", layer),
	})
	template := name(t, "app")
	if r := croftWithin(usual, string(image), "template", "import", template, "-"); r.status != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() { must(t, "template", "remove", template) })
	return template
}

func TestRunApplication(t *testing.T) {
	hostAsBefore(t)
	template := applicationImage(t)
	run := func(args ...string) result {
		return try(append([]string{"run", "--rm", "--network", "none", "--name", name(t, "run"), "--template", template}, args...)...)
	}
	const says = "in /srv/made/deep as 5:6 home /srv A=image B=image\n"
	r := run("--", "sh", "-c", "echo to out; echo to err >&2; exit 3")
	if r.status != 3 || r.out != "args: sh -c echo to out; echo to err >&2; exit 3\n"+says+"to out\n" || !strings.Contains(r.errOut, "to err\n") {
		t.Errorf("a command: %s", r)
	}
	if r := run("--env", "A=mine", "--user", "root", "--cwd", "/etc", "--", "true"); r.status != 127 && r.status != 126 && !strings.Contains(r.out, "in /etc as 0:0 home /root A=mine B=image") {
		t.Errorf("with options: %s", r)
	}
	if r := run("--", "sh", "-c", "kill -9 $$"); r.status != 137 {
		t.Errorf("a signal: %s", r)
	}
	if r := croftWithin(usual, "typed\n", "run", "--rm", "--network", "none", "--template", template, "--", "cat"); r.status != 0 || !strings.HasSuffix(r.out, "typed\n") {
		t.Errorf("standard input: %s", r)
	}

	// Orphans are reaped.
	r = run("--", "sh", "-c", `for i in $(seq 20); do (sleep 0.05 & ) ; done; sleep 1; ps -o stat,args | cat`)
	if r.status != 0 || strings.Contains(r.out, "Z ") || !strings.Contains(r.out, "croft-init") {
		t.Errorf("orphans: %s", r)
	}

	// The image's own command, and a signal passed on to it.
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := command(ctx, "run", "--rm", "--network", "none", "--template", template)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4096)
	n := 0
	for !strings.Contains(string(text[:n]), "in /srv/made/deep") {
		more, err := out.Read(text[n:])
		if err != nil {
			t.Fatalf("%q, %v", text[:n], err)
		}
		n += more
	}
	if !strings.HasPrefix(string(text[:n]), "args: serve\n") {
		t.Errorf("without a command: %q", text[:n])
	}
	cmd.Process.Signal(syscall.SIGUSR1)
	rest := readAll(out)
	if said := <-rest; said != "asked to stop\n" {
		t.Errorf("after the signal: %q", said)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("its end: %v", err)
	}

	// What is not removed has stopped.
	kept := name(t, "kept")
	if r := try("run", "--network", "none", "--name", kept, "--template", template, "--", "true"); r.status > 125 {
		t.Error(r)
	}
	wantStatus(t, kept, "stopped")
	must(t, "destroy", kept)
}

// A VPS of an image without an init runs its command, on the console, and ends
// with it.
func TestStartApplication(t *testing.T) {
	hostAsBefore(t)
	template := applicationImage(t)
	vps := create(t, template, "--network", "none", "--env", "B=mine")
	must(t, "start", "--wait", vps)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(try("logs", vps).out)
		}
	})
	eventually(t, "it runs", func() bool {
		log := strings.ReplaceAll(must(t, "logs", vps), "\r", "")
		return strings.Contains(log, "args: serve\nin /srv/made/deep as 5:6 home /srv A=image B=mine")
	})
	if got := in(t, vps, "sh", "-c", "readlink /proc/1/exe; cat /proc/1/comm"); got != "/run/host/croft-init\ncroft-init" {
		t.Errorf("its init: %q", got)
	}
	first := "/proc/$(ls /proc | grep '^[0-9]' | sort -n | sed -n 2p)"
	if got := in(t, vps, "sh", "-c", "cat /proc/1/oom_score_adj "+first+"/oom_score_adj"); got != "0\n100" {
		t.Errorf("oom_score_adj of the init and of its command: %q", got)
	}
	must(t, "stop", vps)
	if log := must(t, "logs", vps); !strings.Contains(log, "asked to stop") {
		t.Errorf("it was not stopped by its signal: %s", log)
	}
	if text := must(t, "inspect", vps); !strings.Contains(text, "init exited with status 7") {
		t.Errorf("its end: %s", text)
	}
	// Killed by a signal of croft's, passed on.
	must(t, "start", vps)
	eventually(t, "it runs again", func() bool { return strings.Contains(must(t, "logs", vps), "in /srv/made/deep") })
	must(t, "kill", "--signal", "TERM", vps)
	must(t, "wait", "--for", "stopped", vps)
	if config := must(t, "inspect", "--bundle", vps); !strings.Contains(config, "/run/host/croft-init") {
		t.Errorf("its bundle: %s", config)
	}
}
