//go:build vm

package vm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is a computer with disks of its own, which a test boots as often
// as it likes. At the end of the test it is switched off.
type machine struct {
	disks []string
	logs  string   // a directory that is kept
	lan   *os.File // one end of a cable, nil without a network
	mac   string   // of the interface at the cable

	boots int
	pace  pace
	qemu  *exec.Cmd
	ended chan struct{} // closed when QEMU has ended
	port  net.Conn
	in    *json.Decoder
}

// How a machine is booted.
type bootOptions struct {
	init    string // what is run as process 1, if not systemd
	cmdline string // what else the kernel is told
}

// newMachine makes a machine that has never been booted.
func newMachine(t *testing.T) *machine {
	t.Helper()
	return newNamedMachine(t, t.Name())
}

// newNamedMachine is newMachine for a test that has several.
func newNamedMachine(t *testing.T, name string) *machine {
	t.Helper()
	m := &machine{logs: filepath.Join(world.cache, "logs", strings.ReplaceAll(name, "/", "-"))}
	dir := m.logs + ".disks"
	for _, d := range []string{m.logs, dir} {
		if err := os.RemoveAll(d); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Only what the machine changes is its own.
	for _, base := range []string{world.image.root, world.payload, world.templates} {
		disk := filepath.Join(dir, filepath.Base(base)+".qcow2")
		if err := run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, disk); err != nil {
			t.Fatal(err)
		}
		m.disks = append(m.disks, disk)
	}
	t.Cleanup(func() {
		if m.qemu != nil {
			m.cutPower(t)
		}
		if t.Failed() {
			t.Logf("what its console and its journal said is in %s", m.logs)
		}
	})
	return m
}

// boot switches the machine on, and returns when its agent is ready.
func (m *machine) boot(t *testing.T, o bootOptions) {
	t.Helper()
	if m.qemu != nil {
		t.Fatal("the machine is running already")
	}
	m.boots++
	ours, theirs, err := connection()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	start := time.Now()
	var said bytes.Buffer
	m.qemu = exec.Command("qemu-system-x86_64", m.arguments(o)...)
	m.qemu.Stdout, m.qemu.Stderr = &said, &said
	m.qemu.ExtraFiles = []*os.File{theirs}
	if m.lan != nil {
		m.qemu.ExtraFiles = append(m.qemu.ExtraFiles, m.lan)
	}
	m.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := m.qemu.Start(); err != nil {
		m.qemu = nil
		t.Fatal(err)
	}
	ended := make(chan struct{})
	m.ended, m.port, m.in = ended, ours, json.NewDecoder(ours)
	go func() {
		m.qemu.Wait()
		close(ended)
	}()
	first, err := m.receive(bootPatience)
	if err != nil || !first.Ready {
		console := m.consoleEnd()
		m.cutPower(t)
		t.Fatalf("it does not boot: %v\n%s\n%s", err, said.String(), console)
	}
	took := time.Since(start)
	m.pace.booted(took)
	t.Logf("booted in %v (%s), so every limit is multiplied by %.0f", took.Round(time.Second), world.accel, m.pace.slowness())
}

func (m *machine) arguments(o bootOptions) []string {
	// A warning is worth reading, what goes well is not; and a panic ends it.
	cmdline := "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off " + o.cmdline
	if o.init != "" {
		cmdline += " init=" + o.init
	}
	args := append([]string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-m", "2048",
		"-kernel", world.image.kernel, "-initrd", world.image.initrd, "-append", cmdline,
		"-serial", "file:" + m.console(),
		"-device", "virtio-rng-pci",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=port,fd=3",
		"-device", "virtserialport,chardev=port,name=" + portName,
	}, world.accel.arguments()...)
	if m.lan != nil {
		args = append(args, "-netdev", "socket,id=lan,fd=4", "-device", "virtio-net-pci,netdev=lan,mac="+m.mac)
	}
	for _, disk := range m.disks {
		args = append(args, "-drive", "if=virtio,format=qcow2,file="+disk)
	}
	return args
}

