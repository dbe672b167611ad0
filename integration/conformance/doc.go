// Conformance measures croft as an OCI runtime against the newest runc, on the
// same machine, by tests that others wrote: runc's own (suite_runc.go), and the
// validation programs of the OCI (suite_validation.go). What engines do with a
// runtime is tested by scripts of ours, in engines. `make conformance` runs it.
//
// A test that fails for runc too is the machine's, or the test's. What is
// reported is where croft does worse each time that it is tried, and runc never
// as bad (compare.go). Nothing of others is kept
// here: tests and runc come as Go modules and are built in a cache, what they
// need else comes from the distribution.
//
// Each file of tests runs in a box (box.go): namespaces, a /tmp, a /run, an /etc
// and a part of the cgroup tree of its own, all of which end with it, whatever a
// failing test left running, mounted, frozen or configured there. No test runs in
// the checkout: some leave files where they are.
package main
