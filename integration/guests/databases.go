package guests

var databases = []Program{
	{
		Name:     "PostgreSQL",
		Packages: []string{"postgresql-17"},
		Setup: `
su postgres -c 'createdb shop'
su postgres -c "psql shop -c 'create table uses (id serial, at timestamp default now())'"`,
		Use: `
su postgres -c "psql shop -c 'insert into uses default values'"
test "$(su postgres -c "psql shop -Atc 'select count(*) from uses'")" = $USE
su postgres -c "psql shop -Atc 'select sum(n) from generate_series(1, 100000) n'" | grep -x 5000050000`,
		Few: true,
	},
	{
		Name:     "MariaDB",
		Packages: []string{"mariadb-server"},
		Setup: `
mariadb -e "create database shop; create table shop.uses (id int auto_increment primary key) engine=innodb;
	create user ann@localhost identified by 'word'; grant all on shop.* to ann@localhost"`,
		Use: `
mariadb --user ann --password=word shop -e 'begin; insert into uses values (); commit'
test "$(mariadb --user ann --password=word shop -BNe 'select count(*) from uses')" = $USE`,
	},
	{
		Name:     "Redis",
		Packages: []string{"redis-server"},
		Use: `
test "$(redis-cli incr uses)" = $USE
redis-cli save
redis-cli --pipe <<END
SET a 1
LPUSH list x y z
END
test "$(redis-cli llen list)" = $((3 * USE))`,
	},
	{
		Name:     "RabbitMQ",
		Packages: []string{"rabbitmq-server", "amqp-tools"},
		Setup: `
amqp-declare-queue --queue jobs --durable
amqp-publish --routing-key jobs --persistent --body 'work 0'`,
		Use: `
rabbitmqctl await_startup
test "$(amqp-get --queue jobs)" = "work $((USE - 1))"
amqp-publish --routing-key jobs --persistent --body "work $USE"
rabbitmqctl list_queues name messages | grep -P '^jobs\t1$'`,
	},
}
