package guests

var kubernetes = []Program{
	{
		Name:     "containerd",
		Packages: []string{"containerd", "runc", "busybox-static"},
		Setup:    image,
		Use: `
ctr plugins ls | grep 'io.containerd.snapshotter.*overlayfs.* ok'
ctr plugins ls | grep 'io.containerd.grpc.*cri.* ok'
test "$(ctr --namespace k8s.io run --rm --rootfs --cpu-shares 0 /srv/image first /bin/sh -c 'echo use >>/data/uses; /bin/id -u')" = 0
test "$(wc -l </srv/image/data/uses)" = $USE`,
		Remark: "By `ctr`; `--cpu-shares 0` for cgroup v1, where a VPS has no controllers. runc 1.1 of Debian cannot mount a directory of the root filesystem read-only in a container (`ctr run --net-host`); newer ones, crun, Docker and Podman can",
	},
	{
		Name:     "etcd",
		Packages: []string{"etcd-server", "etcd-client"},
		Use: `
etcdctl put use-$USE done
test "$(etcdctl get --prefix use- --keys-only | grep -c use-)" = $USE
etcdctl endpoint health`,
	},
	{
		Name:     "Kubernetes, conditions of a node",
		Packages: []string{"kubernetes-client", "conntrack", "ethtool"},
		Host:     "for c in cpu cpuset memory pids; do grep -qw $c /sys/fs/cgroup/cgroup.controllers || missing=\"${missing-} $c\"; done; echo ${missing:+a VPS has no cgroup controllers here, and a kubelet needs them:$missing}",
		Setup: `
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/k8s.conf
sysctl -p /etc/sysctl.d/k8s.conf`,
		// What kubeadm's preflight asks for, and what kube-proxy and a network of pods make.
		Use: `
kubectl version --client
test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1
test "$(grep -vc Filename /proc/swaps)" = 0
for tool in ip iptables mount nsenter ethtool tc touch conntrack; do
	command -v $tool
done
sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400
iptables -t nat -A POSTROUTING -m comment --comment kube -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully
iptables -A FORWARD -m conntrack --ctstate INVALID -m statistic --mode random --probability 0.5 -j DROP
ip link add pods0 type bridge
ip link add vxlan0 type vxlan id 1 dev eth0 dstport 8472
mkdir -p /var/lib/kubelet
mount -t tmpfs tmpfs /var/lib/kubelet
mount --make-rshared /var/lib/kubelet
test "$(findmnt --noheadings --output PROPAGATION /)" = shared`,
		Remark: "Debian has no kubelet, kubeadm or k3s, so none was run. A kubelet needs `KubeletInUserNamespace=true`, since a VPS may not set `vm.*` and `kernel.panic`; kubeadm's `SystemVerification` needs the kernel's configuration, for example by `--mount`",
	},
}
