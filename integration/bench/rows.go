package main

import (
	"slices"
	"strings"
)

// busybox is the template that most rows use.
const busybox = "busybox"

// rows returns all rows, in the order of the table.
func (b *bench) rows() []row {
	return slices.Concat(b.lifeRows(), b.debianRows(), b.loadRows(), b.manyRows(), b.workRows())
}

func (b *bench) lifeRows() []row {
	return []row{
		{
			name: "start", target: 1,
			what:  "start of a busybox VPS until its init runs, with a network, a user namespace and filters; runc and crun: the same files in a user namespace, without a network; Podman: without a user namespace",
			sides: []side{croftStart(), ociStart("runc"), ociStart("crun"), lxcStart(lxcWithNetwork()...), podmanStart()},
		}, {
			name: "start-nonet", target: 1,
			what:  "the same, with --network none",
			sides: []side{croftStart("--network", "none"), ociStart("runc"), ociStart("crun"), lxcStart("lxc.net.0.type = empty")},
		}, {
			name:  "create",
			what:  "create of a busybox VPS, which does not start",
			sides: []side{croftCreate(), podmanCreates()},
		}, {
			name:  "destroy",
			what:  "destroy of a stopped busybox VPS",
			sides: []side{croftDestroy(), podmanRemoves()},
		}, {
			name: "exec", target: 1,
			what:  "exec of true in a running busybox VPS",
			sides: []side{croftExec(), ociExec("runc"), ociExec("crun"), lxcExec(), podmanExec(), ctrExec()},
		}, {
			name:  "run",
			what:  "run --rm of true in a new busybox VPS, with a network; crun, runc, systemd-nspawn and containerd: without one",
			sides: []side{croftRun(), podmanRun(), lxcRun(), ociRun("crun"), ociRun("runc"), nspawnRun(), ctrRun()},
		},
	}
}

// recipes are those of templates that croft has no recipe for.
var recipes = map[string]string{worker: workerRecipe}

// templates returns the templates that rows need, each after the one that it is built from.
func templates(rows []row) []string {
	all := []string{busybox}
	needed := func(prefix string) bool {
		return slices.ContainsFunc(rows, func(r row) bool { return strings.HasPrefix(r.name, prefix) })
	}
	if needed("debian") || needed("work-") {
		all = append(all, debian)
	}
	if needed("work-") {
		all = append(all, worker)
	}
	return all
}
