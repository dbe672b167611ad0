package guests

var servers = []Program{
	{
		Name:     "nginx with PHP-FPM",
		Packages: []string{"nginx", "php-fpm", "curl"},
		Setup: `
cat >/etc/nginx/sites-available/default <<'END'
server {
	listen 80;
	listen [::]:80;
	root /srv/www;
	location ~ \.php$ {
		include snippets/fastcgi-php.conf;
		fastcgi_pass unix:/run/php/php-fpm.sock;
	}
}
END
mkdir /srv/www
echo '<?php echo PHP_SAPI, " ", 6 * 7, " ", get_current_user();' >/srv/www/answer.php
echo still >/srv/www/page.html
systemctl restart nginx`,
		Use: `
for host in 127.0.0.1 '[::1]'; do
	test "$(curl --fail --silent --show-error http://$host/page.html)" = still
	test "$(curl --fail --silent --show-error http://$host/answer.php)" = 'fpm-fcgi 42 root'
done
grep -c answer.php /var/log/nginx/access.log`,
		Few: true,
	},
	{
		Name:     "Postfix",
		Packages: []string{"postfix", "curl"},
		Preset: `
postfix postfix/main_mailer_type select Local only
postfix postfix/mailname string mail.example.net`,
		Setup: "useradd --create-home ann",
		Use: `
printf 'From: bob@example.net\nTo: ann@mail.example.net\nSubject: mail %s\n\nHello\n' $USE >/tmp/mail
curl --fail --silent --show-error smtp://127.0.0.1 --mail-from bob@example.net --mail-rcpt ann@mail.example.net --upload-file /tmp/mail
echo Hello | sendmail -F Root ann
until test "$(grep -c '^Hello' /var/mail/ann)" = $((2 * USE)); do
	sleep 0.1
done
grep -x "Subject: mail $USE" /var/mail/ann
test "$(postqueue -p)" = 'Mail queue is empty'`,
	},
	{
		Name:     "BIND",
		Packages: []string{"bind9", "bind9-dnsutils"},
		Setup: `
cat >/etc/bind/named.conf.local <<'END'
zone "shop.example" { type primary; file "/etc/bind/shop.example"; };
END
cat >/etc/bind/shop.example <<'END'
$TTL 300
@ IN SOA ns root 1 3600 600 86400 300
@ IN NS ns
ns IN A 192.0.2.53
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
END
rndc reload`,
		Use: `
for server in 127.0.0.1 ::1; do
	test "$(dig +short @$server www.shop.example)" = 192.0.2.80
	test "$(dig +short +tcp @$server www.shop.example AAAA)" = 2001:db8::80
done
rndc status | grep 'server is up'`,
	},
	{
		Name:     "OpenSSH",
		Packages: []string{"openssh-server", "openssh-client"},
		Setup: `
useradd --create-home --shell /bin/bash ann
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
install -d -m 700 -o ann -g ann /home/ann/.ssh
install -m 600 -o ann -g ann /root/.ssh/id_ed25519.pub /home/ann/.ssh/authorized_keys
printf 'StrictHostKeyChecking accept-new\n' >/root/.ssh/config`,
		Use: `
test "$(ssh ann@127.0.0.1 'id --user --name; tty || true')" = "ann
not a tty"
ssh -tt ann@127.0.0.1 tty </dev/null | grep /dev/pts/
echo copied >/tmp/file
scp /tmp/file ann@127.0.0.1:file
echo 'get file /tmp/back' | sftp -b - ann@127.0.0.1
cmp /tmp/file /tmp/back
loginctl list-sessions --no-legend`,
	},
}
