//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// sshHosts are this host and another one, which reach each other by OpenSSH: "near" and
// "far". Each has an sshd at an address of a link between the two.
type sshHosts struct {
	*otherHost
	config string            // of ssh
	client string            // CROFT_SSH
	pids   map[string]string // files with the pid of each sshd
}

const (
	nearAddress, farAddress = "198.51.100.253", "198.51.100.254" // RFC 5737
	sshPort                 = "2222"
)

func newSSHHosts(t *testing.T) *sshHosts {
	t.Helper()
	ssh, sshd := tool(t, "ssh"), tool(t, "sshd", "/usr/sbin/sshd")
	shadow, err := os.ReadFile("/etc/shadow")
	if err != nil || bytes.HasPrefix(shadow, []byte("root:!")) {
		t.Skipf("root cannot log in by ssh: its account is locked in /etc/shadow (%v)", err)
	}
	h := &sshHosts{otherHost: newOtherHost(t), pids: map[string]string{}}
	pid := strconv.Itoa(h.hold.Process.Pid)
	h.ip("link", "add", "croft-ssh0", "type", "veth", "peer", "name", "croft-ssh1", "netns", pid)
	t.Cleanup(func() { h.ip("link", "del", "croft-ssh0") })
	h.ip("addr", "add", nearAddress+"/30", "dev", "croft-ssh0")
	h.ip("link", "set", "croft-ssh0", "up")
	h.sh("nsenter -t %s -n sh -c 'ip addr add %s/30 dev croft-ssh1 && ip link set croft-ssh1 up'", pid, farAddress)
	h.sh("cd %s && for key in user near far other; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key.key; done && cp user.key.pub authorized && for host in near far; do echo $host $(cat $host.key.pub); done >known", h.dir)
	h.config = filepath.Join(h.dir, "ssh_config")
	h.file("ssh_config", fmt.Sprintf(`Host unknown
	UserKnownHostsFile /dev/null
Host *
	User root
	Port %s
	IdentityFile %s/user.key
	IdentitiesOnly yes
	UserKnownHostsFile %[2]s/known
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking yes
Host near
	HostName %s
	HostKeyAlias near
Host far unknown
	HostName %s
	HostKeyAlias far
`, sshPort, h.dir, nearAddress, farAddress))
	if err := os.Mkdir("/run/sshd", 0o755); err == nil { // sshd wants it
		t.Cleanup(func() { _ = os.Remove("/run/sshd") })
	}
	h.sh("nsenter -t %s -m mkdir /run/sshd", pid)
	h.client = ssh + " -F " + h.config
	h.sshd("near", nearAddress, "PATH="+h.dir+"/here:/usr/sbin:/usr/bin:/sbin:/bin", sshd)
	h.sshd("far", farAddress, "PATH="+h.dir+"/far:/usr/sbin:/usr/bin:/sbin:/bin", "nsenter", "-t", pid, "-m", "-n", sshd)
	return h
}

func (h *sshHosts) ip(args ...string) { h.Helper(); h.sh("ip %s", strings.Join(args, " ")) }

func (h *sshHosts) sh(script string, args ...any) {
	h.Helper()
	script = fmt.Sprintf(script, args...)
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		h.Fatalf("%s: %v: %s", script, err, out)
	}
}

func (h *sshHosts) file(name, text string) {
	h.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// sshd starts the sshd of a host.
func (h *sshHosts) sshd(host, address, path string, argv ...string) {
	h.Helper()
	h.pids[host] = filepath.Join(h.dir, host+".pid")
	h.file(host+".sshd", fmt.Sprintf(`ListenAddress %s
Port %s
HostKey %s/%s.key
AuthorizedKeysFile %[3]s/authorized
PidFile %[5]s
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv "%[6]s" "CROFT_SSH=%[7]s"
`, address, sshPort, h.dir, host, h.pids[host], path, h.client))
	h.sh("%s -t -f %s/%s.sshd", strings.Join(argv, " "), h.dir, host)
	log, err := os.Create(filepath.Join(h.dir, host+".log"))
	if err != nil {
		h.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], append(argv[1:], "-D", "-e", "-f", filepath.Join(h.dir, host+".sshd"))...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); h.Failed() {
			h.Logf("sshd of %s: %s%v", host, text, err)
		}
	})
	eventually(h.T, "sshd of "+host+" listens", func() bool {
		out, err := os.ReadFile(h.pids[host])
		return err == nil && bytes.HasSuffix(out, []byte("\n"))
	})
}

// cut kills what serves the connections to a host. It reports whether there was one.
func (h *sshHosts) cut(host string) (was bool) {
	h.Helper()
	text, err := os.ReadFile(h.pids[host])
	if err != nil {
		h.Fatal(err)
	}
	pid := strings.TrimSpace(string(text))
	sessions, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		h.Fatal(err)
	}
	for _, one := range strings.Fields(string(sessions)) {
		if n, err := strconv.Atoi(one); err == nil {
			was = syscall.Kill(n, syscall.SIGKILL) == nil || was
		}
	}
	return was
}

// here is croft on this host.
func (h *sshHosts) here(args ...string) *exec.Cmd {
	cmd := h.otherHost.here(args...)
	cmd.Env = append(cmd.Env, "CROFT_SSH="+h.client)
	return cmd
}

