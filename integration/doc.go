// Package integration drives the built croft as its users do: as root, on a
// real kernel, through its command line alone. `make test-integration` runs it.
//
// The tests run in a network and a mount namespace of their own (main_test.go),
// so that a croft in use on the same machine is neither seen nor disturbed,
// and after each of them the machine has to be as it was before
// (snapshot_test.go). Templates that take long to build are kept between runs
// (templates_test.go).
package integration
