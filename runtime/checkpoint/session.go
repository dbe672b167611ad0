package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"
)

// A session is one run of criu, which does one request (criu swrk, RPC of criu). It asks
// back at the steps that notes has.
type session struct {
	notes map[string]func(note) error
	place func(pid int) error // called with criu's pid before the request; may be nil
}

// A note is what criu says at a step.
type note struct {
	pid   int      // of the init, outside
	files *os.File // that comes with the note; nil if none
}

// ask runs criu with the request and returns its answer. The log is the file log below
// dir. criu is in a session of its own, so Ctrl-C does not end it. It stops what it does if
// this process ends.
func (s session) ask(ctx context.Context, program string, kind rpc.CriuReqType, o *rpc.CriuOpts, dir string) (*rpc.CriuResp, error) {
	conn, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	log := logName(kind)
	o.LogLevel, o.LogFile, o.NotifyScripts = new(int32(4)), &log, new(true)
	cmd := exec.Command(program, "swrk", "3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("run criu: %w", err)
	}
	answer, failed, err := s.talk(conn, cmd.Process.Pid, &rpc.CriuReq{Type: &kind, Opts: o})
	conn.Close()
	if e := cmd.Wait(); err == nil && e != nil {
		err = e
	}
	if failed != nil || err == nil {
		return answer, failed
	}
	text, _ := os.ReadFile(filepath.Join(dir, log))
	return answer, errors.New(reason(string(text), err))
}

func logName(kind rpc.CriuReqType) string {
	if kind == rpc.CriuReqType_RESTORE {
		return "restore.log"
	}
	return "dump.log"
}

// pair returns both ends of a connection, for us and for criu.
func pair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_LOCAL, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make connection: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "criu"), os.NewFile(uintptr(fds[1]), "croft")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make connection: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// talk sends the request and answers criu at each step until it has the result. After an
// error of ours at a step, which is failed, criu undoes what it has done.
func (s session) talk(conn *net.UnixConn, pid int, req *rpc.CriuReq) (answer *rpc.CriuResp, failed, err error) {
	if s.place != nil {
		if err := s.place(pid); err != nil {
			return nil, err, err
		}
	}
	if err := send(conn, req); err != nil {
		return nil, nil, err
	}
	for {
		answer, file, err := receive(conn)
		if err != nil {
			return nil, failed, err
		}
		if answer.GetType() != rpc.CriuReqType_NOTIFY {
			if !answer.GetSuccess() {
				err = errors.New("criu gives no reason")
			}
			return answer, failed, err
		}
		if failed == nil {
			failed = s.note(answer.GetNotify(), file)
		}
		if err := send(conn, &rpc.CriuReq{Type: new(rpc.CriuReqType_NOTIFY), NotifySuccess: new(failed == nil)}); err != nil {
			return nil, failed, err
		}
	}
}

func (s session) note(n *rpc.CriuNotify, file *os.File) error {
	do, ok := s.notes[n.GetScript()]
	if !ok {
		if file != nil {
			file.Close()
		}
		return nil
	}
	return do(note{pid: int(n.GetPid()), files: file})
}

func send(conn *net.UnixConn, req *rpc.CriuReq) error {
	data, err := req.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if _, err := conn.Write(data); err != nil {
		return fmt.Errorf("ask criu: %w", err)
	}
	return nil
}

func receive(conn *net.UnixConn) (*rpc.CriuResp, *os.File, error) {
	data, control := make([]byte, 64<<10), make([]byte, 256)
	n, c, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return nil, nil, fmt.Errorf("hear from criu: %w", err)
	}
	if n == 0 {
		return nil, nil, errors.New("criu has ended without an answer")
	}
	answer := new(rpc.CriuResp)
	if err := answer.UnmarshalVT(data[:n]); err != nil {
		return nil, nil, fmt.Errorf("understand criu: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:c])
	if err != nil || len(messages) == 0 {
		return answer, nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return answer, nil, err
	}
	unix.CloseOnExec(fds[0])
	return answer, os.NewFile(uintptr(fds[0]), "from criu"), nil
}
