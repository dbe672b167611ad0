package host

import (
	"net"
	"testing"
	"time"
)

// Only an answer to the question counts, and an answer to a repeated question counts too.
func TestAnswersDNS(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(n int, question []byte) []byte // to the n-th question
		want   bool
	}{
		{"answers", func(_ int, q []byte) []byte { q[2] |= 0x80; return q }, true},
		{"refuses", func(_ int, q []byte) []byte { q[2] |= 0x80; q[3] = 5; return q }, true},
		{"answers the second time", func(n int, q []byte) []byte {
			if n == 0 {
				return nil
			}
			q[2] |= 0x80
			return q
		}, true},
		{"is silent", func(int, []byte) []byte { return nil }, false},
		{"echoes", func(_ int, q []byte) []byte { return q }, false},
		{"answers another question", func(_ int, q []byte) []byte { q[0], q[2] = 1, q[2]|0x80; return q }, false},
		{"says little", func(int, []byte) []byte { return []byte{0xc0} }, false},
	} {
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			buf := make([]byte, 512)
			for n := 0; ; n++ {
				got, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				if answer := c.answer(n, append([]byte{}, buf[:got]...)); answer != nil {
					_, _ = server.WriteTo(answer, from)
				}
			}
		}()
		conn, err := net.Dial("udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		patience := 300 * time.Millisecond
		if c.want {
			patience = time.Minute
			if c.name == "answers the second time" {
				patience = 3 * time.Second
			}
		}
		if got := answersDNS(conn, time.Now().Add(patience)); got != c.want {
			t.Errorf("a server that %s: %v", c.name, got)
		}
		conn.Close()
		server.Close()
	}
}
