#!/usr/bin/env bats
# containerd with a runtime of our own, asked by ctr, and by crictl as by a
# kubelet, configured as docs/kubernetes.md says.

load host.bash

setup_file() {
	make_host kubernetes.md
	rm -rf /etc/containerd /etc/cni/net.d
	mkdir -p /etc/containerd /etc/cni/net.d
	for name in /etc/containerd/config.toml /etc/cni/net.d/10-pods.conflist /etc/crictl.yaml; do
		documented kubernetes.md $name >$name
	done
	# Where the distribution has the plugins, an image that is here, and a
	# host that may be one that cannot lower oom_score_adj.
	for plugins in /usr/lib/cni /usr/libexec/cni /opt/cni/bin; do
		[ -e $plugins/bridge ] && break
	done
	sed -i "s,/usr/lib/cni,$plugins," /etc/containerd/config.toml
	cat >>/etc/containerd/config.toml <<-EOF
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$PAUSE"
		  restrict_oom_score_adj = true
	EOF
	for name in pod.json container.json runtimeclass.yaml pod.yaml; do
		documented kubernetes.md $name >/tmp/$name
	done
	apart containerd
	eventually crictl info >/dev/null
	for namespace in default k8s.io; do
		ctr --namespace $namespace images import "$IMAGES" >/dev/null
	done
}

teardown() {
	local id
	crictl rmp --all --force
	for id in $(ctr containers list --quiet); do
		gone "$id"
	done
}

# gone ID ends a container of ctr's.
gone() {
	ctr tasks resume "$1" || true
	ctr tasks kill --all --signal KILL "$1" || true
	eventually ctr_stopped "$1"
	ctr tasks delete "$1" || true
	ctr containers delete "$1"
}

ctr_run() {
	ctr run --runc-binary "$OCI" "$@"
}

ctr_status() {
	ctr tasks list | awk -v id="$1" '$1 == id { print $3 }'
}

ctr_stopped() {
	case $(ctr_status "$1") in '' | STOPPED) ;; *) false ;; esac
}

# a_pod makes a pod and its container as documented, or as changed in /tmp: they are $pod
# and $container.
a_pod() {
	cd /tmp
	as_documented kubernetes.md crictl
}

in_state() {
	is "$(crictl inspect --output go-template --template '{{.status.state}}' "$1")" "$2"
}

@test "ctr: run as documented" {
	is "$(as_documented kubernetes.md ctr)" hello
}

@test "ctr: output and exit status" {
	run -7 --separate-stderr ctr_run --rm $BUSYBOX c sh -c 'echo out; echo err >&2; exit 7'
	is "$output" out
	is "$stderr" err
}

@test "ctr: no such command is an error that names it" {
	run ! ctr_run --rm $BUSYBOX c /no/such
	contains "$output" /no/such
	is "$(ctr tasks list --quiet)" ""
}

@test "ctr: a user namespace" {
	run -0 ctr_run --rm --uidmap 0:200000:65536 --gidmap 0:300000:65536 $BUSYBOX c cat /proc/self/uid_map /proc/self/gid_map
	contains "$(echo $output)" "0 200000 65536 0 300000 65536"
}

@test "ctr: limits, a read-only root, an environment, a filter of system calls" {
	ctr_run -d --read-only --env X=y --memory-limit $((64 << 20)) --seccomp $BUSYBOX c sleep 1000
	pid=$(ctr tasks list | awk '$1 == "c" { print $2 }')
	is "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
	run -1 ctr tasks exec --exec-id e c touch /file
	is "$(ctr tasks exec --exec-id e c sh -c 'echo $X')" y
	contains "$(grep Seccomp: "/proc/$pid/status")" 2
}

@test "ctr: exec, its status, processes, metrics" {
	ctr_run -d $BUSYBOX c sleep 1000
	run -3 ctr tasks exec --exec-id e --cwd /etc --user 65534 c sh -c 'pwd; id -u; exit 3'
	is "$output" "$(printf '/etc\n65534')"
	contains "$(ctr tasks ps c)" "$(ctr tasks list | awk '$1 == "c" { print $2 }')"
	contains "$(ctr tasks metrics c)" memory
}

@test "ctr: pause and resume" {
	ctr_run -d $BUSYBOX c sh -c 'while :; do echo x >>/ticks; sleep 0.1; done'
	eventually ctr tasks exec --exec-id e c test -s /ticks
	ctr tasks pause c
	is "$(ctr_status c)" PAUSED
	ctr tasks resume c
	is "$(ctr_status c)" RUNNING
	is "$(ctr tasks exec --exec-id e c echo on)" on
}

@test "ctr: kill with a signal that is handled" {
	ctr_run --rm $BUSYBOX c sh -c 'trap "exit 5" TERM; touch /ready; while :; do sleep 0.1; done' &
	eventually ctr tasks exec --exec-id e c test -e /ready
	ctr tasks kill --signal TERM c
	status=0
	wait $! || status=$?
	is $status 5
}

