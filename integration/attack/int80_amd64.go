package attack

// Has32 says whether this machine has system calls of 32-bit programs.
const Has32 = true

// Call32 makes a system call as a 32-bit program does (int $0x80): the kernel
// and its filters see the architecture i386. It returns what the kernel
// returned: a negative errno on an error. Pointers have to be below 4 GiB.
func Call32(nr, a, b, c uintptr) int32
