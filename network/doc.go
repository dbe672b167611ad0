// Package network connects VPSs to networks that cannot be snooped or spoofed.
//
// A [Table] says who owns which address and MAC in a network; it is the only
// truth. Plans are computed from it, and are values that print: a [HostPlan] lists
// what a network needs on the host, once; a [Plan] lists what one interface of a
// VPS needs. Package network/host makes the machine match them.
//
// This package is pure: it opens no socket, reads no file and starts no program.
//
// docs/network.md says how it works, docs/network-tests.md what was tried and measured.
package network
