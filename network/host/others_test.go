package host

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"croft/internal/vps"
	"croft/network"
)

// A firewallOfOthers is another firewall on the host.
type firewallOfOthers struct {
	name    string
	needs   []string // tools
	script  string   // makes its rules, for sh
	again   string   // makes them anew, for sh; croft repairs what that flushes
	late    bool     // it comes after croft
	blocked bool     // VPSs do not work beside it until it is told so
}

// Docker's rules as its versions 20 to 27 make them, by the iptables that TOOL is.
const dockerRules = `
for t in TOOL:172.17.0.0/16 TOOL6:fd00:17::/64; do
	net=${t#*:} t=${t%%:*}
	$t -P FORWARD DROP
	for c in DOCKER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2 DOCKER-USER; do $t -N $c; done
	$t -A DOCKER-USER -j RETURN
	$t -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
	$t -A DOCKER-ISOLATION-STAGE-1 -j RETURN
	$t -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
	$t -A DOCKER-ISOLATION-STAGE-2 -j RETURN
	$t -I FORWARD -i docker0 -o docker0 -j ACCEPT
	$t -I FORWARD -i docker0 ! -o docker0 -j ACCEPT
	$t -I FORWARD -o docker0 -j DOCKER
	$t -I FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	$t -I FORWARD -j DOCKER-ISOLATION-STAGE-1
	$t -I FORWARD -j DOCKER-USER
	$t -t nat -N DOCKER
	$t -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
	$t -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
	$t -t nat -A POSTROUTING -s $net ! -o docker0 -j MASQUERADE
	$t -t nat -A DOCKER -i docker0 -j RETURN
done`

func docker(four, six string) string {
	return strings.NewReplacer("TOOL6", six, "TOOL", four).Replace(dockerRules)
}

// The part of firewalld 1.3's rules that filters, with the uplink in its
// default zone; and a firewall-cmd that does to them what its own does for the
// two commands that croft names, and nothing else.
const firewalldRules = `
nft -f - <<'END'
table inet firewalld {
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_FORWARD_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES { goto filter_IN_public; }
	chain filter_FORWARD_ZONES { goto filter_FWD_public; }
	chain filter_IN_public {
		tcp dport 22 accept
		meta l4proto { icmp, ipv6-icmp } accept
		reject with icmpx admin-prohibited
	}
	chain filter_FWD_public { reject with icmpx admin-prohibited; }
}
END
cat >"$DIR/firewall-cmd" <<'END'
#!/bin/sh -e
case "$*" in
"--permanent --zone=trusted --add-interface="*) ;;
"--zone=trusted --add-interface="*)
	link=${2#*=}
	nft -f - <<RULES
	table inet firewalld {
		chain filter_IN_trusted { accept; }
		chain filter_FWD_trusted { oifname "$link" accept; accept; }
	}
	insert rule inet firewalld filter_INPUT_ZONES iifname "$link" goto filter_IN_trusted
	insert rule inet firewalld filter_FORWARD_ZONES iifname "$link" goto filter_FWD_trusted
RULES
	;;
*) echo "firewall-cmd: $*" >&2; exit 2 ;;
esac
END
chmod +x "$DIR/firewall-cmd"`

// The real ones, with their files and sockets out of the host's sight.
const (
	realUFW = `
for d in /etc/ufw /etc/default; do
	mkdir "$DIR/${d##*/}"; cp -a $d/. "$DIR/${d##*/}"; mount --bind "$DIR/${d##*/}" $d
done
ufw --force enable >/dev/null`
	realFirewalld = `
mkdir "$DIR/firewalld"; cp -a /etc/firewalld/. "$DIR/firewalld"; mount --bind "$DIR/firewalld" /etc/firewalld
mount -t tmpfs none /run; mount -t tmpfs none /var/log
mkdir -p /run/dbus /run/firewalld
dbus-daemon --system --fork --nopidfile --print-pid=3 3>"$DIR/pids" 2>/dev/null
firewalld --nofork --nopid >/dev/null 2>&1 & echo $! >>"$DIR/pids"
n=0; until firewall-cmd --state >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 300 ]; sleep 0.1; done`
)

