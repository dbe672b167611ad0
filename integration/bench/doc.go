// Bench measures croft against what its users would take instead of it, on the same machine and
// with the same files: runc, crun, Podman, LXC, systemd-nspawn and containerd, and the host itself.
// `make bench` runs it.
//
// A row is one thing that all of its sides do; the first side is croft. The sides take turns, A B C A B C …, after
// a first turn of each that is not counted. Printed are the medians of a side, and the median of the ratios of
// croft to that side, round by round (sample.go, table.go: pure). A side that cannot
// run here is in the table with its error.
//
// All of it runs in a box (box.go): mount, PID, network, IPC, UTS and cgroup namespaces, with a part of the cgroup tree,
// a /run and a /tmp of its own. The kernel ends everything in it with its first process, also after Ctrl-C. The CPU time of a
// command is that of all processes in the box, so it includes those that a command leaves running.
package main
