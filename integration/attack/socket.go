package attack

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Socket opens a packet socket at a link of this thread's network namespace,
// which neither reading nor writing waits. The caller closes it.
func Socket(link string) (fd int, err error) {
	all := uint16(unix.ETH_P_ALL)
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all<<8|all>>8))
	if err != nil {
		return -1, err
	}
	index, err := indexOf(fd, link)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at %s: %w", link, err)
	}
	return fd, nil
}

// Listen is a Socket that hears everything, promiscuously.
func Listen(link string) (fd int, err error) {
	if fd, err = Socket(link); err != nil {
		return -1, err
	}
	index, err := indexOf(fd, link)
	if err == nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at %s: %w", link, err)
	}
	return fd, nil
}

func indexOf(fd int, link string) (int, error) {
	req, err := unix.NewIfreq(link)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// Send sends frames by a link of this thread's network namespace.
func Send(link string, frames ...[]byte) error {
	fd, err := Socket(link)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, f := range frames {
		if _, err := unix.Write(fd, f); err != nil {
			return fmt.Errorf("send % x: %w", f, err)
		}
	}
	return nil
}

// SendMACs sends n frames, each from another source MAC: the first-th and those
// after it.
func SendMACs(link string, frame []byte, first, n int) error {
	fd, err := Socket(link)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i := first; i < first+n; i++ {
		frame[8], frame[9], frame[10], frame[11] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
		if _, err := unix.Write(fd, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("send % x: %w", frame, err)
		}
	}
	return nil
}

// Received returns what a socket has heard since, without waiting.
func Received(fd int) ([][]byte, error) {
	var out [][]byte
	for {
		buf := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EINTR):
			continue // the link was taken down, which is told once
		case err != nil:
			return out, err
		}
		out = append(out, buf[:n])
	}
}