func firewallsOfOthers() []firewallOfOthers {
	ours, legacy := docker("iptables", "ip6tables"), docker("iptables-legacy", "ip6tables-legacy")
	hasLegacy := []string{"iptables-legacy", "ip6tables-legacy"}
	return []firewallOfOthers{
		{name: "Docker", script: ours},
		{name: "Docker, started later", script: ours, late: true},
		{name: "Docker by the other iptables", needs: hasLegacy, script: legacy, blocked: true},
		{name: "Docker by the other iptables, started later", needs: hasLegacy, script: legacy, late: true, blocked: true},
		{name: "ufw", needs: []string{"ufw"}, script: realUFW, again: "ufw reload"},
		{name: "ufw, enabled later", needs: []string{"ufw"}, script: realUFW, again: "ufw reload", late: true},
		{name: "firewalld's rules", script: firewalldRules, blocked: true},
		{name: "firewalld's rules, later", script: firewalldRules, late: true, blocked: true},
		{name: "firewalld", needs: []string{"firewalld", "dbus-daemon"}, script: realFirewalld, again: "firewall-cmd --reload", blocked: true},
		{name: "a router's own nftables", script: `nft -f - <<'END'
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname "eth1" oifname "up0" accept
		ct state established,related accept
	}
}
table ip nat {
	chain postrouting { type nat hook postrouting priority srcnat; oifname "eth1" masquerade; }
}
END`, blocked: true},
		{name: "iptables that lets nothing in or through", script: `
for t in iptables ip6tables; do $t -P INPUT DROP; $t -P FORWARD DROP; $t -A INPUT -i lo -j ACCEPT; $t -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; done
ip6tables -A INPUT -i up0 -p ipv6-icmp -j ACCEPT`},
		{name: "a rule before croft's", late: true, blocked: true, script: `
for t in iptables ip6tables; do $t -I FORWARD -i docker0 -j ACCEPT; $t -I FORWARD 2 -j REJECT; done`},
	}
}

// TestLivingWithOthers: beside another firewall VPSs work, or the host is
// looked around and says what makes them work, which does; and what is
// another's is as it was, while croft is there and when it is gone.
func TestLivingWithOthers(t *testing.T) {
	for _, o := range firewallsOfOthers() {
		t.Run(o.name, func(t *testing.T) {
			for _, tool := range o.needs {
				if _, err := findTool(tool); err != nil {
					t.Skipf("there is no %s here", tool)
				}
			}
			o.test(t)
		})
	}
}

