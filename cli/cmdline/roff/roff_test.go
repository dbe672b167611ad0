package roff

import "testing"

func TestTextIsKept(t *testing.T) {
	p := &Page{}
	p.Text(".so /etc/passwd")
	p.Text(`'x' \n --opt` + "\n  more")
	p.macro("B", `"a" \fB-x`)
	p.Item("-m, --memory SIZE", "limit")
	p.Item("--debug", "log")
	p.Item("128+n", "ended")
	want := "\\&.so /etc/passwd\n" + `\(aqx\(aq \en \-\-opt more` + "\n" + `.B "\(dqa\(dq \efB\-x"` + "\n" +
		".TP\n" + `\fB\-m, \-\-memory\fR SIZE` + "\nlimit\n.TP\n" + `\fB\-\-debug\fR` + "\nlog\n.TP\n" + `\fB128+n\fR` + "\nended\n"
	if p.String() != want {
		t.Errorf("got\n%s\nwant\n%s", p, want)
	}
}
