// Package vm runs croft on the kind of host that most users have: a virtual
// machine with Debian 13's own kernel, cgroup v2 only, systemd as PID 1, D-Bus,
// AppArmor, and iptables on nf_tables. `make test-vm` runs it.
//
// The machine is made of Debian's packages alone (image_test.go) and is kept
// between runs. Beside its own disk it has one with the built croft and the
// compiled integration tests, and one with templates (disks_test.go). An agent
// inside, which is this package's test binary too, runs scripts for the tests
// outside and sends back what they print and how they end (agent_test.go). A
// test may boot the same disks many times, end a boot by having the power cut,
// and boot with another init than systemd (machine_test.go). QEMU emulates the
// processor where KVM does not work. No network is there, but
// a cable between the machines of a test that has two (move_test.go).
package vm