func (o firewallOfOthers) test(t *testing.T) {
	h := newHost(t)
	out := outside(t)
	if !o.late {
		o.begin(t)
	}
	before := others(t)
	p := newPairOn(t, h)
	sameOthers(t, "croft has come", before)
	if o.late {
		o.begin(t)
	}
	before = others(t)
	tell(t, p.pids[0], "alice", "80")
	p.publish(t)
	p.ensure(t)
	sameOthers(t, "croft has published and repaired", before)

	blockers := LookAround(context.Background(), []string{p.table.Bridge}).Blockers
	switch err := p.works(out); {
	case o.blocked != (len(blockers) > 0):
		t.Errorf("croft sees %+v in the way; %v", blockers, err)
	case o.blocked && err == nil:
		t.Error("nobody is in the way")
	}
	for _, b := range blockers {
		shell(t, b.Remedy)
	}
	p.waitWorks(t, out)
	if o.again != "" {
		shell(t, o.again)
		p.ensure(t)
		p.publish(t)
		p.waitWorks(t, out)
	}
	if left := LookAround(context.Background(), []string{p.table.Bridge}).Blockers; len(left) > 0 {
		t.Errorf("after all remedies there is %+v", left)
	}

	// All of croft goes, and is as if it had never been.
	before = others(t)
	p.ensure(t)
	if err := p.host.Unpublish(context.Background(), p.plans[0]); err != nil {
		t.Fatal(err)
	}
	for _, plan := range p.plans {
		if err := p.host.Unplug(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.host.Remove(context.Background(), network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
	sameOthers(t, "croft has gone", before)
}

// begin runs the script in a mount namespace of the test's own, with a
// directory for what it needs on PATH.
func (o firewallOfOthers) begin(t *testing.T) {
	t.Helper()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // gone with the test's thread
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("DIR", dir)
	t.Setenv("PATH", dir+":"+"/usr/sbin:/usr/bin:/sbin:/bin")
	t.Cleanup(func() {
		_ = exec.Command("sh", "-c", `while read -r pid; do kill "$pid"; done <"$DIR/pids"`).Run()
	})
	shell(t, o.script)
}

func shell(t *testing.T, script string) {
	t.Helper()
	if text, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, text)
	}
}

// publish has Alice answer on a port of the host.
func (p *pair) publish(t *testing.T) {
	t.Helper()
	published := network.Published{Plan: p.plans[0], Ports: []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}}
	if err := p.host.Publish(context.Background(), []network.Published{published}); err != nil {
		t.Fatal(err)
	}
}

// works tries what VPSs do, each other, the outside, what they publish, and
// returns what is the first not to work.
func (p *pair) works(out int) error {
	for _, six := range []bool{false, true} {
		far, up := "192.0.2.2", "192.0.2.1"
		if six {
			far, up = "2001:db8::2", "2001:db8::1"
		}
		for _, to := range []string{far, p.addr(1, six).String()} {
			err := enter(p.pids[0], func() error {
				_, err := command("ping", "-n", "-c", "1", "-W", "0.5", to)
				return err
			})
			if err != nil {
				return err
			}
		}
		err := enter(out, func() error {
			answer, err := asked("tcp", net.JoinHostPort(up, "8080"))
			if err == nil && !strings.HasPrefix(answer, "alice ") {
				err = fmt.Errorf("%q answers at %s", answer, up)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) waitWorks(t *testing.T, out int) {
	t.Helper()
	err := p.works(out)
	for end := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(end); err = p.works(out) {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("VPSs do not work: %v\n%s", err, others(t))
	}
}

// others are all rules, chains and policies in this network namespace that are
// not croft's, in their order. Hooks without any are left out: iptables leaves
// them where it has been asked for one.
func others(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	counts := regexp.MustCompile(` ?\[\d+:\d+\]`)
	for _, tool := range []string{"iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"} {
		path, err := findTool(tool + "-save")
		if err != nil {
			continue
		}
		table := ""
		for line := range strings.Lines(counts.ReplaceAllString(run(t, path), "")) {
			switch {
			case line[0] == '*':
				table = strings.TrimSpace(line[1:])
			case line[0] != '#' && line != "COMMIT\n" && !strings.HasSuffix(line, " ACCEPT\n") && !strings.Contains(line, "CROFT-"),
				strings.HasPrefix(line, "-A") && !strings.Contains(line, "CROFT-"):
				b.WriteString(tool + " " + table + " " + line)
			}
		}
	}
	for line := range strings.Lines(run(t, "nft", "list", "tables")) {
		f := strings.Fields(line) // table FAMILY NAME
		iptables := (f[1] == "ip" || f[1] == "ip6") && slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, f[2])
		if f[2] != network.FilterTable && !iptables {
			b.WriteString(run(t, "nft", "-s", "list", "table", f[1], f[2]))
		}
	}
	return b.String()
}

func sameOthers(t *testing.T, when, before string) {
	t.Helper()
	if diff := cmp.Diff(before, others(t)); diff != "" {
		t.Errorf("%s, and others' rules are not as they were:\n%s", when, diff)
	}
}
