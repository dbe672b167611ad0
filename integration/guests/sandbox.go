package guests

// A Sandbox is some options of systemd.exec(5) or systemd.resource-control(5), with a
// script that is run by a service which has them: it succeeds where they are in effect,
// and fails in a service without them unless Plain.
type Sandbox struct {
	Options string
	Script  string
	After   string // runs outside, after the service: it succeeds if the options were in effect
	Plain   bool   // a service without the options succeeds, too
	CPUs    int    // it succeeds, too, on a machine with fewer CPUs
	Since   int    // the first version of systemd that has them, if not all have them
	// Without has, by the host's cgroups ("v1", "v2"), why the options have no effect
	// there.
	Without map[string]string
	Remark  string
}

// SandboxSetup makes the files that the scripts need. It runs once.
const SandboxSetup = `
mkdir -p /srv/root/proc /srv/root/dev /srv/root/sys /srv/root/run /srv/root/tmp /srv/home /usr/lib/modules/some
cd /srv/root && for d in bin sbin lib lib64 usr etc; do mkdir -p $d; done
cp -a /usr/. usr/ && rm -rf usr/share && for d in bin sbin lib lib64; do rmdir $d && ln -s usr/$d $d; done
echo >in-root
cp /usr/bin/true true
echo hidden >/srv/secret
touch /root/file
ip netns add sandbox`

// SandboxHelpers are functions that the scripts use.
const SandboxHelpers = `
status() { sed -n "s/^$1:\t//p" /proc/$2/status; }
filtered() { test "$(status Seccomp_filters self)" -gt "$(status Seccomp_filters 1)"; }
capability() { test $((0x$(status CapBnd self) >> $1 & 1)) = 1; }
limit() { cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$1 2>/dev/null; }
own() { test "$(readlink /proc/self/ns/$1)" != "$(readlink /proc/1/ns/$1)"; }
`

// Reasons that several options share.
var (
	noControllers = map[string]string{"v1": "a VPS has no controllers to give to its services"}
	noBPF         = both("systemd needs BPF, which the kernel gives to root of the host only")
	noPriority    = both("the kernel lets only root of the host raise priorities; the service does not start")
)

func both(reason string) map[string]string { return map[string]string{"v1": reason, "v2": reason} }

