package protocol

import (
	"reflect"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	for _, c := range []Config{
		{Init: 17, PIDFD: None, Runner: None, Life: 3, Master: 4, Notify: 5, Console: 6, Log: "/log", Booted: "/booted", Events: "/log", Event: `,"event":"booted"}`, Alarm: None,
			Counts: []Count{{"/sys/fs/a=b c", "oom_kill", `,"event":"oom","x y":"`, ""}, {"/p", "max", `,"`, "croft: refused: "}}, Exec: "/croft", Argv: []string{"croft"}},
		{Init: 99999999, Adopted: true, PIDFD: 10, Runner: 11, Life: 3, Master: None, Notify: None, Console: None,
			Disk: Disk{FD: 8, Event: `,"event":"disk"`}, Files: Files{FD: 9, Tasks: None}, Owner: 100000, IDs: 65536, MemoryCgroup: "/croft/a=b", Hello: "croft: hello", Filters: "/f", Cgroups: Cgroups{Version2: "/cg/u", Memory: "/cg/m=1", BlkIO: "/cg/b"},
			Log: "a=b c\n", Exec: "/x", Argv: []string{"croft", "monitor", "--", "", "init=1"}},
	} {
		got, err := Parse(c.Args("croft monitor web"))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v came back as %+v, %v", c, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := Config{Init: 17, Life: 3, Exec: "/croft", Argv: []string{"croft"}}.Args("x")
	for _, c := range []struct{ replace, by, want string }{
		{"init=17", "init=0", "init is missing"},
		{"init=17", "init=", "not a number: init="},
		{"init=17", "init=1x", "not a number: init=1x"},
		{"init=17", "init=99999999999999999999", "not a number: init=99999999999999999999"},
		{"life=3", "life=-1", "life is missing"},
		{"exec=/croft", "exec=", "exec is missing"},
		{"log=", "logs=", "unknown argument logs="},
		{"log=", "", "unknown argument "},
		{"log=", "cgroup.x=/cg", "unknown controller x"},
		{"log=", "files=x", "not a number: files=x"},
		{"log=", "disk=x", "not a number: disk=x"},
	} {
		args := append([]string{}, good...)
		for i := range args {
			if args[i] == c.replace {
				args[i] = c.by
			}
		}
		if _, err := Parse(args); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.by, err, c.want)
		}
	}
	if _, err := Parse(nil); err == nil {
		t.Error("no arguments are accepted")
	}
}

func TestEnd(t *testing.T) {
	for _, e := range []End{{Life: 3}, {Life: 12, Known: true}, {Life: 3, Known: true, Status: 0x2a00}, {Life: 3, Known: true, Status: 1},
		{Life: 3, Known: true, Status: 9, Own: true}, {Life: 3, Abandoned: true}} {
		if got, err := ParseEnd(append([]string{"croft", "monitor"}, e.Args()...)); err != nil || got != e {
			t.Errorf("%+v came back as %+v, %v", e, got, err)
		}
	}
	for _, bad := range []string{"", "--life 3 --status", "--life x --status 1", "--life -1 --status 1", "--life 3 --status 65536", "--status 1 --life 3", "--life 3 --status ~", "--life 3 --status ~x"} {
		if got, err := ParseEnd(strings.Fields(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := []string{"PATH=/bin", "GOGC=50", "GOMAXPROCS=", "X=GOGC=1"}
	out := Environment(env)
	if out[0] != "GOGC=off" || out[1] != "GOMAXPROCS=1" {
		t.Errorf("ours do not come first: %q", out)
	}
	if got := RestoreEnvironment(out); !reflect.DeepEqual(got, env) {
		t.Errorf("%q came back as %q", env, got)
	}
}

// FuzzDecoder holds that frames mean the same however the stream is cut, and
// that no stream makes the decoder panic or use more than it was given.
func FuzzDecoder(f *testing.F) {
	f.Add(AppendSize(AppendData(nil, []byte("hello")), 24, 80), 3)
	f.Add(AppendData(nil, make([]byte, 70000)), 65540)
	f.Add([]byte("d\x00\x00w\x00\x00\x00\x00x"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, at int) {
		at = min(max(at, 0), len(stream))
		whole, wholeErr := decode(t, stream)
		cut, cutErr := decode(t, stream[:at], stream[at:])
		if !reflect.DeepEqual(whole, cut) || wholeErr != cutErr {
			t.Errorf("%q is %v, cut at %d %v", stream, whole, at, cut)
		}
	})
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 70000)
	stream := AppendSize(AppendData(AppendData(nil, []byte(long)), nil), 24, 300)
	got, err := decode(t, stream)
	if err != "" || got.typed != long || !reflect.DeepEqual(got.sizes, [][2]uint16{{24, 300}}) {
		t.Errorf("%d bytes typed, sizes %v, %v", len(got.typed), got.sizes, err)
	}
}

func TestUnread(t *testing.T) {
	var d Decoder
	stream := AppendData(nil, []byte("abcdef"))
	piece, used, _ := d.Next(stream)
	d.Unread(4)
	again, _, _ := d.Next(stream[used-4:])
	if string(piece.Data) != "abcdef" || string(again.Data) != "cdef" {
		t.Errorf("%q, then %q", piece.Data, again.Data)
	}
}

type decoded struct {
	typed string
	sizes [][2]uint16
}

func decode(t *testing.T, parts ...[]byte) (got decoded, failure string) {
	var d Decoder
	for _, p := range parts {
		for len(p) > 0 {
			piece, used, err := d.Next(p)
			if err != nil {
				return got, err.Error()
			}
			if used <= 0 || used > len(p) {
				t.Fatalf("used %d of %d bytes", used, len(p))
			}
			got.typed += string(piece.Data)
			if piece.Resize {
				got.sizes = append(got.sizes, [2]uint16{piece.Rows, piece.Cols})
			}
			p = p[used:]
		}
	}
	return got, ""
}
