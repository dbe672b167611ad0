//go:build integration

package integration

import (
	"strings"
	"testing"
)

// Options of systemd.exec(5) that need mounts, namespaces or filters of a
// service's own, each with a command that shows that it is in effect.
var sandboxes = []struct{ option, script string }{
	{"ProtectSystem=strict", "! touch /etc/x 2>/dev/null"},
	{"ProtectSystem=full", "! touch /usr/x 2>/dev/null"},
	{"ProtectHome=yes", "test -z \"$(ls -A /root)\""},
	{"ProtectHome=tmpfs", "test -z \"$(ls -A /root)\""},
	{"ProtectHome=read-only", "! touch /root/x 2>/dev/null"},
	{"PrivateTmp=yes", "touch /tmp/private && test \"$(ls /tmp)\" = private"},
	{"PrivateDevices=yes", "test ! -e /dev/fuse && echo >/dev/null"},
	{"PrivateNetwork=yes", "! grep -q eth0 /proc/net/dev"},
	{"PrivateIPC=yes", "test -d /dev/shm"},
	{"PrivateUsers=yes", "test $(wc -l </proc/self/uid_map) -ge 1"},
	{"PrivateMounts=yes", "mount -t tmpfs x /mnt && umount /mnt"},
	{"DynamicUser=yes", "test $(id -u) -ge 61184"},
	{"DynamicUser=yes StateDirectory=sandbox", "touch $STATE_DIRECTORY/x"},
	{"User=nobody", "test $(id -un) = nobody"},
	{"RootDirectory=/srv/root", "test -e /in-root"},
	{"RootDirectory=/srv/root MountAPIVFS=yes", "test -e /in-root && test -d /proc/self && test -c /dev/null"},
	{"BindPaths=/srv/root:/mnt", "test -e /mnt/in-root"},
	{"BindReadOnlyPaths=/srv/root:/mnt", "test -e /mnt/in-root && ! touch /mnt/x 2>/dev/null"},
	{"TemporaryFileSystem=/srv", "test -z \"$(ls -A /srv)\""},
	{"ReadOnlyPaths=/srv", "! touch /srv/x 2>/dev/null"},
	{"ReadWritePaths=/srv ProtectSystem=strict", "touch /srv/written"},
	{"InaccessiblePaths=/srv", "! ls /srv/root 2>/dev/null"},
	{"NoExecPaths=/srv", "! /srv/root/true 2>/dev/null"},
	{"NoExecPaths=/ ExecPaths=/usr", "true"},
	{"LoadCredential=name:/srv/secret", "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{"SetCredential=name:word", "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = word"},
	{"LoadCredential=name:/srv/secret DynamicUser=yes", "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{"LoadCredential=name:/srv/secret PrivateMounts=yes ProtectSystem=strict", "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{"SystemCallFilter=@system-service", "true"},
	{"SystemCallFilter=~@mount", "! mount -t tmpfs x /mnt 2>/dev/null"},
	{"SystemCallArchitectures=native", "true"},
	{"RestrictNamespaces=yes", "! unshare -n true 2>/dev/null"},
	{"RestrictAddressFamilies=AF_UNIX", "true"},
	{"RestrictSUIDSGID=yes", "! (touch /srv/suid && chmod u+s /srv/suid) 2>/dev/null"},
	{"RestrictRealtime=yes", "! chrt -f 1 true 2>/dev/null"},
	{"RestrictFileSystems=~bpf", "true"},
	{"LockPersonality=yes", "true"},
	{"MemoryDenyWriteExecute=yes", "true"},
	{"NoNewPrivileges=yes", "grep -q 'NoNewPrivs:.1' /proc/self/status"},
	{"CapabilityBoundingSet=CAP_CHOWN", "grep -q 'CapBnd:.0*1$' /proc/self/status"},
	{"AmbientCapabilities=CAP_NET_BIND_SERVICE User=nobody", "grep -q 'CapAmb:.0*400$' /proc/self/status"},
	{"ProtectProc=invisible User=nobody", "test ! -d /proc/1"},
	{"ProcSubset=pid", "test ! -e /proc/meminfo"},
	{"ProtectKernelTunables=yes", "! echo 0 2>/dev/null >/proc/sys/net/ipv4/ip_forward"},
	{"ProtectKernelModules=yes", "true"},
	{"ProtectKernelLogs=yes", "! dmesg 2>/dev/null"},
	{"ProtectControlGroups=yes", "! mkdir /sys/fs/cgroup/x 2>/dev/null"},
	{"ProtectClock=yes", "true"},
	{"ProtectHostname=yes", "! hostname x 2>/dev/null"},
	{"NetworkNamespacePath=/run/netns/sandbox", "! grep -q eth0 /proc/net/dev"},
	{"RemoveIPC=yes User=nobody", "true"},
	{"KeyringMode=private", "true"},
	{"UMask=0077", "test $(umask) = 0077"},
	{"LimitNOFILE=100", "test $(ulimit -n) = 100"},
	{"Nice=5", "test $(nice) = 5"},
	{"CPUSchedulingPolicy=batch", "true"},
	{"IOSchedulingClass=idle", "true"},
	{"RuntimeDirectory=sandbox", "touch $RUNTIME_DIRECTORY/x"},
	{"DevicePolicy=closed", "echo >/dev/null"},
	{"Delegate=yes", "true"},
	{"TasksMax=10", "true"},
}

// Services with each sandboxing option of systemd.exec(5) run as on a machine.
func TestSandboxing(t *testing.T) {
	for _, template := range []string{"debian-12", "debian-13", "debian-sid-tests"} {
		t.Run(template, func(t *testing.T) {
			if why := unbuilt(t, template); why != "" && template == "debian-sid-tests" {
				t.Skipf("Debian sid cannot be installed today: %s", why)
			}
			hostAsBefore(t)
			vps := boot(t, template)
			sh(t, vps, `mkdir -p /srv/root/proc /srv/root/dev /srv/root/sys /srv/root/run /srv/root/tmp
				cd /srv/root && for d in bin sbin lib lib64 usr etc; do mkdir -p $d; done
				cp -a /usr/. usr/ && rm -rf usr/share && for d in bin sbin lib lib64; do rmdir $d && ln -s usr/$d $d; done
				echo >in-root; cp /usr/bin/true true; echo hidden >/srv/secret; ip netns add sandbox`)
			for _, s := range sandboxes {
				script := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect"}
				for _, p := range strings.Fields(s.option) {
					script = append(script, "--property", p)
				}
				if r := try(append(append([]string{"exec", vps, "--"}, script...), "/bin/sh", "-c", s.script)...); r.status != 0 {
					t.Errorf("%s: %s", s.option, r)
				}
			}
			if got := in(t, vps, "systemctl", "--failed", "--no-legend", "--plain"); got != "" {
				t.Errorf("failed: %s", got)
			}
			if got := in(t, vps, "findmnt", "--noheadings", "--output", "PROPAGATION", "/"); got != "shared" {
				t.Errorf("/ is %s", got)
			}
			if got := try("logs", vps); strings.Contains(got.out, "credentials") {
				t.Errorf("the console speaks of credentials: %s", got)
			}
		})
	}
}
