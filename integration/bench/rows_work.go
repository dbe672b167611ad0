package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// worker is the template with the programs of real work.
const worker = "debian-12-bench"

const workerRecipe = `from: debian-12
description: Debian 12 with programs for croft's benchmark
packages: [apache2-utils, fio, gcc, libc6-dev, nginx-light, postgresql, redis-server, redis-tools, sqlite3]
`

// A job is real work, as two scripts of sh that run in a directory of their own.
type job struct{ name, what, prepare, work string }

// jobs begin no service that the distribution has configured: each is configured here, on the loopback, so
// that it is the same on both sides. PostgreSQL refuses to run as root.
var jobs = []job{
	{
		"compile", "gcc -O2 compiles 8 C files of 60 functions, and links them",
		`for i in $(seq 8); do
			for j in $(seq 60); do
				echo "int f${i}_$j(int *a, int n) { int s = $j; for (int k = 0; k < n; k++) { s += a[k] * k; a[k] ^= s << ($j % 7); } return s; }"
			done >file$i.c
		done
		echo 'int f1_1(int *, int); int main(void) { int a[9] = {0}; return f1_1(a, 9) == -1; }' >main.c`,
		`rm -f *.o program
		for f in *.c; do gcc -O2 -c $f || exit 1; done
		gcc -o program *.o && ./program`,
	}, {
		"sqlite", "SQLite inserts 200,000 rows in one transaction and 100 in their own, makes an index and sums",
		``,
		`rm -f db*
		{
			echo "create table t (id integer primary key, k integer, v text);"
			echo "insert into t with recursive c(n) as (select 1 union all select n + 1 from c where n < 200000)"
			echo "  select n, n * 7919 % 100003, 'value ' || n from c;"
			for i in $(seq 100); do echo "insert into t (k, v) values ($i, 'one');"; done
			echo "create index i on t (k); select count(*), sum(k) from t where k between 100 and 50000;"
		} | sqlite3 -bail db`,
	}, {
		"redis", "redis-benchmark: 50,000 SET and 50,000 GET of 20 clients",
		`redis-server --port 7101 --bind 127.0.0.1 --save '' --dir . --daemonize yes --pidfile $PWD/pid --logfile $PWD/log
		until redis-cli -p 7101 ping; do sleep 0.1; done`,
		`redis-benchmark -h 127.0.0.1 -p 7101 -c 20 -n 50000 -t set,get -q`,
	}, {
		"pgbench", "pgbench: 2 clients with 1,500 transactions each, on a database of scale 2",
		`chown postgres .
		bin=$(ls -d /usr/lib/postgresql/*/bin)
		export PATH=$bin:$PATH
		as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
		as initdb -D data -A trust
		as pg_ctl -D data -l log -w -o "-p 7103 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$PWD -c dynamic_shared_memory_type=mmap" start
		as createdb -h 127.0.0.1 -p 7103 bench
		as pgbench -h 127.0.0.1 -p 7103 -i -s 2 bench`,
		`as pgbench -h 127.0.0.1 -p 7103 -n -c 2 -t 1500 bench`,
	}, {
		"nginx", "nginx answers 40,000 requests of ab for a file of 10 kB, 8 at a time, with keep-alive",
		`mkdir -p html
		head -c 10000 /dev/zero >html/file
		cat >nginx.conf <<-END
			user root;
			worker_processes 1;
			pid $PWD/pid;
			error_log $PWD/error.log;
			events { worker_connections 100; }
			http {
			  access_log off;
			  keepalive_requests 1000000;
			  server { listen 127.0.0.1:7102; root $PWD/html; }
			}
		END
		nginx -c $PWD/nginx.conf`,
		`ab -q -k -n 40000 -c 8 http://127.0.0.1:7102/file`,
	}, {
		"fio-write", "fio writes 256 MB one after the other, and waits for the disk at the end",
		``, `fio --name=w --rw=write --bs=1M --size=256M --end_fsync=1 --ioengine=psync`,
	}, {
		"fio-random", "fio reads 16,000 blocks of 4 kB of a file of 256 MB, without the page cache",
		``, `fio --name=r --rw=randread --bs=4k --size=256M --io_size=64M --direct=1 --ioengine=psync --randseed=1`,
	}, {
		"fio-fsync", "fio writes 500 blocks of 4 kB, and waits for the disk after each",
		``, `fio --name=f --rw=write --bs=4k --size=2M --fsync=1 --ioengine=psync`,
	},
}

