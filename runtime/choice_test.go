package runtime

import (
	"strings"
	"testing"

	"croft/internal/fail"
)

// A published port is chosen by its port or by its text. What could be two
// entries chooses none.
func TestPublicationChoice(t *testing.T) {
	all := []Publication{
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "18081", To: "80"},
		{Protocol: "tcp", Ports: "53", To: "53"},
		{Protocol: "udp", Ports: "53", To: "53"},
		{Protocol: "tcp", Ports: "2", To: "2"},
		{Protocol: "tcp", Ports: "5", To: "7"},
		{Protocol: "tcp", Ports: "8000-8010", To: "80-90"},
	}
	// The fifth entry publishes port 5: position and port are one entry.
	for _, c := range []struct {
		choice PublicationChoice
		want   int
		kind   fail.Kind
		text   string
	}{
		{choice: PublicationChoice{Number: 1}, want: 1},
		{choice: PublicationChoice{Number: 5}, want: 5},
		{choice: PublicationChoice{Number: 18081}, want: 1},
		{choice: PublicationChoice{Ports: "18081", To: "80"}, want: 1},
		{choice: PublicationChoice{Ports: "18081", To: "80", Host: "127.0.0.1", Protocol: "tcp"}, want: 1},
		{choice: PublicationChoice{Ports: "53", Protocol: "udp"}, want: 3},
		{choice: PublicationChoice{Ports: "8000-8010"}, want: 6},
		{choice: PublicationChoice{Ports: "2", To: "2"}, want: 4},
		{choice: PublicationChoice{Number: 2}, kind: fail.Usage, text: "2 chooses several published ports: number 2, number 4;"},
		{choice: PublicationChoice{Number: 53}, kind: fail.Usage, text: "number 2, number 3"},
		{choice: PublicationChoice{Number: 8005}, kind: fail.NotFound, text: "no published port 8005: the last is 6"},
		{choice: PublicationChoice{Ports: "18081", To: "81"}, kind: fail.NotFound, text: "no published port 18081:81"},
		{choice: PublicationChoice{Host: "::1", Ports: "53", To: "53"}, kind: fail.NotFound, text: "no published port [::1]:53:53"},
	} {
		got, err := c.choice.in(all, "web")
		if got != c.want || (err != nil) != (c.want == 0) || err != nil && (!fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %d, %v; want %d, %s", c.choice, got, err, c.want, c.text)
		}
	}
}
