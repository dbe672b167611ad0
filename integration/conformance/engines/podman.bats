#!/usr/bin/env bats
# Podman with its runtime replaced, configured as docs/podman.md says.

load host.bash

setup_file() {
	make_host podman.md
	mkdir -p /etc/containers/containers.conf.d
	documented podman.md /etc/containers/containers.conf.d/croft.conf >/etc/containers/containers.conf.d/croft.conf
	documented podman.md /etc/containers/containers.conf.d/host.conf >/etc/containers/containers.conf.d/host.conf
	# Of two that are installed, the one whose networks are files alone.
	printf '[network]\nnetwork_backend = "netavark"\n' >/etc/containers/containers.conf.d/network.conf
	podman load --quiet --input "$IMAGES"
}

teardown() {
	podman rm --all --force --time 0 >&2
	podman pod rm --all --force >&2
}

pid_of() {
	podman inspect --format '{{.State.Pid}}' "$1"
}

state_of() {
	podman inspect --format '{{.State.Status}}' "$1"
}

@test "info names the runtime" {
	is "$(as_documented podman.md 'podman info')" "$OCI"
}

@test "run: with the runtime of an option" {
	sed -i '/^runtime = /d' /etc/containers/containers.conf.d/croft.conf
	run podman info --format '{{.Host.OCIRuntime.Path}}'
	documented podman.md /etc/containers/containers.conf.d/croft.conf >/etc/containers/containers.conf.d/croft.conf
	[ "$output" != "$OCI" ]
	is "$(as_documented podman.md --runtime)" hello
}

@test "run: output and exit status" {
	run -7 --separate-stderr podman run --rm $BUSYBOX sh -c 'echo out; echo err >&2; exit 7'
	is "$output" out
	is "$stderr" err
}

@test "run: input" {
	is "$(echo through | podman run --rm -i $BUSYBOX cat)" through
}

@test "run: no such command is 127, one that cannot run 126" {
	run -127 podman run --rm $BUSYBOX /no/such
	run -126 podman run --rm $BUSYBOX /etc/passwd
}

@test "run: a terminal" {
	contains "$(podman run --rm -t $BUSYBOX sh -c 'tty; stty size')" /dev/pts/0
}

@test "run: a volume, a tmpfs, a read-only root" {
	mkdir /tmp/volume
	podman run --rm --read-only -v /tmp/volume:/v --tmpfs /t $BUSYBOX sh -c 'echo written >/v/file; echo x >/t/file; ! touch /file'
	is "$(cat /tmp/volume/file)" written
}

@test "run: capabilities, no new privileges, a user" {
	is "$(podman run --rm --cap-drop all --user 100:101 $BUSYBOX sh -c 'id -u; id -g; grep CapPrm /proc/self/status | cut -f 2')" \
		"$(printf '100\n101\n0000000000000000')"
	is "$(podman run --rm --security-opt no-new-privileges $BUSYBOX sh -c 'grep NoNewPrivs /proc/self/status | cut -f 2')" 1
}

@test "run: its filter of system calls" {
	is "$(podman run --rm $BUSYBOX sh -c 'grep Seccomp: /proc/self/status | cut -f 2')" 2
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}' >/tmp/profile
	run ! podman run --rm --security-opt seccomp=/tmp/profile $BUSYBOX mkdir /x
}

@test "run: privileged" {
	podman run --rm --privileged $BUSYBOX sh -c 'mkdir /m && mount -t tmpfs none /m && ls /dev/loop-control'
}

@test "run: a device" {
	podman run --rm --device /dev/zero:/dev/nought $BUSYBOX sh -c 'head -c 3 /dev/nought | wc -c | grep 3'
}

@test "run: a user namespace" {
	run -0 podman run --rm --uidmap 0:200000:65536 --gidmap 0:300000:65536 $BUSYBOX sh -c 'cat /proc/self/uid_map /proc/self/gid_map; touch /file; stat -c %u /file'
	contains "$(echo $output)" "0 200000 65536 0 300000 65536 0"
	is "$(stat -c '%a %u %g %t %T' /dev/null)" "$(cat /tmp/host/null)"
}

@test "run: the host's namespaces" {
	podman run --rm --pid host --network host --ipc host --uts host $BUSYBOX \
		sh -c 'for n in pid net ipc uts; do readlink /proc/self/ns/$n; done' >/tmp/inside
	readlink /proc/self/ns/{pid,net,ipc,uts} | diff - /tmp/inside
}

@test "run: limits, and other ones later" {
	podman run -d --name c --memory 64m --pids-limit 50 --cpu-shares 512 $BUSYBOX sleep 1000
	is "$(cgroup_value "$(pid_of c)" memory memory.limit_in_bytes memory.max)" $((64 << 20))
	is "$(cgroup_value "$(pid_of c)" pids pids.max pids.max)" 50
	podman update --memory 128m c
	is "$(cgroup_value "$(pid_of c)" memory memory.limit_in_bytes memory.max)" $((128 << 20))
}

@test "run: out of memory is 137" {
	run -137 podman run --rm --memory 32m --memory-swap 32m $BUSYBOX tail -c 300000000 /dev/zero
}

