//go:build !amd64

package attack

// Has32 says whether this machine has system calls of 32-bit programs.
const Has32 = false

// Call32 is for amd64 alone.
func Call32(nr, a, b, c uintptr) int32 { panic("no 32-bit system calls here") }
