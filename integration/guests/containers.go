package guests

// image makes a tar of a small root filesystem.
const image = `
mkdir -p /srv/image/bin /srv/image/proc /srv/image/sys /srv/image/dev /srv/image/etc /srv/image/data /srv/image/tmp
cp /bin/busybox /srv/image/bin/
for applet in sh cat echo id ls grep wget httpd sleep wc test mkdir; do
	ln -s busybox /srv/image/bin/$applet
done
tar -C /srv/image -cf /srv/image.tar .
`

// podmanLimit takes Podman's default limit away where the VPS has no controller for it.
const podmanLimit = `
mkdir -p /etc/containers
grep -qw pids /sys/fs/cgroup/cgroup.controllers || printf '[containers]\npids_limit = 0\n' >/etc/containers/containers.conf
`

const podmanRemark = "On cgroup v1 with `pids_limit = 0` in `containers.conf`: a VPS has no controllers to give to containers"

var containers = []Program{
	{
		Name:     "Docker",
		Packages: []string{"docker.io", "docker-cli", "busybox-static"},
		Setup: image + `
docker import /srv/image.tar tiny
docker network create lan
docker run --detach --name web --network lan --restart always --publish 8080:80 tiny sh -c 'echo served >/index.html; exec httpd -f -h /'`,
		Use: `
test "$(docker info --format '{{.Driver}}')" = overlay2
test "$(docker run --rm --volume data:/data tiny sh -c 'echo use >>/data/uses; wc -l </data/uses')" = $USE
until test "$(busybox wget -q -O - http://127.0.0.1:8080/)" = served; do
	sleep 0.1
done
test "$(docker run --rm --network lan tiny wget -q -O - http://web/)" = served
test "$(docker exec web sh -c 'cat /index.html')" = served
printf 'FROM tiny\nRUN echo built >/built\n' | DOCKER_BUILDKIT=0 docker build --tag built -
test "$(docker run --rm --user 1000 built cat /built)" = built`,
	},
	{
		Name:     "Podman",
		Packages: []string{"podman", "aardvark-dns", "netavark", "crun", "busybox-static"},
		Setup: image + podmanLimit + `
podman import /srv/image.tar tiny
podman network create lan
mkdir -p /etc/containers/systemd
cat >/etc/containers/systemd/web.container <<'END'
[Container]
Image=localhost/tiny:latest
ContainerName=web
Network=lan
PublishPort=8080:80
Exec=sh -c 'echo served >/index.html; exec httpd -f -h /'
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl start web.service`,
		Use: `
test "$(podman info --format '{{.Store.GraphDriverName}}')" = overlay
test "$(podman run --rm --volume data:/data tiny sh -c 'echo use >>/data/uses; wc -l </data/uses')" = $USE
until test "$(busybox wget -q -O - http://127.0.0.1:8080/)" = served; do
	sleep 0.1
done
test "$(podman run --rm --network lan tiny wget -q -O - http://web/)" = served
test "$(podman exec web cat /index.html)" = served
printf 'FROM localhost/tiny\nRUN echo built >/built\n' | podman build --tag built -
test "$(podman run --rm --user 1000 built cat /built)" = built`,
		Remark: podmanRemark,
	},
	{
		Name:     "Podman of a user",
		Packages: []string{"podman", "aardvark-dns", "netavark", "crun", "uidmap", "passt", "fuse-overlayfs", "dbus-user-session", "busybox-static"},
		Setup: image + podmanLimit + `
useradd --create-home --shell /bin/bash ann
loginctl enable-linger ann
cat >/srv/setup <<'END'
podman import /srv/image.tar tiny
podman network create lan
mkdir -p ~/.config/containers/systemd
cat >~/.config/containers/systemd/web.container <<'UNIT'
[Container]
Image=localhost/tiny:latest
ContainerName=web
Network=lan
PublishPort=8080:80
Exec=sh -c 'echo served >/index.html; exec httpd -f -h /'
[Install]
WantedBy=default.target
UNIT
systemctl --user daemon-reload
systemctl --user start web.service
END
su - ann -c 'sh -eux /srv/setup'`,
		Use: `
cat >/srv/use <<'END'
test "$(podman info --format '{{.Host.Security.Rootless}} {{.Store.GraphDriverName}}')" = 'true overlay'
test "$(podman run --rm --volume data:/data tiny sh -c 'echo use >>/data/uses; wc -l </data/uses')" = $1
until test "$(busybox wget -q -O - http://127.0.0.1:8080/)" = served; do
	sleep 0.1
done
test "$(podman run --rm --network lan tiny wget -q -O - http://web/)" = served
test "$(podman exec web cat /index.html)" = served
podman run --rm --user 1000 tiny id | grep '^uid=1000'
END
su - ann -c "sh -eux /srv/use $USE"`,
		Remark: podmanRemark,
	},
}
