package facts

import (
	"testing"
)

func TestParseOSRelease(t *testing.T) {
	v := parseOSRelease("# c\nID=debian\nVERSION_ID='12'\nPRETTY_NAME=\"A \\\"quoted\\\" \\$x\"\nBROKEN\n=x\nEMPTY=\n")
	for k, want := range map[string]string{"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": `A "quoted" $x`, "EMPTY": ""} {
		if got, ok := v[k]; !ok || got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if len(v) != 4 {
		t.Errorf("got %q", v)
	}
}
