// Package network connects VPSs to networks that cannot be snooped or spoofed.
//
// A [Table] says who owns which address and MAC in a network; it is the only
// truth. From it come plans, which are values that print: a [HostPlan] is what
// a network needs of the host, once; a [Plan] is what one interface of a VPS
// needs. A [Host] makes the machine match them and decides nothing.
//
// docs/network.md says how it works and what was measured.
package network
