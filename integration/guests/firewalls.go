package guests

// peer makes a machine of its own inside the VPS, a network namespace with an
// address beside one of the VPS: it is the other side of a connection.
const peer = `
ip netns add peer
ip link add to-peer type veth peer name eth0 netns peer
ip address add 10.99.0.1/24 dev to-peer
ip link set to-peer up
ip -n peer address add 10.99.0.2/24 dev eth0
ip -n peer link set eth0 up
ip -n peer link set lo up
`

// ports serves one page on the ports 80 and 81.
const ports = `
mkdir -p /srv/page
echo page >/srv/page/index.html
for port in 80 81; do
	busybox httpd -p $port -h /srv/page
done
get() { ip netns exec peer busybox wget -q -T 3 -O - http://10.99.0.1:$1/; }
`

var firewalls = []Program{
	{
		Name:     "fail2ban",
		Packages: []string{"fail2ban", "python3-systemd", "openssh-server", "openssh-client"},
		Setup: `
cat >/etc/fail2ban/jail.d/defaults-debian.conf <<'END'
[DEFAULT]
banaction = nftables
banaction_allports = nftables[type=allports]
[sshd]
backend = systemd
journalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd
enabled = true
maxretry = 3
END
systemctl restart fail2ban`,
		Use: peer + `
login() { ip netns exec peer timeout 10 ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=3 intruder@10.99.0.1 2>&1 || true; }
until fail2ban-client status sshd | grep 10.99.0.2; do
	login
	sleep 0.1
done
until nft list ruleset | grep 10.99.0.2; do
	sleep 0.1
done
login | grep -E 'refused|timed out'`,
	},
	{
		Name:     "ufw",
		Packages: []string{"ufw", "busybox-static"},
		Setup: `
ufw allow 80/tcp
ufw --force enable`,
		Use: peer + ports + `
ufw status | grep -E '80/tcp +ALLOW'
test "$(get 80)" = page
! get 81`,
		Few: true,
	},
	{
		Name:     "firewalld",
		Packages: []string{"firewalld", "busybox-static"},
		Setup: `
firewall-cmd --permanent --add-service http
firewall-cmd --reload`,
		Use: peer + ports + `
firewall-cmd --list-services | grep -w http
test "$(get 80)" = page
! get 81`,
	},
}
