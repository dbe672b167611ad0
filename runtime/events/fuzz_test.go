package events

import (
	"bytes"
	"reflect"
	"testing"
)

// An event that is read from the log is written and read again as the same event, in one line.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"time":1700000000000000,"event":"started","name":"web","uuid":"x","attributes":{"a":"b"}}`))
	f.Add([]byte(`{"event":"x","time":-9223372036854775808}`))
	f.Add([]byte(`{"event":"\n\u2028"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := decode(line)
		if !ok {
			return
		}
		text, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.TrimSpace(text)
		if again, ok := decode(text); !ok || !reflect.DeepEqual(again, e) || bytes.ContainsRune(text, '\n') {
			t.Errorf("%q is %+v, then %q is %+v", line, e, text, again)
		}
	})
}
