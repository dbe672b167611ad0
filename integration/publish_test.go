//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// answers has a VPS tell everyone who connects to a port, who asks.
func answers(t *testing.T, vps string, ports ...string) {
	t.Helper()
	for _, p := range ports {
		sh(t, vps, "nc -ll -p "+p+" -e echo "+vps+" </dev/null >/dev/null 2>&1 &")
	}
	for _, p := range ports {
		eventually(t, "it listens on "+p, func() bool {
			return try("exec", vps, "--", "nc", "-w", "1", "127.0.0.1", p).out == vps+"\n"
		})
	}
}

// hostAsks returns what is said on a port; "" if nobody answers.
func hostAsks(address, port string) string {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(address, port), 400*time.Millisecond)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	text := make([]byte, 100)
	n, _ := c.Read(text)
	return strings.TrimSpace(string(text[:n]))
}

// outsideAsks is hostAsks from the outside machine.
func outsideAsks(t *testing.T, address, port string) string {
	t.Helper()
	script := `exec 3<>/dev/tcp/` + address + `/` + port + ` && read -t 1 line <&3 && echo "$line"`
	out, _ := exec.Command("nsenter", "-t", fmt.Sprint(world.outside.Process.Pid), "-n", "timeout", "1", "bash", "-c", script).Output()
	return strings.TrimSpace(string(out))
}

// publishedTo asks for a port from everywhere.
func publishedTo(t *testing.T, want, port string, vpss ...string) {
	t.Helper()
	ask := func(from string, answer func() string) {
		t.Helper()
		var got string
		for limit := time.Now().Add(slow(time.Minute)); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
			if got = answer(); got == want {
				return
			}
		}
		t.Errorf("port %s from %s: %q answers, want %q", port, from, got, want)
	}
	for _, a := range []string{hostUp, hostUp6} {
		ask("outside by "+a, func() string { return outsideAsks(t, a, port) })
		for _, vps := range vpss {
			ask(vps+" by "+a, func() string { return strings.TrimSpace(try("exec", vps, "--", "nc", "-w", "1", a, port).out) })
		}
	}
	for _, a := range []string{hostUp, hostUp6, on(t, true, 1), on(t, false, 1), "127.0.0.1", "::1"} {
		ask("the host by "+a, func() string { return hostAsks(a, port) })
	}
}

func TestPublish(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox", "--publish", "8080:80", "-p", "127.0.0.1:2222:22", "-p", "9000-9010:80-90")
	other := boot(t, "busybox")
	must(t, "start", "--wait", vps)
	answers(t, vps, "80", "22", "81")
	publishedTo(t, vps, "8080", vps, other)
	publishedTo(t, vps, "9001")
	if got := hostAsks("127.0.0.1", "2222"); got != vps {
		t.Errorf("%q answers on the host's own port", got)
	}
	if got := outsideAsks(t, hostUp, "2222"); got != "" {
		t.Errorf("outside, %q answers on the host's own port", got)
	}

	t.Run("live and saved", func(t *testing.T) {
		must(t, "publish", vps, "add", hostUp+":81:81", "[::]:82:81")
		must(t, "publish", vps, "add", hostUp+":81:81")
		if a, b, c := outsideAsks(t, hostUp, "81"), outsideAsks(t, hostUp6, "82"), outsideAsks(t, hostUp, "82"); a != vps || b != vps || c != "" {
			t.Errorf("%q %q %q answer", a, b, c)
		}
		if got := hostAsks(on(t, true, 1), "81"); got != "" {
			t.Errorf("by another address of the host's %q answers", got)
		}
		must(t, "restart", "--fast", vps)
		answers(t, vps, "80", "22", "81")
		if all := must(t, "publish", "list", "--no-header"); !strings.Contains(all, vps+" ") || strings.Contains(all, "missing") {
			t.Errorf("the list of all VPSs is %s", all)
		}
		if a, b := outsideAsks(t, hostUp, "81"), outsideAsks(t, hostUp6, "82"); a != vps || b != vps {
			t.Errorf("after a restart %q %q answer", a, b)
		}
		must(t, "publish", vps, "remove", "4", "5")
		if a, b := outsideAsks(t, hostUp, "81"), outsideAsks(t, hostUp6, "82"); a != "" || b != "" {
			t.Errorf("after they were removed %q %q answer", a, b)
		}
	})

	t.Run("taken", func(t *testing.T) {
		refused(t, 4, "8080 "+vps, "publish", other, "add", "8000-9000:8000-9000")
		refused(t, 4, "8080 "+vps, "create", "--template", "busybox", "-p", "127.0.0.1:8080:1", name(t, "second"))
		must(t, "publish", other, "add", "8080:80/udp")
		must(t, "publish", other, "flush")
		l, err := net.Listen("tcp", "127.0.0.1:7070")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		who := fmt.Sprintf("7070 (pid %d)", os.Getpid())
		refused(t, 4, who, "publish", other, "add", "7070:80")
		refused(t, 4, who, "create", "--template", "busybox", "--publish", "7070:80", name(t, "third"))
		must(t, "publish", other, "add", hostUp+":7070:80")
		must(t, "publish", other, "flush")
	})

	t.Run("one winner", func(t *testing.T) {
		results := make([]result, 6)
		var all sync.WaitGroup
		for i := range results {
			n := name(t, fmt.Sprintf("claim%d", i))
			all.Go(func() { results[i] = try("create", "--template", "busybox", "-p", "7000:80", n) })
		}
		all.Wait()
		winners := 0
		for _, r := range results {
			switch r.status {
			case 0:
				winners++
				must(t, "destroy", strings.TrimSpace(r.out))
			case 4:
			default:
				t.Error(r)
			}
		}
		if winners != 1 {
			t.Errorf("%d of them have it", winners)
		}
	})

	t.Run("flushed and repaired", func(t *testing.T) {
		for _, tool := range []string{"iptables", "ip6tables"} {
			if out, err := exec.Command(tool, "-t", "nat", "-F").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		var list struct {
			Applied   bool
			Published []struct{ Applied bool }
		}
		if err := json.Unmarshal([]byte(must(t, "publish", vps, "list", "--json")), &list); err != nil || list.Applied || len(list.Published) != 3 {
			t.Errorf("%+v, %v", list, err)
		}
		must(t, "start", create(t, "busybox")) // any start
		if got := must(t, "publish", vps, "list"); strings.Contains(got, "missing") {
			t.Errorf("%s", got)
		}
		publishedTo(t, vps, "8080")
	})

	t.Run("as long as it runs", func(t *testing.T) {
		must(t, "kill", vps)
		if got := hostAsks(hostUp, "8080"); got != "" {
			t.Errorf("%q answers", got)
		}
		rules := func() string {
			out, err := exec.Command("iptables-save", "-t", "nat").Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if r := rules(); strings.Contains(r, ":"+vps) {
			t.Errorf("left behind: %s", r)
		}
		must(t, "start", vps)
		// Both at once, so that neither sweeps: the next command about it does.
		i := inspect(t, vps)
		if out, err := exec.Command("kill", "-9", fmt.Sprint(i.MonitorPID), fmt.Sprint(i.PID)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		must(t, "stop", vps)
		wantStatus(t, vps, "stopped")
		if r := rules(); strings.Contains(r, ":"+vps) {
			t.Errorf("left behind: %s", r)
		}
	})
}
