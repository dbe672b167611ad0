package guests

var tunnels = []Program{
	{
		Name:     "OpenVPN",
		Packages: []string{"openvpn", "openssl"},
		Setup: `
cd /etc/openvpn
for end in server client; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=$end -keyout $end.key -out $end.crt 2>/dev/null
done
print() { openssl x509 -in $1.crt -noout -fingerprint -sha256 | cut -d = -f 2; }
cat >server/tunnel.conf <<END
dev tun0
server 10.98.0.0 255.255.255.0
topology subnet
dh none
cert /etc/openvpn/server.crt
key /etc/openvpn/server.key
peer-fingerprint $(print client)
END
cat >client/tunnel.conf <<END
client
dev tun0
remote 10.99.0.1
nobind
cert /etc/openvpn/client.crt
key /etc/openvpn/client.key
peer-fingerprint $(print server)
END
systemctl enable --now openvpn-server@tunnel`,
		Use: peer + `
systemctl is-active openvpn-server@tunnel
ip netns exec peer openvpn --config /etc/openvpn/client/tunnel.conf --daemon --writepid /run/client.pid --log /run/client.log
until grep 'Initialization Sequence Completed' /run/client.log; do
	sleep 0.1
done
ip netns exec peer ping -c 1 -W 5 10.98.0.1
ip -n peer route get 10.98.0.1 | grep tun0
kill $(cat /run/client.pid)`,
	},
	{
		Name:     "WireGuard",
		Packages: []string{"wireguard-tools"},
		Host:     "ip link add probe type wireguard 2>/dev/null && ip link delete probe || echo 'the kernel has no WireGuard'",
		Setup: `
cd /etc/wireguard
umask 077
for end in server client; do
	wg genkey >$end.key
	wg pubkey <$end.key >$end.pub
done
printf '[Interface]\nAddress = 10.97.0.1/24\nListenPort = 51820\nPrivateKey = %s\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.97.0.2/32\n' \
	$(cat server.key) $(cat client.pub) >wg0.conf
systemctl enable --now wg-quick@wg0`,
		Use: peer + `
ip -n peer link add wg0 type wireguard
ip netns exec peer wg set wg0 private-key /etc/wireguard/client.key peer $(cat /etc/wireguard/server.pub) endpoint 10.99.0.1:51820 allowed-ips 10.97.0.1/32
ip -n peer address add 10.97.0.2/24 dev wg0
ip -n peer link set wg0 up
ip netns exec peer ping -c 1 -W 5 10.97.0.1
wg show wg0 latest-handshakes | grep -v '\s0$'`,
	},
}
