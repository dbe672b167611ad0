//go:build vm

package vm

import (
	"os"
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	m := newMachine(t)
	o := bootOptions{}
	if os.Getenv("NOSYS") != "" {
		o = withoutSystemd
	}
	m.boot(t, o)
	text, err := os.ReadFile(os.Getenv("SCRIPT"))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(m.stream(t, 10*time.Minute, os.Stdout, string(text)))
}
