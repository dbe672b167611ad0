package signame

import (
	"strconv"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"TERM": 15, "sigterm": 15, "SIGHUP": 1, "9": 9, "64": 64, "IOT": 6, "RTMIN": 34, "SIGRTMIN+4": 38, "RTMIN+30": 64,
		"rtmin+22": 56, "rtmax-1": 63, "RTMAX": 64, "RTMAX-30": 34,
		"": 0, "0": 0, "65": 0, "-1": 0, "SIG": 0, "RTMIN-1": 0, "RTMIN+31": 0, "RTMAX+1": 0, "RTMIN4": 0, "FOO": 0, "SIGSIGHUP": 0,
		"RTMIN+9999999999999999999": 0,
	} {
		got, err := Parse(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for n := 1; n <= 31; n++ {
		if got, err := Parse(strconv.Itoa(n)); err != nil || int(got) != n {
			t.Errorf("signal %d: %v, %v", n, got, err)
		}
	}
}