@test "run: a sysctl, an init, a rlimit" {
	is "$(podman run --rm --sysctl net.ipv4.ip_local_reserved_ports=1234 \
		--ulimit nofile=100:200 --ulimit nproc=1000:2000 $BUSYBOX \
		sh -c 'cat /proc/sys/net/ipv4/ip_local_reserved_ports; ulimit -Sn; ulimit -Hn')" "$(printf '1234\n100\n200')"
}

@test "logs" {
	podman run -d --name c $BUSYBOX sh -c 'echo one; echo two >&2'
	is "$(podman wait c)" 0
	is "$(podman logs c 2>/dev/null)" one
	is "$(podman logs c 2>&1 >/dev/null)" two
}

@test "exec: output, status, environment, directory, user, terminal" {
	podman run -d --name c --env GIVEN=1 $BUSYBOX sleep 1000
	run -3 podman exec --env X=y --workdir /etc --user nobody c sh -c 'echo $GIVEN$X; pwd; id -u; exit 3'
	is "$output" "$(printf '1y\n/etc\n65534')"
	is "$(echo through | podman exec -i c cat)" through
	contains "$(podman exec -t c tty)" /dev/pts/
	run -127 podman exec c /no/such
	run -126 podman exec c /etc/passwd
	podman exec -d c touch /made
	eventually podman exec c test -e /made
}

@test "stats and top" {
	podman run -d --name c --memory 64m $BUSYBOX sleep 1000
	contains "$(podman stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' c)" "c "
	contains "$(podman stats --no-stream --format '{{.MemLimit}}' c)" 67
	contains "$(podman top c args)" "sleep 1000"
}

@test "pause and unpause" {
	podman run -d --name c $BUSYBOX sh -c 'trap "" TERM; while :; do echo x; sleep 0.1; done'
	podman pause c
	is "$(state_of c)" paused
	podman logs c >/tmp/before
	sleep 0.5
	podman logs c | diff - /tmp/before
	podman unpause c
	is "$(state_of c)" running
	podman pause c
	podman rm --force --time 0 c
}

@test "stop by the signal that is asked for, and by force" {
	podman run -d --name polite $BUSYBOX sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
	eventually sh -c 'podman logs polite | grep ready'
	podman stop polite
	is "$(podman inspect --format '{{.State.ExitCode}}' polite)" 5
	podman run -d --name deaf $BUSYBOX sleep 1000
	podman stop --time 1 deaf
	is "$(podman inspect --format '{{.State.ExitCode}}' deaf)" 137
	podman start polite
	is "$(state_of polite)" running
}

@test "kill and wait" {
	podman run -d --name c $BUSYBOX sleep 1000
	podman kill --signal KILL c
	is "$(podman wait c)" 137
}

@test "create, start attached, restart" {
	podman create --name c $BUSYBOX sh -c 'echo hi >>/file; wc -l </file'
	is "$(podman start --attach c)" 1
	is "$(podman start --attach c)" 2
}

@test "a published port" {
	podman run -d --name c --publish 127.0.0.1:8080:80 $BUSYBOX sh -c 'echo served >/index.html; exec httpd -f -h /'
	eventually served 127.0.0.1 8080
}

@test "containers of one network reach each other" {
	podman network create net
	podman run -d --name server --network net $BUSYBOX sh -c 'echo served >/index.html; exec httpd -f -h /'
	address=$(podman inspect --format '{{.NetworkSettings.Networks.net.IPAddress}}' server)
	eventually sh -c "podman run --rm --network net $BUSYBOX wget -q -O - http://$address | grep served"
	podman rm --force --time 0 server
	podman network rm net
}

@test "a pod" {
	podman pod create --name p --infra-image $BUSYBOX --infra-command 'sleep 1000'
	podman run -d --name server --pod p $BUSYBOX sh -c 'echo served >/index.html; exec httpd -f -h /'
	eventually sh -c "podman run --rm --pod p $BUSYBOX wget -q -O - http://127.0.0.1 | grep served"
	podman pod stop --time 0 p
}

@test "a service that others ask" {
	apart as_documented podman.md 'podman system service'
	eventually test -S /run/podman/podman.sock || {
		cat /tmp/as_documented.log
		false
	}
	remote="podman --url unix:///run/podman/podman.sock"
	$remote run -d --name c --memory 64m $BUSYBOX sh -c 'echo out; sleep 1000'
	eventually sh -c "$remote logs c | grep out"
	is "$(podman inspect --format '{{.OCIRuntime}}' c)" croft
	is "$($remote exec c echo inside)" inside
	contains "$($remote stats --no-stream --format '{{.MemLimit}}' c)" 67
	$remote rm --force --time 0 c
}

@test "checkpoint and restore" {
	podman run -d --name c --network none --security-opt seccomp=unconfined $BUSYBOX \
		sh -c 'i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
	eventually podman exec c test -s /count
	podman container checkpoint c
	is "$(state_of c)" exited
	podman container restore c
	is "$(state_of c)" running
	before=$(podman exec c cat /count)
	eventually sh -c "[ \$(podman exec c cat /count) -gt $before ]"
}

@test "nothing is left" {
	nothing_left 'libpod-*'
}
