//go:build vm

package vm

import (
	"testing"
)

// TestMove moves VPSs between two machines by OpenSSH: with systemd inside, with the
// processes, there and back, and while one of the machines loses its power. Only a full run
// has it, because two machines that are emulated need long.
func TestMove(t *testing.T) {
	if testing.Short() {
		t.Skip("only a full run has the time")
	}
	if picked() != "" {
		t.Skip("certain integration tests were asked for: " + picked())
	}
	t.Parallel()
	here, there := newNamedMachine(t, "TestMove/here"), newNamedMachine(t, "TestMove/there")
	connect(t, here, there)
	for _, m := range []*machine{here, there} {
		m.boot(t, bootOptions{})
		m.setUp(t)
	}
	here.network(t, "192.0.2.1", "there", "192.0.2.2")
	there.network(t, "192.0.2.2", "here", "192.0.2.1")
	trust(t, here, there, "here")
	trust(t, there, here, "there")

	here.step(t, "another host", func(t *testing.T) {
		here.check(t, []check{
			{"croft -H root@there create --template busybox other", "other"},
			{"croft -H ssh://root@there list --quiet", "other"},
			{"croft -H root@there start --wait $patient other >/dev/null 2>&1 && echo in | croft -H root@there exec other -- sh -c 'cat; exit 7'; echo $?", "in\n7"},
		})
		there.destroy(t, "other")
	})
	here.step(t, "systemd", func(t *testing.T) { movesSystemd(t, here, there) })
	here.step(t, "processes", func(t *testing.T) { movesProcesses(t, here, there) })
	here.step(t, "power cut", func(t *testing.T) { survivesPowerCut(t, here, there) })
	here.off(t, "systemctl poweroff")
	there.off(t, "systemctl poweroff")
}

// network gives the machine an address at its cable, and a name for the other one.
func (m *machine) network(t *testing.T, addr, other, otherAddr string) {
	t.Helper()
	m.must(t, `set -e
		for dir in /sys/class/net/*; do
			[ "$(cat $dir/address)" != `+m.mac+` ] || dev=${dir##*/}
		done
		ip link set $dev up
		ip address replace `+addr+`/24 dev $dev
		grep -q `+otherAddr+` /etc/hosts || echo `+otherAddr+` `+other+` >>/etc/hosts
		systemctl start ssh`)
}

// trust lets root of m log in on the machine to, which calls m name.
func trust(t *testing.T, m, to *machine, name string) {
	t.Helper()
	key := m.must(t, `set -e
		mkdir -p -m 700 /root/.ssh
		ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
		cat /root/.ssh/id_ed25519.pub`)
	to.must(t, "mkdir -p -m 700 /root/.ssh; echo '"+key+"' >>/root/.ssh/authorized_keys")
	host := m.must(t, "cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")
	to.must(t, "echo '"+name+" "+host+"' >>/root/.ssh/known_hosts")
}

// movesSystemd moves a VPS with limits there while it runs, and back when it is stopped.
func movesSystemd(t *testing.T, here, there *machine) {
	t.Cleanup(func() { here.destroy(t, "web"); there.destroy(t, "web") })
	here.must(t, `set -e
		croft create --template debian-13 --memory 512M --disk 2G web
		croft start --wait $patient web
		croft exec web -- sh -c 'systemctl is-system-running --wait; echo mine >/root/file; ln /root/file /root/link; cat /etc/machine-id >/root/id'
		croft move --check web root@there`)
	t.Log(here.must(t, "croft move $patient web root@there"))
	there.must(t, "croft wait $patient --for booted web")
	there.check(t, []check{
		{"croft exec web -- systemctl is-system-running", "running"},
		{"croft exec web -- sh -c 'cat /root/file; stat -c %h /root/link; cmp /root/id /etc/machine-id && echo same'", "mine\n2\nsame"},
		{"cat /sys/fs/cgroup/croft.slice/croft-web.scope/memory.max", "536870912"},
		{"croft exec web -- df -P / | awk 'NR == 2 {print ($2 < 2200000)}'", "1"},
	})
	if out, status := here.try(t, "croft start web"); status == 0 {
		t.Errorf("it can be started here too: %s", out)
	}
	here.must(t, "croft destroy web")
	there.must(t, "croft exec web -- touch /root/there && croft stop $patient web")
	t.Log(there.must(t, "croft move --remove-source $patient web root@here"))
	there.check(t, []check{{"croft list --quiet", ""}})
	here.must(t, "croft start --wait $patient web")
	here.check(t, []check{{"croft exec web -- ls /root", "file\nid\nlink\nthere"}})
}

// movesProcesses moves a VPS that has user ids of its own, with its processes and memory.
func movesProcesses(t *testing.T, here, there *machine) {
	t.Cleanup(func() { here.destroy(t, "live"); there.destroy(t, "live") })
	const process = "croft exec live -- sh -c 'cat /root/pid; grep -c MARK=kept /proc/$(cat /root/pid)/environ'"
	here.must(t, `set -e
		croft create --template busybox live
		croft start --wait $patient live
		croft exec live -- sh -c 'MARK=kept setsid sh -c "echo \$\$ >/root/pid; exec sleep 1000000" </dev/null >/dev/null 2>&1 &'
		until croft exec live -- test -s /root/pid; do :; done`)
	want := here.must(t, process)
	t.Log(here.must(t, "croft move --live --remove-source live root@there"))
	there.check(t, []check{{process, want}})
	here.check(t, []check{{"croft list --quiet --filter name=live", ""}})
}

// survivesPowerCut cuts the power of the other machine while it gets a VPS.
func survivesPowerCut(t *testing.T, here, there *machine) {
	t.Cleanup(func() { here.destroy(t, "mail"); there.destroy(t, "mail") })
	here.must(t, `set -e
		croft create --template busybox mail
		croft start --wait $patient mail
		croft exec mail -- dd if=/dev/urandom of=/root/big bs=1M count=200
		croft exec mail -- sh -c 'sha256sum /root/big >/root/sum'
		{ status=0; croft move $patient --compress none mail root@there >/root/move.log 2>&1 || status=$?; echo $status >/root/move.status; } &`)
	there.must(t, "until croft list --no-header --columns name,move 2>/dev/null | grep mail; do sleep 0.2; done")
	there.cutPower(t)
	status := here.must(t, "until [ -s /root/move.status ]; do sleep 1; done; cat /root/move.status /root/move.log")
	if status[0] == '0' {
		t.Fatalf("the move ended well: the power was cut too late: %s", status)
	}
	t.Log(status)
	here.works(t, "mail")

	there.boot(t, bootOptions{})
	there.network(t, "192.0.2.2", "here", "192.0.2.1")
	if out, status := there.try(t, "croft start mail"); status == 0 {
		t.Errorf("it runs on both: %s", out)
	}
	t.Log(here.must(t, "croft move $patient mail root@there"))
	there.works(t, "mail")
	there.check(t, []check{{"croft exec mail -- sha256sum -c /root/sum", "/root/big: OK"}})
	here.check(t, []check{{"croft list --quiet --filter status=running", ""}})
}
