package backup

import (
	"testing"

	"croft/internal/fail"
)

// A backup's document of others is valid or an error that the user can understand, and
// the VPS of an accepted one is valid, too.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"schema":1,"vps":{"schema":1,"template":{"name":"busybox"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, _, err := Parse(text)
		if err == nil {
			_, err = d.Restore(Choice{Name: "web"})
		}
		if err != nil && fail.KindOf(err) == fail.Internal {
			t.Error(err)
		}
	})
}