func (h *sshHosts) move(args ...string) result {
	args = append([]string{"move"}, args...)
	return finish(h.here(args...), args)
}

// on runs croft on a host.
func (h *sshHosts) on(host, stdin string, args ...string) result {
	args = append([]string{"-H", host}, args...)
	cmd := h.here()
	cmd.Args = append([]string{world.croft}, args...) // its directories are those of the other host
	cmd.Stdin = strings.NewReader(stdin)
	return finish(cmd, args)
}

// Commands on another host by OpenSSH, and a move there and back.
func TestOpenSSH(t *testing.T) {
	hostAsBefore(t)
	h := newSSHHosts(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "64M")
	moved := vps + "-far"
	t.Cleanup(func() { h.try("destroy", "--force", "--if-exists", moved) })
	sh(t, vps, "echo kept >/srv/file")

	want := func(r result, status int, out, errOut string) {
		t.Helper()
		if r.status != status || r.out != out || !strings.Contains(r.errOut, errOut) || errOut == "" && r.errOut != "" {
			t.Errorf("want %d, %q, %q: %s", status, out, errOut, r)
		}
	}
	want(h.on("root@far", "", "inspect", vps), 3, "", "no VPS named")
	want(h.on("ssh://nosuch@far:"+sshPort, "", "list"), 255, "", "Permission denied")
	want(h.on("unknown", "", "list"), 255, "", "croft: ssh cannot run croft on unknown\ncroft: hint: "+h.client+" unknown true\n")
	if r := h.on("unknown", "", "exec", vps, "--", "true"); r.status != 255 || !strings.Contains(r.errOut, "Host key verification failed.") {
		t.Error(r)
	}
	r := h.move("--check", vps, "unknown")
	want(r, 8, "", "Host key verification failed.")
	want(r, 8, "", "cannot move to unknown: ssh cannot run croft on unknown\ncroft: hint: ")

	if r := h.move(vps, "ssh://root@far:"+sshPort, "--remove-source", "--name", moved); r.status != 0 || r.out != moved+"\n" {
		t.Fatal(r)
	}
	want(h.on("far", "", "list", "--format", "{{.name}} {{.status}}"), 0, moved+" running\n", "")
	words := `a  "b" 'c' $HOME * \d`
	want(h.on("far", "one\ntwo\n", "exec", moved, "--", "sh", "-c", `cat; cat /srv/file; echo "$1" >&2; exit 42`, "sh", words), 42, "one\ntwo\nkept\n", words+"\n")
	want(h.on("far", "", "exec", moved, "--", "sh", "-c", "exit 255"), 255, "", "")
	// The connection ends, and what it has started does not.
	want(h.on("far", "", "restart", "--fast", "--wait", moved), 0, "", "")
	if r := h.on("far", "", "move", "--remove-source", "--name", vps, moved, "near"); r.status != 0 || r.out != vps+"\n" {
		t.Fatal(r)
	}
	want(h.on("far", "", "list", "--quiet"), 0, "", "")
	if got := sh(t, vps, "cat /srv/file"); got != "kept" {
		t.Errorf("back here it has %q", got)
	}
}

// A connection of OpenSSH that is killed in the middle of a move. The VPS runs on one host,
// the other keeps no copy, and the same command moves it.
func TestOpenSSHKilled(t *testing.T) {
	hostAsBefore(t)
	h := newSSHHosts(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "64M")
	moved := vps + "-far"
	t.Cleanup(func() { h.try("destroy", "--force", "--if-exists", moved) })
	sh(t, vps, "echo kept >/srv/file; head -c 20000000 /dev/urandom >/srv/large")

	cut := func(when string, begun func() bool, then func()) result {
		t.Helper()
		cmd := h.here("move", vps, "far", "--name", moved, "--compress", "none")
		result := make(chan result, 1)
		go func() { result <- finish(cmd, cmd.Args) }()
		eventually(t, when, begun)
		if !h.cut("far") {
			t.Errorf("%s: there was no connection", when)
		}
		then()
		return <-result
	}
	fails := func(r result) {
		t.Helper()
		if r.status == 0 {
			t.Error(r)
		}
		if got := h.where(vps, moved); got != here {
			t.Errorf("it runs %s, after %s", got, r)
		}
		if got := h.must("list", "--quiet"); got != "" {
			t.Errorf("the other host keeps %s", got)
		}
	}
	fails(cut("files arrive", func() bool {
		files, _ := filepath.Glob(h.dir + "/root/templates/tmp/stage-*/blob-*")
		return len(files) > 0
	}, func() {}))
	for hook, config := range map[string]string{"post-stop": "near", "post-create": "etc"} {
		begun, end := h.hookWaits(t, config, hook)
		fails(cut("the hook "+hook+" runs", begun, end))
	}
	begun, end := h.hookWaits(t, "etc", "pre-start")
	if r := cut("it starts there", begun, end); r.status != 0 {
		t.Error(r)
	}
	if got := h.where(vps, moved); got != there {
		t.Errorf("it runs %s", got)
	}
	if got := h.must("exec", moved, "--", "cat", "/srv/file"); got != "kept" {
		t.Errorf("there it has %q", got)
	}
}
