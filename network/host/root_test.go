package host

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// newHost puts the rest of the test into a network namespace of its own,
// which is gone with the test's thread.
func newHost(t *testing.T) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network: %v", err)
	}
	h, err := NewHost(func(s string) { t.Log("warning: " + s) })
	if err != nil {
		t.Fatal(err)
	}
	h.LockFile, h.Seen = filepath.Join(t.TempDir(), "lock"), filepath.Join(t.TempDir(), "rules")
	t.Cleanup(func() { h.Close() })
	run(t, "ip", "link", "set", "lo", "up")
	return h
}

// newVPS starts a process in user and network namespaces of its own. It
// stands for a VPS's waiting init and ends when its standard input does.
func newVPS(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("cat")
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 700000, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: ids, GidMappings: ids,
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a VPS: %v", err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd.Process.Pid
}

// initOf is the identity of the process pid, which has ended if it has no start
// time.
func initOf(pid int) inside.Identity {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return inside.Identity{PID: pid}
	}
	start, _ := strconv.ParseUint(fields[19], 10, 64)
	return inside.Identity{PID: pid, StartTime: start}
}

// inVPS runs f on a thread in the network namespace of pid.
func inVPS(t *testing.T, pid int, f func() error) {
	t.Helper()
	if err := enter(pid, f); err != nil {
		t.Fatal(err)
	}
}

func enter(pid int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-done
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func command(name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// A pair is a network with two VPSs in it.
type pair struct {
	host  *Host
	table network.Table
	plans [2]network.Plan
	pids  [2]int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return newPairOn(t, newHost(t))
}

// newPairOn makes it on a host that has something else already.
func newPairOn(t *testing.T, h *Host) *pair {
	t.Helper()
	return newPairIn(t, h, network.Default(network.Seed{}))
}

// newPairIn makes it in a network of any kind.
func newPairIn(t *testing.T, h *Host, table network.Table) *pair {
	t.Helper()
	p := &pair{host: h, table: table}
	own, err := h.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"alice", "bob"} {
		c, err := p.table.Claim(vps.Name(name), "eth0", nil, own)
		if err != nil {
			t.Fatal(err)
		}
		if p.plans[i], err = network.NewPlan(p.table, c); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	if err := h.Ensure(ctx, network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
	for i := range p.plans {
		p.pids[i] = newVPS(t)
		if err := h.Plug(ctx, p.plans[i], initOf(p.pids[i])); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pair) addr(i int, six bool) netip.Addr {
	for _, a := range p.plans[i].Addresses {
		if a.Addr().Is6() == six {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// ping asks until the first answer: what matters is that to can be reached, and
// on a busy machine one answer may come late.
func ping(to netip.Addr) error {
	_, err := command("ping", "-n", "-c", "1", "-i", "0.5", "-w", "10", to.String())
	return err
}

// reached is for what must not be: it waits less.
func reached(to netip.Addr) bool {
	_, err := command("ping", "-n", "-c", "1", "-W", "0.3", to.String())
	return err == nil
}

func TestVPSsReachEachOtherAndTheHost(t *testing.T) {
	p := newPair(t)
	for _, six := range []bool{false, true} {
		gateway := p.table.Gateway4()
		if six {
			gateway = p.table.Gateway6()
		}
		inVPS(t, p.pids[0], func() error { return ping(gateway) })
		inVPS(t, p.pids[0], func() error { return ping(p.addr(1, six)) })
		inVPS(t, p.pids[1], func() error { return ping(p.addr(0, six)) })
		if err := ping(p.addr(0, six)); err != nil {
			t.Fatal(err)
		}
	}
	for _, plan := range p.plans {
		dropped, err := p.host.Dropped(plan)
		if err != nil || len(dropped) > 0 {
			t.Fatalf("honest traffic of %s was dropped: %v, %v", plan.Owner, dropped, err)
		}
	}
}