// connect lays a cable between two machines that are off.
func connect(t *testing.T, a, b *machine) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []*machine{a, b} {
		end := os.NewFile(uintptr(fds[i]), "cable")
		t.Cleanup(func() { end.Close() })
		m.lan, m.mac = end, fmt.Sprintf("52:54:00:00:00:%02x", i+1)
	}
}

func (m *machine) console() string {
	return filepath.Join(m.logs, fmt.Sprintf("console-%d.log", m.boots))
}

// consoleEnd is what the console said last.
func (m *machine) consoleEnd() string {
	text, err := os.ReadFile(m.console())
	if err != nil {
		return err.Error()
	}
	const most = 4000
	return "the console:\n" + string(text[max(0, len(text)-most):])
}

// connection returns both ends of a stream, one for us and one for QEMU.
func connection() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "port of the machine")
	file := os.NewFile(uintptr(fds[0]), "port of the tests")
	defer file.Close()
	if ours, err = net.FileConn(file); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// receive returns the next message that comes within limit.
func (m *machine) receive(limit time.Duration) (message, error) {
	var msg message
	m.port.SetReadDeadline(time.Now().Add(limit))
	if err := m.in.Decode(&msg); err != nil {
		return msg, fmt.Errorf("nothing from the machine: %w", err)
	}
	return msg, nil
}

// ask sends a script of sh to the agent.
func (m *machine) ask(t *testing.T, script string) {
	t.Helper()
	if m.qemu == nil {
		t.Fatalf("the machine is off, so this cannot run: %s", script)
	}
	if err := json.NewEncoder(m.port).Encode(request{Script: m.pace.environment() + script}); err != nil {
		t.Fatalf("ask the machine: %v", err)
	}
}

// stream runs a script of sh inside, copies what it prints to out, and returns
// its exit status. A machine that is silent for longer than limit has failed:
// its power is cut, and the steps that follow do not run.
func (m *machine) stream(t *testing.T, limit time.Duration, out io.Writer, script string) int {
	t.Helper()
	m.ask(t, script)
	for {
		msg, err := m.receive(limit)
		if err != nil {
			console := m.consoleEnd()
			m.cutPower(t)
			t.Fatalf("%s: %v\n%s", script, err, console)
		}
		if msg.Ended {
			return msg.Status
		}
		if _, err := out.Write(msg.Output); err != nil {
			t.Fatal(err)
		}
	}
}

// try runs a script of sh inside, and returns what it prints and its status.
func (m *machine) try(t *testing.T, script string) (out string, status int) {
	t.Helper()
	var all bytes.Buffer
	status = m.stream(t, m.pace.limit(), &all, script)
	return strings.TrimSuffix(all.String(), "\n"), status
}

// must runs a script of sh inside, which has to succeed.
func (m *machine) must(t *testing.T, script string) string {
	t.Helper()
	out, status := m.try(t, script)
	if status != 0 {
		t.Fatalf("%s: exit %d\n%s", script, status, out)
	}
	return out
}

// end runs a script that switches the machine off or reboots it, and returns
// when it is off: a reboot ends it too, and the test boots it again.
func (m *machine) end(t *testing.T, script string) {
	t.Helper()
	m.ask(t, script)
	select {
	case <-m.ended:
	case <-time.After(m.pace.limit()):
		console := m.consoleEnd()
		m.cutPower(t)
		t.Fatalf("still on after %v: %s\n%s", m.pace.limit(), script, console)
	}
	m.forget()
}

// cutPower switches the machine off without its knowledge.
func (m *machine) cutPower(t *testing.T) {
	t.Helper()
	if err := m.qemu.Process.Kill(); err != nil && err != os.ErrProcessDone {
		t.Error(err)
	}
	<-m.ended
	m.forget()
}

func (m *machine) forget() {
	m.port.Close()
	m.qemu, m.ended, m.port, m.in = nil, nil, nil, nil
}