// script prepares the job in a new directory, and works each time that it reads a line.
func (j job) script(dir string) string {
	return fmt.Sprintf(`set -e
mkdir -p %[1]s
cd %[1]s
exec 3>&1 >%[1]s/output 2>&1
prepare() {
:
%[2]s
}
# Servers must not hold our output.
prepare 3>&- </dev/null
work() {
%[3]s
}
echo ready >&3
while read -r line; do
	>%[1]s/output
	work 3>&- </dev/null || { tail -n 5 %[1]s/output >&3; exit 1; }
	echo done >&3
done
`, dir, j.prepare, j.work)
}

// row compares the job in a VPS and on the host, with the same programs.
func (j job) row() row {
	const dir = "/srv/bench"
	return row{name: "work-" + j.name, what: j.what, target: 1.1, sides: []side{
		{"croft", func(ctx context.Context, b *bench) (runner, error) {
			name, close, err := b.running(ctx, worker)
			if err != nil {
				return runner{close: close}, err
			}
			return b.works(b.croftArgs("exec", name, "--"), j.script(dir), close)
		}},
		{"host", func(ctx context.Context, b *bench) (runner, error) {
			root, close, err := b.chroot(dir)
			if err != nil {
				return runner{close: close}, err
			}
			return b.works([]string{"setsid", "chroot", root}, j.script(dir), close)
		}},
	}}
}

func (b *bench) works(where []string, script string, close func(context.Context) error) (runner, error) {
	l, err := b.talk(append(where, "sh", "-c", script))
	if err != nil {
		return runner{close: close}, err
	}
	return runner{l.turn, closeAll([]func(context.Context) error{close, l.close})}, nil
}

// chroot makes the files of the worker a place where programs of the host run. Dir in it is a plain
// directory of the host, on no overlay.
func (b *bench) chroot(dir string) (string, func(context.Context) error, error) {
	root, close, err := b.rootfs(worker)
	if err != nil {
		return "", nil, err
	}
	data := b.at(b.next("data"))
	all := []func(context.Context) error{close, func(ctx context.Context) error {
		return errors.Join(b.endChroot(root), os.RemoveAll(data))
	}}
	for _, m := range []struct{ source, target string }{
		{"/proc", "proc"}, {"/sys", "sys"}, {"/dev", "dev"}, {"/dev/shm", "dev/shm"}, {data, strings.TrimPrefix(dir, "/")},
	} {
		target := filepath.Join(root, m.target)
		for _, d := range []string{m.source, target} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return "", closeAll(all), err
			}
		}
		if err := unix.Mount(m.source, target, "", unix.MS_BIND, ""); err != nil {
			return "", closeAll(all), fmt.Errorf("mount %s in the files of %s: %w", m.source, worker, err)
		}
	}
	return root, closeAll(all), nil
}

// endChroot kills the servers that a job has left in a root directory, and unmounts what was mounted there.
func (b *bench) endChroot(root string) error {
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		return err
	}
	for _, link := range roots {
		if to, err := os.Readlink(link); err == nil && to == root {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/root", &pid); err == nil {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	var errs []error
	for _, target := range []string{"srv/bench", "dev/shm", "dev", "sys", "proc"} {
		if err := unix.Unmount(filepath.Join(root, target), unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			errs = append(errs, fmt.Errorf("unmount %s/%s: %w", root, target, err))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) workRows() []row {
	var rows []row
	for _, j := range jobs {
		rows = append(rows, j.row())
	}
	return rows
}