@test "ctr: checkpoint and restore" {
	ctr_run -d $BUSYBOX c sh -c 'i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
	eventually ctr tasks exec --exec-id e c test -s /count
	ctr containers checkpoint --task --rw --image c docker.io/library/checkpoint:latest
	gone c
	# It takes the runtime of the configuration, not that of an option.
	ctr containers restore --live --rw c docker.io/library/checkpoint:latest
	is "$(ctr_status c)" RUNNING
	before=$(ctr tasks exec --exec-id e c cat /count)
	eventually sh -c "[ \$(ctr tasks exec --exec-id e c cat /count) -gt $before ]"
}

@test "cri: the handler of the RuntimeClass is one of containerd's" {
	handler=$(sed -n 's/^handler: //p' /tmp/runtimeclass.yaml)
	is "$(sed -n 's/^ *runtimeClassName: //p' /tmp/pod.yaml)" "$(sed -n 's/^  name: //p' /tmp/runtimeclass.yaml)"
	crictl info | jq --exit-status ".config.containerd.runtimes.$handler.options.BinaryName == \"$OCI\""
}

@test "cri: a pod as documented: logs, a published port" {
	a_pod
	in_state "$container" CONTAINER_RUNNING
	eventually sh -c "crictl logs $container | grep served"
	address=$(crictl inspectp --output go-template --template '{{.status.network.ip}}' "$pod")
	eventually served "$address" 80
	eventually served 127.0.0.1 8081
}

@test "cri: it is this runtime that runs the pod" {
	a_pod
	is "$(crictl inspectp --output json "$pod" | jq -r .info.runtimeHandler)" croft
	contains "$("$OCI" --root /run/containerd/runc/k8s.io list --quiet)" "$container"
}

@test "cri: exec, its status, and a terminal" {
	a_pod
	is "$(crictl exec --sync "$container" hostname)" web
	run ! crictl exec --sync "$container" sh -c 'echo half; exit 3'
	contains "$output" half
	is "$(crictl exec "$container" echo streamed)" streamed
	contains "$(crictl exec --interactive --tty "$container" tty)" /dev/pts/
}

@test "cri: stats, and limits that are changed" {
	a_pod
	eventually sh -c "crictl stats --output json $container | jq --exit-status '.stats[0].memory.workingSetBytes.value | tonumber > 0'"
	pid=$(crictl inspect --output json "$container" | jq .info.pid)
	is "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((64 << 20))
	crictl update --memory $((128 << 20)) "$container"
	is "$(cgroup_value "$pid" memory memory.limit_in_bytes memory.max)" $((128 << 20))
}

@test "cri: pause and resume" {
	a_pod
	ctr --namespace k8s.io tasks pause "$container"
	run ! timeout 1 crictl exec --sync "$container" true
	ctr --namespace k8s.io tasks resume "$container"
	is "$(crictl exec --sync "$container" echo on)" on
}

@test "cri: two containers of a pod share its network and IPC" {
	a_pod
	second=$(jq '.metadata.name = "client" | .command = ["sleep", "1000"]' /tmp/container.json |
		crictl create "$pod" /dev/stdin /tmp/pod.json)
	crictl start "$second"
	eventually sh -c "crictl exec --sync $second wget -q -O - http://127.0.0.1 | grep served"
	is "$(crictl exec --sync "$second" readlink /proc/self/ns/ipc)" "$(crictl exec --sync "$container" readlink /proc/self/ns/ipc)"
}

@test "cri: a privileged pod, and one with the host's namespaces" {
	jq 'del(.hostname) | .linux.security_context = {"privileged": true, "namespace_options": {"network": 2, "pid": 2, "ipc": 2}}' \
		/tmp/pod.json >/tmp/host-pod.json
	pod=$(crictl runp --runtime croft /tmp/host-pod.json)
	container=$(jq '.linux.security_context = {"privileged": true, "namespace_options": {"network": 2, "pid": 2, "ipc": 2}} |
		.command = ["sleep", "1000"]' /tmp/container.json | crictl create "$pod" /dev/stdin /tmp/host-pod.json)
	crictl start "$container"
	is "$(crictl exec --sync "$container" readlink /proc/self/ns/pid)" "$(readlink /proc/self/ns/pid)"
	is "$(crictl exec --sync "$container" readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net)"
	crictl exec --sync "$container" sh -c 'mkdir /m && mount -t tmpfs none /m'
}

@test "cri: a container that ends, and one that is stopped" {
	a_pod
	short=$(jq '.metadata.name = "short" | .command = ["sh", "-c", "exit 4"]' /tmp/container.json |
		crictl create "$pod" /dev/stdin /tmp/pod.json)
	crictl start "$short"
	eventually in_state "$short" CONTAINER_EXITED
	is "$(crictl inspect --output json "$short" | jq .status.exitCode)" 4
	crictl stop --timeout 1 "$container"
	in_state "$container" CONTAINER_EXITED
	crictl rm "$container"
	crictl stopp "$pod"
	crictl rmp "$pod"
	is "$(crictl pods --quiet)" ""
}

@test "nothing is left" {
	is "$(find /sys/fs/cgroup -type d \( -path '*/default/*' -o -path '*/k8s.io/*' -o -path '*/kubepods/*' \))" ""
	is "$(stat -c '%a %u %g %t %T' /dev/null)" "$(cat /tmp/host/null)"
	is "$("$OCI" --root /run/containerd/runc/default list --quiet)" ""
	is "$("$OCI" --root /run/containerd/runc/k8s.io list --quiet)" ""
}
