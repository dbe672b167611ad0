// Package holder turns croft's monitor into what stays beside a running VPS:
// a program so small that a thousand of them cost little. The program itself
// is in program/; `make build` builds it and this package embeds it.
package holder

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/runtime/holder/protocol"
)

// None is the descriptor of something that is not there.
const None = protocol.None

// A Config is everything that a holder knows of its VPS.
type Config = protocol.Config

// EventTime begins the event that the holder writes: Config.Events.
const EventTime = protocol.EventTime

// EventsSize is the size in bytes at which the holder sets the log of events aside.
const EventsSize = protocol.EventsSize

// A Count is a number of the kernel that the holder watches, and tells in the log of
// events, in a line that EventEnd ends.
type Count = protocol.Count

// EventEnd ends the event of a Count.
const EventEnd = protocol.EventEnd

// A Disk is the file system with the own files of a VPS, which the holder watches.
type Disk = protocol.Disk

// Files is the filesystem with the files that show a VPS its own memory, CPUs and load.
// Cgroups are the directories that have their numbers.
type (
	Files   = protocol.Files
	Cgroups = protocol.Cgroups
)

// CgroupsOf returns the cgroups with these directories, by the names of their controllers
// of version 1, and "" for that of version 2.
func CgroupsOf(dirs map[string]string) Cgroups { return protocol.CgroupsOf(dirs) }

// InitName is the name of the holder's program as the init of a VPS whose image
// has none. An Init is its configuration there.
const InitName = protocol.InitName

// An Init is the configuration of the holder's program as an init.
type Init = protocol.Init

// An End is how a VPS's init ended. Status is a wait status, as
// unix.WaitStatus takes it, and means nothing unless Known.
type End = protocol.End

// ParseEnd reads how a VPS ended off the end of the arguments that the holder
// executes croft with: Config.Argv, then "--life FD --status STATUS|unknown".
func ParseEnd(args []string) (End, error) { return protocol.ParseEnd(args) }

//go:embed embedded
var embedded embed.FS

// Install makes sure that the holder is a file in binDir and returns its path.
// The file is named after its content and written at once and whole, so any
// number of processes may do this at the same time, and all the holders of one
// build share their pages. It is fail.Host if croft was built without it.
func Install(binDir string) (path string, err error) {
	file, err := embedded.Open("embedded/holder")
	if err != nil {
		return "", fail.New(fail.Host, "this croft was built without its holder").WithHint("make build")
	}
	defer file.Close()
	program := file.(io.ReadSeeker) // as embed.FS promises
	name, err := nameOf(program)
	if err != nil {
		return "", fmt.Errorf("read the holder: %w", err)
	}
	path = filepath.Join(binDir, name)
	if isProgram(path, program) {
		return path, nil
	}
	content, err := embedded.ReadFile("embedded/holder")
	if err != nil {
		return "", fmt.Errorf("read the holder: %w", err)
	}
	if err := os.MkdirAll(binDir, 0o700); err != nil {
		return "", fmt.Errorf("install the holder: %w", err)
	}
	if err := atomicfile.ReplaceShared(path, 0o755, content); err != nil {
		return "", fmt.Errorf("install the holder: %w", err)
	}
	removeFormer(path)
	return path, nil
}

// nameOf returns the name of the file with program. Each start of a VPS needs it, so it has a
// checksum that processors compute (CRC-32C), and the size. Should two versions have the same
// name, one replaces the other's file, because Install compares the content.
func nameOf(program io.ReadSeeker) (string, error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	size, err := io.CopyBuffer(struct{ io.Writer }{sum}, program, make([]byte, pieceSize))
	return fmt.Sprintf("holder-%08x%06x", sum.Sum32(), size), err
}

// pieceSize is the size of the pieces in which the holder is read: a whole copy would need
// new memory at each start.
const pieceSize = 64 << 10

// inUseFor is how long the file of another version is kept: another croft may
// have installed it and not executed it yet.
const inUseFor = 24 * time.Hour

// removeFormer removes what other versions, and killed installs, have left
// beside the holder at path. Processes that run from such a file go on.
func removeFormer(path string) {
	for _, pattern := range []string{"holder-*", ".holder-*"} {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(path), pattern))
		if err != nil {
			continue
		}
		for _, file := range files {
			st, err := os.Lstat(file)
			if err == nil && file != path && st.Mode().IsRegular() && time.Since(st.ModTime()) > inUseFor {
				_ = os.Remove(file)
			}
		}
	}
}

// isProgram reports whether path is an executable file with that content. A
// crash of the machine can leave one that is too short.
func isProgram(path string, program io.ReadSeeker) bool {
	st, err := os.Lstat(path)
	if err != nil || st.Mode() != 0o755 {
		return false
	}
	there, err := os.Open(path)
	if err != nil {
		return false
	}
	defer there.Close()
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return false
	}
	return same(there, program)
}

// same reports whether a and b have the same content until their ends.
func same(a, b io.Reader) bool {
	one, other := make([]byte, pieceSize), make([]byte, pieceSize)
	for {
		n, errA := io.ReadFull(a, one)
		m, errB := io.ReadFull(b, other)
		if !bytes.Equal(one[:n], other[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB)
		}
	}
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// Exec puts the holder at path in the place of this process, which keeps its
// pid and its children. Every descriptor but 0, 1, 2 and those in c is closed
// by it; title is what ps(1) shows. Exec returns only if that fails, and then
// c's descriptors are inheritable.
func Exec(path, title string, c Config) error {
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close descriptors on exec: %w", err)
	}
	for _, fd := range []int{c.Life, c.Master, c.Notify, c.Console, c.KernelLog, c.PIDFD, c.Runner, c.Alarm, c.Files.FD, c.Files.Tasks, c.Disk.FD} {
		if fd <= 0 {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep descriptor %d on exec: %w", fd, err)
		}
	}
	// One huge page is more than all that the holder needs. It survives the
	// exec; kernels without it (3.15 and older) have nothing to switch off.
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
	err := unix.Exec(path, c.Args(title), protocol.Environment(os.Environ()))
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return fail.New(fail.Host, "execute %s: %w", path, err)
	}
	return fmt.Errorf("execute %s: %w", path, err)
}
