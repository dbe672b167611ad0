# What the tests of engines share. They run in a box of the conformance
# program, as root of a host that is theirs: what they change of /etc,
# /var and /usr/local/bin is gone with the box.
#
# RUNTIME is the runtime under test, IMAGES an archive of the images below,
# DOCS the directory of the documentation, by which engines are configured.

BUSYBOX=docker.io/library/busybox:latest
PAUSE=docker.io/library/pause:latest
# Where the documentation has croft's runtime.
OCI=/usr/local/bin/croft-oci

# make_host FILE lets this host be changed, and installs the runtime as a file
# of the documentation says.
make_host() {
	local dir layers
	for dir in /var/lib /var/log /usr/local/bin; do
		layers=/tmp/host$dir
		mkdir -p "$layers/upper" "$layers/work"
		mount -t overlay overlay -o "lowerdir=$dir,upperdir=$layers/upper,workdir=$layers/work" "$dir"
	done
	# Layers of containers cannot be on an overlay.
	for dir in /var/lib/containers /var/lib/containerd; do
		mkdir -p "$dir" "/tmp/host$dir/store"
		mount --bind "/tmp/host$dir/store" "$dir"
	done
	cp "$RUNTIME" /usr/local/bin/croft
	rm -f "$OCI"
	as_documented "$1" "$OCI"
	rm -rf /etc/cni/net.d /etc/containers/containers.conf.d
	cat /proc/cgroups >/tmp/host/cgroups
	stat -c '%a %u %g %t %T' /dev/null >/tmp/host/null
}

# documented FILE NAME prints the block of code in a file of the documentation
# that follows the line which ends in `NAME`: .
documented() {
	awk -v name="\`$2\`:" '
		index($0, name) && substr($0, length($0) - length(name) + 1) == name { found = 1; next }
		found && /^```/ { if (inside) exit; inside = 1; next }
		inside { print }' "$DOCS/$1" | grep . || {
		echo "$1 has nothing about $2" >&2
		return 1
	}
}

# as_documented FILE NAME runs such a block of code.
as_documented() {
	source <(documented "$1" "$2")
}

# apart COMMAND... starts what stays until the box ends, without the files that
# bats waits for.
apart() {
	(
		for fd in /proc/self/fd/*; do
			[ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"
		done
		"$@" </dev/null >"/tmp/$1.log" 2>&1
	) &
}

# eventually COMMAND... waits until the command succeeds, at most 20 seconds.
eventually() {
	local end=$((SECONDS + 20))
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "never: $*" >&2
			return 1
		fi
		sleep 0.2
	done
}

# served ADDRESS PORT asks a web server for what the tests' containers serve.
served() {
	(exec 9<>"/dev/tcp/$1/$2" && printf 'GET / HTTP/1.0\r\n\r\n' >&9 && grep -q served <&9)
}

# is TEXT EXPECTED compares.
is() {
	if [ "$1" != "$2" ]; then
		printf 'got:  %s\nwant: %s\n' "$1" "$2" >&2
		return 1
	fi
}

# contains TEXT PART looks for a part.
contains() {
	if [[ $1 != *"$2"* ]]; then
		printf 'got:  %s\nwant: ...%s...\n' "$1" "$2" >&2
		return 1
	fi
}

# cgroup_value PID CONTROLLER VERSION1-FILE VERSION2-FILE prints the content
# of a file of a process's cgroup.
cgroup_value() {
	local path
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		path=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")/$4
	else
		path=/sys/fs/cgroup/$2$(awk -F: -v c="$2" '$2 == c { print $3 }' "/proc/$1/cgroup")/$3
	fi
	cat "$path"
}

# nothing_left PATTERN [OPTION...]: no cgroup of a matching name is there, the
# runtime with these options knows no container, and the host's /dev/null is
# as it was.
nothing_left() {
	is "$(find /sys/fs/cgroup -type d -name "$1")" ""
	is "$(stat -c '%a %u %g %t %T' /dev/null)" "$(cat /tmp/host/null)"
	is "$("$OCI" "${@:2}" list --quiet)" ""
}
