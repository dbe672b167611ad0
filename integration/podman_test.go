//go:build integration

package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A podman is Podman configured as docs/podman.md says, with all that it keeps
// in a directory of the test's. (make conformance tests more of it.)
type podman struct {
	t       *testing.T
	program string
	dir     string
	cgroup  string // below which its containers are
}

func newPodman(t *testing.T) *podman {
	t.Helper()
	p := &podman{t: t, program: tool(t, "podman"), dir: t.TempDir(), cgroup: name(t, "podman")}
	link := filepath.Join(p.dir, "croft-oci")
	if err := os.Symlink(world.croft, link); err != nil {
		t.Fatal(err)
	}
	// One file takes the place of all: it cannot have a table twice.
	const files = "/etc/containers/containers.conf.d/"
	runtime := strings.ReplaceAll(documented(t, "podman.md", files+"croft.conf"), "/usr/local/bin/croft-oci", link)
	host := documented(t, "podman.md", files+"host.conf")
	engine, rest, _ := strings.Cut(host, "\n\n")
	config := engine + "\nlock_type = \"file\"\n" + strings.TrimPrefix(runtime, "[engine]\n") + rest
	if err := os.WriteFile(filepath.Join(p.dir, "containers.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r := p.try("rm", "--all", "--force", "--time", "0"); r.status != 0 {
			t.Error(r)
		}
		// Podman keeps the parent.
		(&site{t: t}).removeCgroups(p.cgroup)
	})
	return p
}

// documented returns the block of code in a file of the documentation that
// follows the line which ends in `name`: .
func documented(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "`"+name+"`:\n\n```")
	_, after, _ = strings.Cut(after, "\n")
	block, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("%s has no block of %s", file, name)
	}
	return block
}

func (p *podman) try(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	at := func(name string) string { return filepath.Join(p.dir, name) }
	cmd := exec.CommandContext(ctx, p.program, append([]string{
		"--root", at("store"), "--runroot", at("run"), "--tmpdir", at("tmp"), "--storage-driver", "vfs",
	}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "CONTAINERS_CONF=" + at("containers.conf")}
	cmd.Dir, cmd.WaitDelay = p.dir, slow(30*time.Second)
	return finish(cmd, args)
}

func (p *podman) must(args ...string) string {
	p.t.Helper()
	r := p.try(args...)
	if r.status != 0 {
		p.t.Fatal(r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

func TestPodman(t *testing.T) {
	hostAsBefore(t)
	null := ownerOfNull(t)
	p := newPodman(t)
	rootfs := newOCI(t, []string{world.croft, "oci"}, "true").bundle + "/rootfs"
	for _, dir := range strings.Fields("dev etc proc run sys tmp") {
		if err := os.Mkdir(filepath.Join(rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(options, script string) []string {
		// conmon's cgroup would be one of every controller, even of those that are not there.
		args := append([]string{"run", "--network", "none", "--cgroups", "no-conmon", "--cgroup-parent", "/" + p.cgroup}, strings.Fields(options)...)
		return append(args, "--rootfs", rootfs, "sh", "-c", script)
	}
	if r := p.try(run("--rm", "echo out; echo err >&2; exit 7")...); r.status != 7 || r.out != "out\n" || r.errOut != "err\n" {
		t.Error(r)
	}
	if r := p.try(run("--rm --entrypoint /no/such", "")...); r.status != 127 {
		t.Error(r)
	}

	p.must(run("--detach --name c --memory 64m", "trap 'exit 5' TERM; echo ready; while true; do sleep 0.1; done")...)
	state := func() string { return p.must("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "c") }
	if got := p.must("inspect", "--format", "{{.OCIRuntime}}", "c"); got != "croft" {
		t.Errorf("it was made with %s", got)
	}
	eventually(t, "its log says so", func() bool { return p.must("logs", "c") == "ready" })
	if r := p.try("exec", "--env", "X=y", "--user", "100:101", "c", "sh", "-c", "echo $X; id -u; id -g; exit 3"); r.status != 3 || r.out != "y\n100\n101\n" {
		t.Error(r)
	}
	if got := p.must("stats", "--no-stream", "--format", "{{.MemLimit}}", "c"); !strings.HasPrefix(got, "67") { // 64 MiB in bytes
		t.Errorf("stats: memory limit %s", got)
	}
	p.must("pause", "c")
	if got := state(); got != "paused 0" {
		t.Errorf("paused: %s", got)
	}
	p.must("unpause", "c")
	p.must("stop", "c")
	if got := state(); got != "exited 5" {
		t.Errorf("stopped: %s", got)
	}
	p.must("start", "c")
	p.must("pause", "c")
	p.must("rm", "--force", "--time", "0", "c")
	if got := ownerOfNull(t); got != null {
		t.Errorf("/dev/null belongs to %d, no more to %d", got, null)
	}
}
