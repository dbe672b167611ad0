//go:build integration

package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The tests' network namespace is a machine with one uplink; at its other end
// is "outside", which knows the way to that machine alone: what comes from
// VPSs is answered only if it was translated. (Addresses: RFC 5737, RFC 3849.)
const (
	hostUp     = "192.0.2.1"
	outsideUp  = "192.0.2.2"
	hostUp6    = "2001:db8::1"
	outsideUp6 = "2001:db8::2"
	echoPort   = "7"
)

func (w *worldState) makeNetwork() error {
	w.outside = exec.Command("/proc/self/exe")
	w.outside.Env = append(os.Environ(), stageVariable+"=outside")
	w.outside.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	w.outside.Stderr = os.Stderr
	ready, err := w.outside.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.outside.Start(); err != nil {
		return fmt.Errorf("start the outside: %w", err)
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return fmt.Errorf("the outside is not ready: %w", err)
	}
	pid := fmt.Sprint(w.outside.Process.Pid)
	for line := range strings.Lines(`
		ip link set lo up
		ip link add up0 type veth peer name eth0 netns ` + pid + `
		ip addr add ` + hostUp + `/24 dev up0
		ip addr add ` + hostUp6 + `/64 dev up0 nodad
		ip link set up0 up
		nsenter -t ` + pid + ` -n ip addr add ` + outsideUp + `/24 dev eth0
		nsenter -t ` + pid + ` -n ip addr add ` + outsideUp6 + `/64 dev eth0 nodad
		nsenter -t ` + pid + ` -n ip link set lo up
		nsenter -t ` + pid + ` -n ip link set eth0 up
		ip route add default via ` + outsideUp + `
		ip -6 route add default via ` + outsideUp6) {
		cmd := strings.Fields(line)
		if len(cmd) == 0 {
			continue
		}
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", cmd, err, out)
		}
	}
	return nil
}

func (w *worldState) endOutside() {
	w.outside.Process.Kill()
	w.outside.Wait()
}

// serveOutside tells everyone who connects which address they come from. It
// ends by being killed.
func serveOutside() int {
	l, err := net.Listen("tcp", ":"+echoPort)
	if err != nil {
		fmt.Fprintln(os.Stderr, "outside:", err)
		return 1
	}
	fmt.Println("ready")
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "outside:", err)
			return 1
		}
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		fmt.Fprintln(conn, host)
		conn.Close()
	}
}
