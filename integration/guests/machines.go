package guests

// visible are options of systemd-nspawn that show the container the procfs and sysfs
// which croft keeps uncovered: without them the kernel lets root of a VPS mount none.
const visible = "--bind=/dev/.croft/proc:/run/visible-proc --bind=/dev/.croft/sys:/run/visible-sys"

var machines = []Program{
	{
		Name:     "systemd-nspawn, one command",
		Packages: []string{"systemd-container", "busybox-static"},
		Setup: image + `
mkdir -p /var/lib/machines
mv /srv/image /var/lib/machines/tiny
mkdir -p /var/lib/machines/tiny/usr
echo ID=tiny >/var/lib/machines/tiny/etc/os-release`,
		Use: `
tiny() { systemd-nspawn --quiet --directory /var/lib/machines/tiny ` + visible + ` "$@" </dev/null; }
test "$(tiny --pipe cat /proc/1/comm)" = cat
tiny --pipe sh -c 'echo use >>/data/uses'
test "$(wc -l </var/lib/machines/tiny/data/uses)" = $USE
test "$(tiny --private-network --pipe grep -c : /proc/net/dev)" = 1`,
		Remark: nspawnRemark,
	},
	{
		Name:     "systemd-nspawn, Debian with systemd",
		Packages: []string{"systemd-container"},
		Setup: `
mkdir -p /var/lib/machines/deb /etc/systemd/nspawn
tar -C / --one-file-system --exclude ./srv/packages --exclude ./var/lib/machines -cf - . | tar -C /var/lib/machines/deb -xf -
rm -f /var/lib/machines/deb/etc/machine-id
printf 'auto lo\niface lo inet loopback\n' >/var/lib/machines/deb/etc/network/interfaces
cat >/etc/systemd/nspawn/deb.nspawn <<'END'
[Exec]
PrivateUsers=no
[Files]
Bind=/dev/.croft/proc:/run/visible-proc
Bind=/dev/.croft/sys:/run/visible-sys
END
systemctl enable --now systemd-nspawn@deb`,
		Use: `
tries=0
until test "$(systemctl -M deb is-system-running)" = running; do
	tries=$((tries + 1))
	test $tries -lt 600
	systemctl -M deb --failed --no-legend --plain || true
	systemctl -M deb list-jobs --no-legend --plain || true
	sleep 1
done
test "$(systemd-run -M deb --pipe --wait --quiet cat /proc/1/comm)" = systemd
systemd-run -M deb --pipe --wait --quiet sh -c 'echo use >>/root/uses'
test "$(wc -l </var/lib/machines/deb/root/uses)" = $USE
machinectl show deb --property State | grep running`,
		Remark: nspawnRemark,
	},
	{
		Name:     "snapd",
		Packages: []string{"snapd", "squashfuse", "squashfs-tools", "fuse3"},
		Setup: `
mkdir -p /srv/snap/meta
cat >/srv/snap/meta/snap.yaml <<'END'
name: tiny
version: '1'
base: none
summary: tiny
description: tiny
END
echo content >/srv/snap/file
snap pack /srv/snap /srv`,
		Use: `
snap version | grep snapd
snap list
squashfuse /srv/tiny_1_all.snap /mnt
test "$(cat /mnt/file)" = content
umount /mnt`,
		Remark: "With `fuse3` and `squashfuse`, since a VPS has no loop devices. A snap is packed and mounted. None was installed: snapd gets what a snap is based on from the store, and the test has no network",
	},
	{
		Name:     "croft in croft",
		Croft:    true,
		Packages: []string{"iptables"},
		Options:  []string{"--id-size", "2097152"},
		Setup:    "mkdir /srv/croft",
		Use: `
mount -t tmpfs -o mode=755 tmpfs /srv/croft
inner() { croft --root /srv/croft "$@"; }
inner host check | grep -v ^ok || true
inner create --template busybox inner
inner start --wait inner
test "$(inner exec inner -- id -u)" = 0
test "$(inner exec inner -- awk '{ print $2 }' /proc/self/uid_map)" = 1048576
inner exec inner -- sh -c 'ping -c 1 -W 60 "$(ip -4 route show default | cut -d" " -f3)"'
inner stop inner
inner destroy inner
umount /srv/croft`,
		Remark: "With `--id-size`, and a tmpfs for `--root`: [software.md](software.md#croft-inside-a-vps)",
	},
}

const nspawnRemark = "With " + "`" + visible + "`, or the same as `Bind=` in a `.nspawn` file, and without a user namespace of its own"