// Sandboxes are all of them, as the table has them.
var Sandboxes = []Sandbox{
	// Files.
	{Options: "ProtectSystem=yes", Script: "! touch /usr/x 2>/dev/null"},
	{Options: "ProtectSystem=full", Script: "! touch /etc/x 2>/dev/null"},
	{Options: "ProtectSystem=strict", Script: "! touch /var/x 2>/dev/null"},
	{Options: "ProtectSystem=strict ReadWritePaths=/srv", Script: "touch /srv/written && ! touch /var/x 2>/dev/null"},
	{Options: "ProtectHome=yes", Script: "test -z \"$(ls -A /root)\""},
	{Options: "ProtectHome=tmpfs", Script: "test -z \"$(ls -A /root)\""},
	{Options: "ProtectHome=read-only", Script: "! touch /root/x 2>/dev/null"},
	{Options: "PrivateTmp=yes", Script: "touch /tmp/private && test \"$(ls /tmp)\" = private"},
	{Options: "PrivateMounts=yes", Script: "own mnt && mount -t tmpfs x /mnt && umount /mnt"},
	{Options: "RootDirectory=/srv/root", Script: "test -e /in-root"},
	{Options: "RootDirectory=/srv/root MountAPIVFS=yes", Script: "test -e /in-root && test -d /proc/self && test -c /dev/null"},
	{Options: "BindPaths=/srv/root:/mnt", Script: "test -e /mnt/in-root"},
	{Options: "BindReadOnlyPaths=/srv/root:/mnt", Script: "test -e /mnt/in-root && ! touch /mnt/x 2>/dev/null"},
	{Options: "TemporaryFileSystem=/srv", Script: "test -z \"$(ls -A /srv)\""},
	{Options: "ReadOnlyPaths=/srv", Script: "! touch /srv/x 2>/dev/null"},
	{Options: "InaccessiblePaths=/srv", Script: "! ls /srv/root 2>/dev/null"},
	{Options: "NoExecPaths=/srv", Script: "! /srv/root/true 2>/dev/null"},
	{Options: "NoExecPaths=/ ExecPaths=/usr", Script: "! /srv/root/true 2>/dev/null"},
	{Options: "RuntimeDirectory=sandbox", Script: `test -d "$RUNTIME_DIRECTORY" && touch $RUNTIME_DIRECTORY/x`},
	{Options: "StateDirectory=sandbox CacheDirectory=sandbox LogsDirectory=sandbox ConfigurationDirectory=sandbox",
		Script: "test $STATE_DIRECTORY = /var/lib/sandbox && touch $STATE_DIRECTORY/x $CACHE_DIRECTORY/x $LOGS_DIRECTORY/x $CONFIGURATION_DIRECTORY/x"},
	{Options: "LoadCredential=name:/srv/secret", Script: "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{Options: "SetCredential=name:word", Script: "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = word"},
	{Options: "LoadCredential=name:/srv/secret DynamicUser=yes", Script: "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{Options: "LoadCredential=name:/srv/secret PrivateMounts=yes ProtectSystem=strict", Script: "test \"$(cat $CREDENTIALS_DIRECTORY/name)\" = hidden"},
	{Options: "UMask=0027", Script: "test $(umask) = 0027"},
	{Options: "RestrictFileSystems=~proc", Script: "! cat /proc/version 2>/dev/null", Without: noBPF},

	// Devices, users and namespaces.
	{Options: "PrivateDevices=yes", Script: "test ! -e /dev/fuse && echo >/dev/null"},
	{Options: "DevicePolicy=closed", Script: "echo >/dev/null && ! (exec 3<>/dev/fuse) 2>/dev/null", Without: noBPF},
	{Options: "PrivateNetwork=yes", Script: "! grep -q eth0 /proc/net/dev"},
	{Options: "NetworkNamespacePath=/run/netns/sandbox", Script: "! grep -q eth0 /proc/net/dev"},
	{Options: "PrivateIPC=yes", Script: "own ipc"},
	{Options: "PrivateUsers=yes", Script: "own user && grep -Eq '^ *0 +0 +1$' /proc/self/uid_map"},
	{Options: "PrivatePIDs=yes", Script: "test $$ = 1", Since: 257},
	{Options: "DynamicUser=yes", Script: "test $(id -u) -ge 61184"},
	{Options: "DynamicUser=yes StateDirectory=dynamic", Script: `test -d "$STATE_DIRECTORY" && touch $STATE_DIRECTORY/x`},
	{Options: "User=daemon", Script: "test $(id -un) = daemon"},
	{Options: "User=daemon PAMName=login", Script: "test -n \"$XDG_SESSION_ID\""},
	{Options: "RemoveIPC=yes User=daemon", Script: "ipcmk --shmem 4096", After: "while ipcs --shmems | grep daemon; do sleep 0.1; done", Plain: true},
	{Options: "RestrictNamespaces=yes", Script: "! unshare -n true 2>/dev/null"},
	{Options: "KeyringMode=private", Script: "grep -q _ses /proc/keys", Plain: true},

	// System calls and capabilities.
	{Options: "SystemCallFilter=@system-service", Script: "filtered && ! mount -t tmpfs x /mnt 2>/dev/null"},
	{Options: "SystemCallFilter=~@mount", Script: "! mount -t tmpfs x /mnt 2>/dev/null"},
	{Options: "SystemCallFilter=~unshare SystemCallErrorNumber=EBUSY", Script: "unshare -n true 2>&1 | grep -q busy"},
	{Options: "SystemCallArchitectures=native", Script: "filtered"},
	{Options: "RestrictAddressFamilies=AF_UNIX", Script: "! ip link 2>/dev/null"},
	{Options: "RestrictSUIDSGID=yes", Script: "! (touch /srv/suid && chmod u+s /srv/suid) 2>/dev/null"},
	{Options: "RestrictRealtime=yes", Script: "filtered && ! chrt -f 1 true 2>/dev/null"},
	{Options: "LockPersonality=yes", Script: "filtered && ! setarch linux32 true 2>/dev/null"},
	{Options: "MemoryDenyWriteExecute=yes", Script: `perl -e 'my %mmap = (x86_64 => 9, aarch64 => 222);
		exit(syscall($mmap{shift()}, 0, 4096, 7, 34, -1, 0) == -1 ? 0 : 1)' $(uname -m)`},
	{Options: "NoNewPrivileges=yes", Script: "test $(status NoNewPrivs self) = 1"},
	{Options: "CapabilityBoundingSet=CAP_CHOWN", Script: "capability 0 && ! capability 1"},
	{Options: "AmbientCapabilities=CAP_NET_BIND_SERVICE User=daemon", Script: "test $((0x$(status CapAmb self))) = 1024"},

	// The kernel.
	{Options: "ProtectProc=invisible User=daemon", Script: "test ! -d /proc/1"},
	{Options: "ProcSubset=pid", Script: "test ! -e /proc/meminfo"},
	{Options: "ProtectKernelTunables=yes", Script: "! echo 0 2>/dev/null >/proc/sys/net/ipv4/ip_forward"},
	{Options: "ProtectKernelModules=yes", Script: "test -z \"$(ls -A /usr/lib/modules 2>/dev/null)\""},
	{Options: "ProtectKernelLogs=yes", Script: "! capability 34 && [ -z \"$(dmesg 2>/dev/null)\" ]"},
	{Options: "ProtectControlGroups=yes", Script: "! mkdir /sys/fs/cgroup/x 2>/dev/null"},
	{Options: "ProtectClock=yes", Script: "! capability 35"},
	{Options: "ProtectHostname=yes", Script: "! hostname x 2>/dev/null"},

	// Resources.
	{Options: "CPUQuota=20%", Script: "test \"$(limit cpu.max)\" = '20000 100000'", Without: noControllers},
	{Options: "CPUWeight=50", Script: "test \"$(limit cpu.weight)\" = 50", Without: noControllers},
	{Options: "MemoryMax=32M", Script: "test \"$(limit memory.max)\" = 33554432", Without: noControllers},
	{Options: "MemoryHigh=16M MemorySwapMax=0", Script: "test \"$(limit memory.high) $(limit memory.swap.max)\" = '16777216 0'", Without: noControllers},
	{Options: "TasksMax=10", Script: "test \"$(limit pids.max)\" = 10", Without: noControllers},
	{Options: "IOWeight=50", Script: "test \"$(limit io.weight)\" = 'default 50'", Without: noControllers},
	{Options: "AllowedCPUs=0", Script: "test \"$(limit cpuset.cpus)\" = 0", Without: noControllers},
	{Options: "Delegate=yes User=daemon", Script: "test $(id -un) = daemon && test -O /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs"},
	{Options: "IPAddressDeny=any", Script: "! ping -c 1 -W 1 127.0.0.1", Without: noBPF, Remark: "nftables inside the VPS can do it"},
	{Options: "SocketBindDeny=any", Script: "! ping -c 1 -W 1 127.0.0.1", Without: noBPF},
	{Options: "LimitNOFILE=100", Script: "test $(ulimit -n) = 100"},
	{Options: "LimitNPROC=33 LimitMEMLOCK=64K LimitCORE=0", Script: "grep -Eq 'Max processes +33 ' /proc/self/limits && grep -Eq 'Max locked memory +65536 ' /proc/self/limits"},
	{Options: "Nice=5", Script: "test $(nice) = 5"},
	{Options: "Nice=-5", Script: "test $(nice) = -5", Without: noPriority},
	{Options: "CPUSchedulingPolicy=batch", Script: "chrt -p $$ | grep -q BATCH"},
	{Options: "CPUSchedulingPolicy=rr CPUSchedulingPriority=1", Script: "chrt -p $$ | grep -q RR", Without: noPriority},
	{Options: "CPUAffinity=0", Script: "taskset -p $$ | grep -q ': 1$'", CPUs: 2},
	{Options: "IOSchedulingClass=idle", Script: "ionice -p $$ | grep -q idle"},
	{Options: "OOMScoreAdjust=500", Script: "test $(cat /proc/self/oom_score_adj) = 500"},
	{Options: "OOMScoreAdjust=-500", Script: "test $(cat /proc/self/oom_score_adj) = -500",
		Without: both("the kernel lets only root of the host protect processes; the service starts all the same")},
	{Options: "LogNamespace=other", Script: "logger logged", After: "until journalctl --namespace other | grep logged; do systemd-run --quiet --wait --property LogNamespace=other logger logged || sleep 0.1; done", Plain: true},
}
